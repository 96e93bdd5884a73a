"""BLIP (Li et al. 2022, arXiv 2201.12086) and BLIP-2 (2023, arXiv 2301.12597) say in a sentence
what is in a picture, through transformers' ``BlipForConditionalGeneration`` and
``Blip2ForConditionalGeneration``. The same picture always gets the same sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    Blip2ForConditionalGeneration,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
)

from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import (
    Pretrained,
    check_side,
    folder_of,
    pixels,
    read_model,
    read_part,
)
from limner.registry.weights import Runtime, Weights

TOKENS = 40
"""A caption's length at most. Those of COCO, which BLIP learned from, have about a dozen words."""
ARCHITECTURES: Mapping[str, Any] = {
    "blip": BlipForConditionalGeneration,
    "blip-2": Blip2ForConditionalGeneration,
}
"""By the ``model_type`` of a checkpoint's config.json."""
ADVICE = "take a smaller model, such as blip-base, or load it in bfloat16"


def load(weights: Weights, runtime: Runtime) -> Blip:
    """Read a folder made by ``save_pretrained``: weights, image processor and tokenizer.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, kind = folder_of(weights, ARCHITECTURES)
    model = read_model(ARCHITECTURES[kind], weights, path, runtime)
    processor = read_part(BlipImageProcessorPil, weights, path)
    check_side(processor, path, model.config.vision_config.image_size)
    tokenizer = read_part(AutoTokenizer, weights, path)
    return Blip(Pretrained(weights.ref, model, processor, tokenizer, weights.defaults))


class Blip:
    """A ``Captioner``."""

    def __init__(self, pretrained: Pretrained) -> None:
        """``defaults``: ``num_beams`` and ``length_penalty``, as transformers' ``generate`` has
        them; without beams each word is the likeliest at its place."""
        self.ref = pretrained.ref
        self._beams = {"num_beams": 1, **pretrained.defaults}
        self._model, self._processor = pretrained.model, pretrained.processor
        self._tokenizer = pretrained.tokenizer

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """One sentence a picture, the likeliest that was found."""
        sentences: list[str] = []
        with torch.inference_mode(), guard_memory(ADVICE):
            # BLIP-2 keeps its query tokens in float32, whatever the encoder computes in.
            like = self._model.vision_model
            for batch in pixels(self._processor, images, self.ref.name, like):
                tokens = self._model.generate(
                    pixel_values=batch, max_new_tokens=TOKENS, do_sample=False, **self._beams
                )
                sentences += self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [sentence.strip() for sentence in sentences]
