"""CLIP (Radford et al. 2021, arXiv 2103.00020): pictures and words in one space, through
transformers' ``CLIPModel``. The rows are those of its own forward pass, before ``logit_scale``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import (
    Pretrained,
    check_lengths,
    check_side,
    folder_of,
    pixels,
    read_model,
    read_part,
    unit_rows,
)
from limner.registry.weights import Runtime, Weights

PHRASES_AT_ONCE = 256
ADVICE = "take a smaller encoder, such as clip-vit-base-patch32, or load it in bfloat16"


def load(weights: Weights, runtime: Runtime) -> Clip:
    """Read a folder made by ``save_pretrained``: weights, image processor and tokenizer.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, _ = folder_of(weights, ("clip",))
    model = read_model(CLIPModel, weights, path, runtime)
    processor = read_part(CLIPImageProcessorPil, weights, path)
    check_side(processor, path, model.config.vision_config.image_size)
    holds = model.config.text_config.max_position_embeddings
    tokenizer = read_part(CLIPTokenizer, weights, path, model_max_length=holds)
    return Clip(Pretrained(weights.ref, model, processor, tokenizer, weights.defaults))


class Clip:
    """An ``Encoder`` of pictures and words."""

    takes_text = True

    def __init__(self, pretrained: Pretrained) -> None:
        self.ref = pretrained.ref
        self._model, self._processor = pretrained.model, pretrained.processor
        self._tokenizer = pretrained.tokenizer
        self._width: int = self._model.config.projection_dim

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows. The model sees the middle of a picture that isn't square."""
        with torch.inference_mode(), guard_memory(ADVICE):
            rows = [
                self._model.get_image_features(pixel_values=batch).pooler_output
                for batch in pixels(self._processor, images, self.ref.name, self._model)
            ]
        return unit_rows(rows, self._width)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows. The words are used as they are, with no template around them.

        Raises:
            PromptError: a text longer than the model holds.
        """
        check_lengths(self._tokenizer, texts, self.ref.name, "text")
        rows = []
        with torch.inference_mode(), guard_memory(ADVICE):
            for start in range(0, len(texts), PHRASES_AT_ONCE):
                batch = list(texts[start : start + PHRASES_AT_ONCE])
                tokens = self._tokenizer(batch, padding="max_length", return_tensors="pt")
                tokens = tokens.to(self._model.device)
                rows.append(self._model.get_text_features(**tokens).pooler_output)
        return unit_rows(rows, self._width)
