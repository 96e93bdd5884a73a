"""Outpainting: the canvas grows, and what is new is painted; the picture itself stays.

An extension is a repaint whose mask is the new part of the canvas, so that the same crops, the same
models and the same proof serve it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as pil

from limner.errors import OptionError
from limner.io import images
from limner.options import EditOptions
from limner.prompts import BoolMask
from limner.prompts.syntax import Length

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = ("left", "top", "right", "bottom")
SYNTAX = "left=256,top=10% (any of left, top, right, bottom; pixels or percentages of that side)"
NONE = Length(0.0)
MOST = 1e9
"""Numbers beyond it lose digits on the way; no canvas bears them anyway."""
ASPECT_SYNTAX = "--aspect takes WIDTH:HEIGHT, such as 16:9"
_ASPECT = re.compile(r"(\d+\.?\d*|\.\d+)[:/](\d+\.?\d*|\.\d+)")
_LENGTH = re.compile(r"(\d+\.?\d*|\.\d+)(%?)")


@dataclass(frozen=True)
class Extension:
    """How much canvas is added on which side: pixels, or percentages of the picture's width (left,
    right) or height (top, bottom).

    Raises:
        OptionError: nothing is added, or a length that can't be meant.
    """

    left: Length = NONE
    top: Length = NONE
    right: Length = NONE
    bottom: Length = NONE

    def __post_init__(self) -> None:
        lengths = [getattr(self, side) for side in SIDES]
        if not all(0 <= length.value <= MOST for length in lengths):
            raise OptionError(f"An extension adds pixels or percentages from 0 to 1e9: {SYNTAX}.")
        if not any(length.value for length in lengths):
            raise OptionError(f"An extension of nothing: say how much, as {SYNTAX}.")

    def pixels(self, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
        """What it adds to a picture of this size, in the order of ``SIDES``.

        Raises:
            OptionError: less than half a pixel on each side, or more than can be painted.
        """
        width, height = size_wh
        lengths = (self.left, self.top, self.right, self.bottom)
        left, top, right, bottom = (
            round(length.resolve(size_wh[k % 2])) for k, length in enumerate(lengths)
        )
        area = (width + left + right) * (height + top + bottom)
        if not any((left, top, right, bottom)):
            raise OptionError(
                f"The extension adds no pixel to a picture of {width}x{height}: ask for more."
            )
        if area > images.MAX_PIXELS:
            raise OptionError(
                f"The extended picture would have {area / 1e6:.0f} million pixels; the most is "
                f"{images.MAX_PIXELS / 1e6:.0f} million: extend it by less."
            )
        return left, top, right, bottom

    def to_dict(self) -> dict[str, str]:
        """As typed: ``{"left": "256", "top": "10%"}``."""
        lengths = {side: getattr(self, side) for side in SIDES}
        return {
            side: f"{length.value:.15g}" + ("%" if length.percent else "")
            for side, length in lengths.items()
            if length.value
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Extension:
        """Inverse of ``to_dict``.

        Raises:
            OptionError: another side, or no length.
        """
        return parse_extension(",".join(f"{side}={length}" for side, length in data.items()))


def parse_extension(text: str) -> Extension:
    """``left=256,top=10%`` as an extension.

    Raises:
        OptionError: not of that form, or a side twice.
    """
    lengths: dict[str, Length] = {}
    for part in text.split(","):
        side, _, value = (word.strip() for word in part.partition("="))
        if side not in SIDES or side in lengths or not _LENGTH.fullmatch(value):
            raise OptionError(f"--extend takes {SYNTAX}, each side once; got {text!r:.80}.")
        lengths[side] = Length(float(value.rstrip("%")), value.endswith("%"))
    return Extension(**{side: length for side, length in lengths.items() if length.value})


@dataclass(frozen=True)
class ToAspect:
    """As much canvas, evenly on two sides, as brings a picture to width : height.

    Raises:
        OptionError: a number that isn't positive and finite.
    """

    width: float
    height: float

    def __post_init__(self) -> None:
        if not all(0 < side <= MOST for side in (self.width, self.height)):
            raise OptionError(f"{ASPECT_SYNTAX}; both above 0 and at most 1e9.")

    def of(self, size_wh: tuple[int, int]) -> Extension:
        """What a picture of this size lacks.

        Raises:
            OptionError: it has that aspect already, to the pixel.
        """
        width, height = size_wh
        wider = round(height * self.width / self.height) - width
        higher = round(width * self.height / self.width) - height
        if wider > 0:
            return Extension(left=Length(wider // 2), right=Length(wider - wider // 2))
        if higher > 0:
            return Extension(top=Length(higher // 2), bottom=Length(higher - higher // 2))
        raise OptionError(
            f"A picture of {width}x{height} is {self.width:g}:{self.height:g} already: there is "
            "nothing to extend."
        )


def parse_aspect(text: str) -> ToAspect:
    """``16:9`` as an aspect.

    Raises:
        OptionError: not of that form.
    """
    match = _ASPECT.fullmatch(text.strip())
    if not match:
        raise OptionError(f"{ASPECT_SYNTAX}; got {text!r:.80}.")
    return ToAspect(float(match[1]), float(match[2]))


def extended(image: Image, extension: Extension) -> tuple[Image, BoolMask]:
    """The larger canvas with the picture on it, and (H, W) bool: True where it is new.

    The new part continues the picture's border pixels. A model that paints from noise never sees
    it; one that starts from what is there (``strength`` below 1) finds colours that belong there.

    Raises:
        OptionError: as ``Extension.pixels``.
    """
    left, top, right, bottom = extension.pixels(image.size)
    around = ((top, bottom), (left, right))
    canvas = np.pad(np.asarray(image), (*around, (0, 0)), mode="edge")
    new = np.pad(np.zeros(image.size[::-1], dtype=bool), around, constant_values=True)
    return pil.fromarray(canvas), new


def edit_of(overlap: int, context: float, keep_metadata: bool = False) -> EditOptions:
    """The edit of an extension that may change ``overlap`` pixels of the picture beside its seams.

    The feather lies within the overlap: all that is new is the model's alone.
    """
    return EditOptions(
        dilate=overlap, feather=overlap, context=context, keep_metadata=keep_metadata
    )
