"""What can stand behind a subject without any model: a blur, a colour, another picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as pil
from PIL import ImageColor, ImageOps

from limner.errors import OptionError
from limner.prompts import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image


SMOOTH_SIGMA = 8.0
"""px: a wider Gaussian is computed on a smaller picture, where it has this width: 12 megapixels by
radius 100 take 2 seconds instead of 63, a grey level off on average and 5 at most."""


class Backdrop(Protocol):
    def render(self, image: Image, subject: BoolMask) -> Image:
        """A picture of the image's size; what lies under ``subject`` doesn't matter."""
        ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Blur:
    """The image's own background, out of focus. ``radius`` in pixels, above 0."""

    radius: float

    def __post_init__(self) -> None:
        if not 0 < self.radius <= 500:
            raise OptionError(f"A blur's radius is above 0 and at most 500, got {self.radius:g}.")

    def render(self, image: Image, subject: BoolMask) -> Image:
        # Normalised convolution: the subject's colours must not glow into its surroundings.
        weight = (~subject).astype(np.float32)
        stack: npt.NDArray[Any] = np.dstack([np.asarray(image) * weight[..., None], weight])
        height, width = subject.shape
        shrink = min(1.0, SMOOTH_SIGMA / self.radius)
        if shrink < 1:
            small_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            stack = cv2.resize(stack, small_wh, interpolation=cv2.INTER_AREA)
        stack = cv2.GaussianBlur(stack, (0, 0), self.radius * shrink)
        if shrink < 1:
            stack = cv2.resize(stack, (width, height), interpolation=cv2.INTER_LINEAR)
        scene = stack[..., :3] / np.maximum(stack[..., 3:], 1e-6)
        return pil.fromarray(np.clip(np.rint(scene), 0, 255).astype(np.uint8))

    def to_dict(self) -> dict[str, Any]:
        return {"blur": self.radius}


@dataclass(frozen=True)
class Colour:
    """One colour, by CSS name or ``#rrggbb``."""

    name: str

    def __post_init__(self) -> None:
        try:
            if ImageColor.getrgb(self.name)[3:] not in ((), (255,)):
                raise ValueError("partly transparent: nothing lies behind a background")
        except ValueError:
            raise OptionError(
                f"A colour is a CSS name or #rrggbb, such as white or #1a2b3c; got {self.name!r}."
            ) from None

    def render(self, image: Image, subject: BoolMask) -> Image:
        return pil.new("RGB", image.size, ImageColor.getrgb(self.name)[:3])

    def to_dict(self) -> dict[str, Any]:
        return {"colour": self.name}


@dataclass(frozen=True, eq=False)
class Picture:
    """Another picture, scaled and cropped about its centre to cover the image."""

    image: Image
    digest: str

    def render(self, image: Image, subject: BoolMask) -> Image:
        return ImageOps.fit(self.image, image.size, pil.Resampling.LANCZOS)

    def to_dict(self) -> dict[str, Any]:
        return {"picture": self.digest}
