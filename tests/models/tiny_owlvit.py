"""OWL models of the real classes, small enough to run in milliseconds, saved as the hub saves them,
and what transformers' own path answers with them."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessorPil,
    OwlViTProcessor,
)

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
}
VISION = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 96,
    "patch_size": 16,
}
MERGES = ["d o", "do g</w>", "c a", "ca t</w>", "r e", "re d</w>"]
"""With them "dog", "cat" and "red" are one token each; other words, one a letter."""


def save_tiny_owlvit(folder: Path, *, version: int = 1, seed: int = 0) -> Path:
    """Save a model with random weights, its image processor and its tokenizer; return the folder.

    Args:
        version: 1 for OWL-ViT, 2 for OWLv2. Both see 96 x 96 pixels in 6 x 6 patches.
        seed: of the weights.
    """
    tokenizer = save_clip_tokenizer(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**TEXT, **ends, "vocab_size": len(tokenizer)}
    if version == 1:
        model = OwlViTForObjectDetection(
            OwlViTConfig(text_config=text, vision_config=VISION, projection_dim=32)
        )
        processor = OwlViTImageProcessorPil(size={"height": 96, "width": 96})
    else:
        model = Owlv2ForObjectDetection(
            Owlv2Config(text_config=text, vision_config=VISION, projection_dim=32)
        )
        processor = Owlv2ImageProcessorPil(size={"height": 96, "width": 96})
    stir(model, seed)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer of the letters and ``MERGES``, made with no network.

    As in CLIP, the two ends have the highest ids (the encoder finds the end by that) and 0 pads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    letters = list("!" + string.ascii_lowercase + string.digits + "',.-")
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    merged = [merge.replace(" ", "") for merge in MERGES]
    words = [*pieces, *merged, "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES]) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True, pad_token="!")
    tokenizer.save_pretrained(folder)
    return tokenizer


def stir(model: Any, seed: int) -> None:
    """Random weights whose answers differ from patch to patch and from phrase to phrase.

    With transformers' own, every patch answers nearly alike and a comparison would pass on
    anything; with much larger ones all scores are 0 or 1.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(weight: torch.Tensor, gain: float) -> None:
        weight.normal_(0, gain * weight[0].numel() ** -0.5, generator=generator)

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                draw(parameter, 0.5)
        model.base_model.vision_model.embeddings.class_embedding.normal_(generator=generator)
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.weight.normal_(0, 0.5, generator=generator)
        for layer in (model.box_head.dense0, model.box_head.dense1, model.box_head.dense2):
            draw(layer.weight, 2.0)
        head = model.class_head
        draw(head.logit_shift.weight, 0.1)
        draw(head.logit_scale.weight, 1.0)
        head.logit_scale.bias.fill_(15.0)


def noise(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Blotches of a few sizes, so that no two patches look alike after any resize."""
    rng = np.random.default_rng(seed)
    layers = []
    for cells in (3, 9, 27):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        layers.append(np.asarray(coarse.resize((width, height)), dtype=np.float32))
    return Image.fromarray(np.mean(layers, axis=0).astype(np.uint8))


class Upstream:
    """transformers' own processor, model and post-processing over a saved folder.

    Answers are ``(xyxy, scores, labels)``, by descending score, cut at the edges of the image as
    ours are; boxes wholly outside it are left out.
    """

    def __init__(self, folder: Path, version: int) -> None:
        tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=16)
        if version == 1:
            self.model = OwlViTForObjectDetection.from_pretrained(folder).eval()
            pixels = OwlViTImageProcessorPil.from_pretrained(folder)
            self.processor = OwlViTProcessor(pixels, tokenizer)
        else:
            self.model = Owlv2ForObjectDetection.from_pretrained(folder).eval()
            pixels = Owlv2ImageProcessorPil.from_pretrained(folder)
            self.processor = Owlv2Processor(pixels, tokenizer)

    def grounded(self, image: Image.Image, phrases: list[str], threshold: float) -> Any:
        inputs = self.processor(text=[phrases], images=image, return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model(**inputs)
        (answer,) = self.processor.post_process_grounded_object_detection(
            outputs, threshold=threshold, target_sizes=torch.tensor([image.size[::-1]])
        )
        return _visible(answer["boxes"], answer["scores"], answer["labels"], image.size)

    def guided(
        self, image: Image.Image, example: Image.Image, threshold: float, nms_threshold: float
    ) -> Any:
        """The scores are those that the threshold cut."""
        inputs = self.processor(images=image, query_images=example, return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model.image_guided_detection(**inputs)
            (answer,) = self.processor.post_process_image_guided_detection(
                outputs, threshold, nms_threshold, target_sizes=torch.tensor([image.size[::-1]])
            )
        # Shown relative to the best of all boxes, also of those in the padding.
        best = outputs.logits.max().sigmoid() + 1e-6
        scores = (0.9 * answer["scores"] + 0.1) * best
        return _visible(answer["boxes"], scores, torch.zeros(len(scores)), image.size)


def _visible(boxes: Any, scores: Any, labels: Any, size_wh: tuple[int, int]) -> Any:
    xyxy = np.clip(boxes.numpy(), 0, [*size_wh, *size_wh])
    shown = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    order = np.argsort(-scores.numpy()[shown], kind="stable")
    return tuple(values[shown][order] for values in (xyxy, scores.numpy(), labels.numpy()))
