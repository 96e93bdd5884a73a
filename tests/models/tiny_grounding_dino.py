"""Grounding DINO models of the real classes, small enough to run in milliseconds, saved as the hub
saves them, and what transformers' own path answers with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    BertConfig,
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    SwinConfig,
)

WORDS = ("a", "red", "dog", "cat", "snow", "##man", "##board", "##ing", "ski", "car")
ENDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
"""The ids of BERT's own vocabulary: transformers has those of the delimiters written down."""
CLASSES = {
    "grounding-dino": (GroundingDinoConfig, GroundingDinoForObjectDetection),
    "mm-grounding-dino": (MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
}
HOLDS = 24
"""Tokens that the tiny models read; the real ones read 256."""


def save_tiny_grounding_dino(
    folder: Path, *, kind: str = "grounding-dino", seed: int = 0, dtype: str = "float32"
) -> Path:
    """Save a model with random weights, its image processor and its tokenizer; return the folder.

    It sees images of 64 to 96 pixels through a Swin of two blocks and has 30 queries.
    """
    words = {**ENDS, **{word: 200 + n for n, word in enumerate(WORDS)}}
    others = (n for n in range(1030) if n not in set(words.values()))
    vocab = words | {f"[unused{n}]": n for n in others}
    config, model = CLASSES[kind]
    made = model(
        config(
            backbone_config=SwinConfig(
                image_size=64,
                patch_size=4,
                embed_dim=16,
                depths=[1, 1, 1, 1],
                num_heads=[2, 2, 2, 2],
                window_size=4,
                out_features=["stage2", "stage3", "stage4"],
            ),
            text_config=BertConfig(
                vocab_size=1030,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=48,
                max_position_embeddings=64,
            ),
            d_model=64,
            num_queries=30,
            encoder_layers=2,
            encoder_ffn_dim=64,
            encoder_attention_heads=4,
            decoder_layers=2,
            decoder_ffn_dim=64,
            decoder_attention_heads=4,
            max_text_len=HOLDS,
        )
    )
    stir(made, seed)
    made.to(getattr(torch, dtype)).save_pretrained(folder)
    size = {"shortest_edge": 64, "longest_edge": 96}
    GroundingDinoImageProcessorPil(size=size).save_pretrained(folder)
    BertTokenizer(vocab=dict(sorted(vocab.items(), key=lambda item: item[1]))).save_pretrained(
        folder
    )
    return folder


def stir(model: Any, seed: int) -> None:
    """Random weights whose boxes and scores differ from query to query and phrase to phrase."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                spread = parameter[0].numel() ** -0.5
                gain = 2.0 if "bbox_embed" in name or "embedding" in name else 1.0
                parameter.normal_(0, gain * spread, generator=generator)
            elif name.endswith(("vision_param", "text_param")):
                parameter.fill_(0.5)  # 1e-4 in new models: words and pixels would hardly meet
            elif name.endswith("decoder.layer_norm.weight"):
                parameter.fill_(0.15)  # else every score is 0 or 1
        for head in model.class_embed:
            if hasattr(head, "bias"):
                head.bias.fill_(-1.0)


class Upstream:
    """transformers' own processor, model and post-processing over a saved folder."""

    def __init__(self, folder: Path, kind: str = "grounding-dino") -> None:
        self.model = CLASSES[kind][1].from_pretrained(folder).eval()
        self.processor = GroundingDinoProcessor(
            GroundingDinoImageProcessorPil.from_pretrained(folder),
            BertTokenizer.from_pretrained(folder),
        )

    def grounded(
        self, image: Image.Image, phrases: list[str], threshold: float, text_threshold: float
    ) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """``(xyxy, scores, text labels)`` of phrases asked together, best first."""
        inputs = self.processor(images=image, text=[phrases], return_tensors="pt")
        with torch.inference_mode():
            outputs = self.model(**inputs)
        (answer,) = self.processor.post_process_grounded_object_detection(
            outputs,
            inputs.input_ids,
            threshold=threshold,
            text_threshold=text_threshold,
            target_sizes=[image.size[::-1]],
        )
        order = np.argsort(-answer["scores"].numpy(), kind="stable")
        labels = [answer["text_labels"][n] for n in order]
        return answer["boxes"].numpy()[order], answer["scores"].numpy()[order], labels
