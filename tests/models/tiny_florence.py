"""A Florence-2 of the real classes, small enough to answer in milliseconds, saved as the hub saves
it, and what transformers' own path answers with it.

Most tokens of its vocabulary are locations, so that its random answers are mostly boxes.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    BartConfig,
    BartTokenizer,
    CLIPImageProcessorPil,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    Florence2VisionConfig,
)

SIDE = 64
HOLDS = 64
"""Tokens that the tiny model reads and writes, those of the image included."""
LOCATIONS = [f"<loc_{n}>" for n in range(1000)]
MARKS = ["<sep>", "<poly>", "</poly>"]
PARSED = (
    "description_with_bboxes",
    "phrase_grounding",
    "pure_text",
    "polygons",
    "description_with_bboxes_or_polygons",
)


def save_tiny_florence(folder: Path, *, seed: int = 0) -> Path:
    """Save a model with random weights, its image processor and its tokenizer; return the folder.

    It sees 64 x 64 pixels as 2 x 2 patches.
    """
    tokenizer = _tokenizer()
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=HOLDS,
    )
    vision = Florence2VisionConfig(
        depths=(1, 1, 1, 1),
        embed_dim=(8, 16, 24, 32),
        num_heads=(1, 2, 2, 2),
        num_groups=(1, 2, 2, 2),
        window_size=4,
        projection_dim=32,
    )
    image = tokenizer.convert_tokens_to_ids("<image>")
    made = Florence2ForConditionalGeneration(
        Florence2Config(text_config=text, vision_config=vision, image_token_id=image)
    )
    _stir(made, seed)
    for name, value in GENERATION.items():
        setattr(made.generation_config, name, value)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(
        size=square, crop_size=square, do_center_crop=False, image_seq_length=5
    ).save_pretrained(folder)
    return folder


def teach(folder: Path, image: Image.Image, answers: Mapping[tuple[str, str], str]) -> float:
    """Train the saved model to answer ``(task, words)`` about one image; returns the last loss."""
    upstream = Upstream(folder)
    model, processor = upstream.model, upstream.processor
    processor.tokenizer.padding_side = "right"
    asked = processor(
        images=[image] * len(answers),
        text=[task + words for task, words in answers],
        padding=True,
        return_tensors="pt",
    )
    said = processor.tokenizer(
        [f"<s>{answer}</s>" for answer in answers.values()],
        add_special_tokens=False,
        padding=True,
        return_tensors="pt",
    )
    labels = said.input_ids.masked_fill(said.attention_mask == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss = torch.tensor(0.0)
    for _ in range(STEPS):
        loss = model(**asked, labels=labels).loss
        if loss < KNOWN:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return float(loss.detach())


STEPS = 250
KNOWN = 0.008
"""A loss at which every answer is word for word the one taught."""
GENERATION = {
    "bos_token_id": 0,
    "decoder_start_token_id": 2,
    "early_stopping": True,
    "eos_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "no_repeat_ngram_size": 3,
    "num_beams": 3,
    "pad_token_id": 1,
}
"""generation_config.json of florence-community/Florence-2-base."""


def _tokenizer() -> BartTokenizer:
    letters = [*string.ascii_letters, *string.digits, *"'.,-?<>:_/", "Ġ"]
    words = ["<s>", "<pad>", "</s>", "<unk>", *letters]
    tokenizer = BartTokenizer(
        vocab={word: n for n, word in enumerate(words)},
        merges=[],
        extra_special_tokens={"image_token": "<image>"},
    )
    tokenizer.add_tokens([*LOCATIONS, *MARKS], special_tokens=True)
    return tokenizer


def _stir(model: Any, seed: int) -> None:
    """Random weights so large that no two pictures or questions get the same answer."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                spread = parameter[0].numel() ** -0.5
                parameter.normal_(0, 1.5 * spread, generator=generator)


class Upstream:
    """transformers' own processor, model and post-processing over a saved folder."""

    def __init__(self, folder: Path) -> None:
        self.model = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
        self.processor = Florence2Processor(
            CLIPImageProcessorPil.from_pretrained(folder),
            BartTokenizer.from_pretrained(folder),
            post_processor_config={name: {} for name in PARSED},
        )

    def ask(self, image: Image.Image, task: str, words: str = "") -> tuple[str, Any]:
        """The text that was generated, and what it was taken to mean."""
        inputs = self.processor(images=image, text=task + words, return_tensors="pt")
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=HOLDS, num_beams=3)
        text = self.processor.batch_decode(tokens, skip_special_tokens=False)[0]
        answer = self.processor.post_process_generation(text, task=task, image_size=image.size)
        return text, answer[task]
