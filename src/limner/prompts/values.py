"""The parts of a visual prompt as typed values: points, boxes, masks, words and examples.

All coordinates are floats in pixels of the EXIF-upright original, origin top left; pixel ``(i, j)``
covers ``[i, i+1) x [j, j+1)``, so the box of a whole ``W x H`` image is ``(0, 0, W, H)``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import numbers
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.errors import PromptError
from limner.rle import BoolMask as BoolMask
from limner.rle import to_rle

RgbArray = npt.NDArray[np.uint8]


class PromptKind(StrEnum):
    """One way of saying it. A model declares which of these it takes."""

    TEXT = "text"
    EXEMPLAR = "exemplar"
    LIKE = "example box"
    NEGATIVE_EXEMPLAR_BOX = "negative example box"
    POINT = "point"
    BACKGROUND_POINT = "background point"
    BOX = "box"
    MASK = "mask"


def _finite(what: str, *values: float) -> tuple[float, ...]:
    try:
        # Adding zero makes -0.0 into 0.0: equal values must have equal digests.
        finite = tuple(float(v) + 0.0 for v in values if _is_number(v))
    except OverflowError:  # JSON's integers have no end
        finite = ()
    if len(finite) != len(values) or not all(map(math.isfinite, finite)):
        listed = ", ".join(f"{value!r:.40}" for value in values)
        raise PromptError(f"{what} must be finite numbers, got {listed}.")
    return finite


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Point:
    """A click. ``foreground=False`` says "not this"."""

    x: float
    y: float
    foreground: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.foreground, bool):
            raise PromptError(
                f"A point's foreground is true or false, got {self.foreground!r:.40}."
            )
        for name, value in zip("xy", _finite("A point's x and y", self.x, self.y), strict=True):
            object.__setattr__(self, name, value)

    @property
    def label(self) -> int:
        """SAM's ``point_labels`` value: 1 foreground, 0 background."""
        return int(self.foreground)

    def to_dict(self) -> dict[str, Any]:
        return {"x": self.x, "y": self.y, "foreground": self.foreground}


@dataclass(frozen=True)
class Box:
    """XYXY, ``x0 < x1`` and ``y0 < y1``."""

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        corners = _finite("A box's corners", *self.xyxy)
        for name, value in zip(("x0", "y0", "x1", "y1"), corners, strict=True):
            object.__setattr__(self, name, value)
        if self.x0 >= self.x1 or self.y0 >= self.y1:
            raise PromptError(
                "A box is left,top,right,bottom with right > left and bottom > top, "
                f"got {self.x0:g},{self.y0:g},{self.x1:g},{self.y1:g}."
            )

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return (self.x0, self.y0, self.x1, self.y1)

    @property
    def area(self) -> float:
        """Square pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def to_dict(self) -> dict[str, Any]:
        return {"xyxy": list(self.xyxy)}


def _array_digest(array: npt.NDArray[Any]) -> str:
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Mask:
    """An ``(H, W)`` bool array over the whole original image, True = the object.

    Compares by content. The array is copied and made read-only.
    """

    array: BoolMask

    def __post_init__(self) -> None:
        array = np.array(self.array, dtype=bool, order="C")
        if array.ndim != 2 or array.size == 0:
            raise PromptError(f"A mask is an (H, W) array, got shape {array.shape}.")
        if not array.any():
            raise PromptError("The mask is empty: no pixel of it is marked as the object.")
        array.setflags(write=False)
        object.__setattr__(self, "array", array)

    @property
    def size_wh(self) -> tuple[int, int]:
        return (self.array.shape[1], self.array.shape[0])

    @cached_property
    def digest(self) -> str:
        return _array_digest(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_dict(self) -> dict[str, Any]:
        """COCO's compressed run lengths."""
        return {"rle": dict(self._rle)}

    @cached_property
    def _rle(self) -> dict[str, Any]:
        return to_rle(self.array)


@dataclass(frozen=True)
class Text:
    """A phrase, and what it is *not* (``negative``)."""

    phrase: str
    negative: str = ""

    def __post_init__(self) -> None:
        for name in ("phrase", "negative"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise PromptError(f"A text prompt's {name} is a string, got {value!r}.")
            object.__setattr__(self, name, " ".join(value.split()))
        if not self.phrase:
            raise PromptError('A text prompt needs a phrase such as "dog", got an empty one.')

    def to_dict(self) -> dict[str, Any]:
        return {"phrase": self.phrase, "negative": self.negative}


@dataclass(frozen=True, eq=False)
class Exemplar:
    """ "One like this": an ``(H, W, 3)`` uint8 RGB example image and the thing's box in it.

    ``box=None`` means the whole example image. Compares by content.
    """

    image: RgbArray
    box: Box | None = None

    def __post_init__(self) -> None:
        array = np.array(self.image, order="C")
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
            raise PromptError(
                f"An example image is (H, W, 3) uint8 RGB, got {array.shape} {array.dtype}."
            )
        array.setflags(write=False)
        object.__setattr__(self, "image", array)
        if self.box is not None:
            check_box_inside(self.box, self.size_wh, "the example image")

    @property
    def size_wh(self) -> tuple[int, int]:
        return (self.image.shape[1], self.image.shape[0])

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(f"{_array_digest(self.image)}{self.box}".encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exemplar) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def to_dict(self) -> dict[str, Any]:
        return {"png": self._png, "box": self.box.to_dict() if self.box else None}

    @cached_property
    def _png(self) -> str:
        """As base64."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.image).save(buffer, format="PNG")
        return base64.b64encode(buffer.getvalue()).decode("ascii")


@dataclass(frozen=True)
class Like:
    """ "All that is like this": the box of an example in the very image that is searched.

    ``positive=False`` says "not like this".
    """

    box: Box
    positive: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.positive, bool):
            raise PromptError(
                f"An example box's positive is true or false, got {self.positive!r:.40}."
            )

    @property
    def label(self) -> int:
        """SAM 3's ``input_boxes_labels`` value: 1 positive, 0 negative."""
        return int(self.positive)

    def to_dict(self) -> dict[str, Any]:
        return {**self.box.to_dict(), "positive": self.positive}


def check_box_inside(box: Box, size_wh: tuple[int, int], where: str) -> None:
    """Refuse a box that leaves ``where``, of ``size_wh`` pixels, by ``PromptError``."""
    width, height = size_wh
    if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height:
        raise PromptError(
            f"The box {box.x0:g},{box.y0:g},{box.x1:g},{box.y1:g} leaves {where}, "
            f"which is {width}x{height} pixels."
        )
