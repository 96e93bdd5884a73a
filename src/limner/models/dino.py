"""DINO and DINOv2 (arXiv 2104.14294, 2304.07193): one row a picture, near for pictures of the same
thing, through transformers' ``ViTModel`` and ``Dinov2Model``.

A row is the class token after the last layer norm: what DreamBooth's DINO score compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import BitImageProcessorPil, Dinov2Model, ViTImageProcessorPil, ViTModel

from limner.errors import UnsupportedPrompt
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import (
    check_side,
    folder_of,
    pixels,
    read_model,
    read_part,
    unit_rows,
)
from limner.protocols import ModelRef
from limner.registry.lock import read_json
from limner.registry.weights import Runtime, Weights

ARCHITECTURES: Mapping[str, tuple[Any, Any, Mapping[str, Any]]] = {
    "dinov2": (Dinov2Model, BitImageProcessorPil, {}),
    # Its pooler belongs to a classifier; DINO's checkpoints have none.
    "vit": (ViTModel, ViTImageProcessorPil, {"add_pooling_layer": False}),
}
"""``model_type`` -> (model, the image processor of a folder that names none, constructor's own)."""

PROCESSORS: Mapping[str, Any] = {
    "BitImageProcessor": BitImageProcessorPil,
    "ViTImageProcessor": ViTImageProcessorPil,
    "ViTFeatureExtractor": ViTImageProcessorPil,
}
ADVICE = "take a smaller encoder, such as dinov2-small, or load it in bfloat16"


def load(weights: Weights, runtime: Runtime) -> Dino:
    """Read a folder made by ``save_pretrained``: weights and image processor.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, kind = folder_of(weights, ARCHITECTURES)
    architecture, processor_class, own = ARCHITECTURES[kind]
    model = read_model(architecture, weights, path, runtime, **own)
    processor = read_part(_named_processor(path) or processor_class, weights, path)
    if kind == "vit":  # Dinov2Model stretches its positions to any size
        check_side(processor, path, model.config.image_size)
    return Dino(weights.ref, model, processor)


def _named_processor(path: Path) -> Any | None:
    """The image processor that a folder asks for; torchvision's or PIL's, it is PIL's here."""
    config = read_json(path / "preprocessor_config.json") or {}
    name = str(config.get("image_processor_type") or config.get("feature_extractor_type"))
    return PROCESSORS.get(name.removesuffix("Pil").removesuffix("Fast"))


class Dino:
    """An ``Encoder`` of pictures."""

    takes_text = False

    def __init__(self, ref: ModelRef, model: Any, processor: Any) -> None:
        self.ref = ref
        self._model = model
        self._processor = processor
        self._width: int = model.config.hidden_size

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """(N, D) unit rows."""
        with torch.inference_mode(), guard_memory(ADVICE):
            rows = [
                self._model(pixel_values=batch).last_hidden_state[:, 0]
                for batch in pixels(self._processor, images, self.ref.name, self._model)
            ]
        return unit_rows(rows, self._width)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """
        Raises:
            UnsupportedPrompt: always; it never learned words.
        """
        raise UnsupportedPrompt(
            f"{self.ref.name} compares pictures and reads no words: to encode words take a CLIP, "
            "such as clip-vit-base-patch32 or mini-clip."
        )
