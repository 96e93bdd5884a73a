"""The image preprocessing of SAM 2 and SAM 3: squashed to a square, then normalised.

transformers does it with torchvision (``Sam2ImageProcessor``, ``Sam3ImageProcessor``); the numbers
here are the same without it, on a CPU to the last bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from limner.errors import ModelError
from limner.ops import transforms
from limner.registry.lock import read_json


class SquareResize:
    """What a processor of one checkpoint does.

    Args:
        side: pixels of the square.
        mean: of each channel, where white is 1; so ``std``.
    """

    def __init__(self, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.side = side
        self._mean = torch.tensor(mean)[:, None, None] * 255
        self._std = torch.tensor(std)[:, None, None] * 255

    def frame(self, size_wh: transforms.Size) -> transforms.Chain:
        """Where an image lies in the square: everywhere."""
        return transforms.Chain((transforms.resize(size_wh, (self.side, self.side)),))

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """(1, 3, side, side) float32."""
        rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        # On uint8 itself, as torchvision does on a CPU: its rounding is another than float32's.
        square = torch.nn.functional.interpolate(
            rgb, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False
        )
        return (square.float() - self._mean) / self._std


def read_squash(
    path: Path, side: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> SquareResize:
    """What the processor's file in a model's folder says; where there is none, the given numbers.

    Raises:
        ModelError: a processor that makes images of another size than the model takes, or that
            resizes in another way than these models'.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        config: dict[str, Any] = read_json(path / name) or {}
        config = config.get("image_processor", config)
        if "size" in config:
            break
    size = config.get("size", {"height": side, "width": side})
    size_wh = (size.get("width"), size.get("height"))
    if size_wh != (side, side) or config.get("resample", 2) != Image.Resampling.BILINEAR:
        raise ModelError(
            f"{path} holds a model for images of {side} x {side} pixels, resized bilinearly, and "
            f"an image processor that makes them {size_wh[0]} x {size_wh[1]} (resample "
            f"{config.get('resample', 2)}): get the files of one model."
        )
    return SquareResize(
        side, tuple(config.get("image_mean", mean)), tuple(config.get("image_std", std))
    )
