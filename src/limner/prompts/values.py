"""A visual prompt is a typed value: what a person can say about one thing in one image.

All coordinates are floats in pixels of the EXIF-upright original, origin top left; pixel ``(i, j)``
covers ``[i, i+1) x [j, j+1)``, so the box of a whole ``W x H`` image is ``(0, 0, W, H)``.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.errors import PromptError
from limner.rle import BoolMask as BoolMask
from limner.rle import from_rle, to_rle

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
        return {"rle": to_rle(self.array)}


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
            _check_box_inside(self.box, self.size_wh, "the example image")

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
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.image).save(buffer, format="PNG")
        return {
            "png": base64.b64encode(buffer.getvalue()).decode("ascii"),
            "box": self.box.to_dict() if self.box else None,
        }


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


@dataclass(frozen=True)
class VisualPrompt:
    """ONE thing wanted in one image. Several points make one object, not several.

    Text, an exemplar and ``likes`` say *what*, and several may answer; points, a box and a mask say
    *where*.

    Raises:
        PromptError: nothing was said, or only background points or negative example boxes were
            ("not this" of nothing).
    """

    text: Text | None = None
    exemplar: Exemplar | None = None
    points: tuple[Point, ...] = ()
    box: Box | None = None
    mask: Mask | None = None
    likes: tuple[Like, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))
        object.__setattr__(self, "likes", tuple(self.likes))
        kinds = self.kinds
        if not kinds:
            raise PromptError("An empty prompt: give a point, box, mask, phrase or example.")
        if kinds == {PromptKind.BACKGROUND_POINT}:
            raise PromptError(
                "Only background points were given: add a foreground point, a box or a phrase "
                "that says what the object is."
            )
        if PromptKind.NEGATIVE_EXEMPLAR_BOX in kinds and not kinds & {
            PromptKind.LIKE,
            PromptKind.TEXT,
        }:
            raise PromptError(
                "Only what it is not like was given: add an example box of what it is like, or a "
                "phrase that says what it is."
            )

    @property
    def kinds(self) -> frozenset[PromptKind]:
        present = {
            PromptKind.TEXT: self.text is not None,
            PromptKind.EXEMPLAR: self.exemplar is not None,
            PromptKind.LIKE: any(like.positive for like in self.likes),
            PromptKind.NEGATIVE_EXEMPLAR_BOX: any(not like.positive for like in self.likes),
            PromptKind.POINT: any(p.foreground for p in self.points),
            PromptKind.BACKGROUND_POINT: any(not p.foreground for p in self.points),
            PromptKind.BOX: self.box is not None,
            PromptKind.MASK: self.mask is not None,
        }
        return frozenset(kind for kind, here in present.items() if here)

    @property
    def manner(self) -> str:
        """How the thing was shown, for results that have no phrase to name it by."""
        for kind in (PromptKind.BOX, PromptKind.POINT, PromptKind.MASK):
            if kind in self.kinds:
                return str(kind)
        return "example" if self.exemplar or self.likes else "text"

    @property
    def class_name(self) -> str:
        """What an object is called in results: its phrase, or how it was shown."""
        return self.text.phrase if self.text else self.manner

    @property
    def says_what(self) -> bool:
        """Whether it says *what*, which a detector is asked."""
        return bool(self.text or self.exemplar or self.likes)

    @property
    def is_spatial(self) -> bool:
        """Whether it says *where*, so that no detector is needed."""
        return bool(self.points or self.box or self.mask)

    def check_within(self, size_wh: tuple[int, int]) -> None:
        """Refuse what lies outside an image of ``size_wh`` pixels.

        Raises:
            PromptError: a point outside, a box that leaves the image, a mask of another size.
        """
        width, height = size_wh
        for point in self.points:
            if not (0 <= point.x < width and 0 <= point.y < height):
                raise PromptError(
                    f"The point {point.x:g},{point.y:g} lies outside the image, which is "
                    f"{width}x{height} pixels (x 0–{width - 1}, y 0–{height - 1})."
                )
        for box in (self.box, *(like.box for like in self.likes)):
            if box is not None:
                _check_box_inside(box, size_wh, "the image")
        if self.mask is not None and self.mask.size_wh != size_wh:
            mask_w, mask_h = self.mask.size_wh
            raise PromptError(
                f"The mask is {mask_w}x{mask_h} pixels and the image {width}x{height}: "
                "a mask covers the whole image, pixel for pixel."
            )

    def to_dict(self) -> dict[str, Any]:
        """Exact JSON: ``VisualPrompt.from_dict(p.to_dict()) == p``."""
        parts: dict[str, Any] = {}
        for name in ("text", "exemplar", "box", "mask"):
            if (value := getattr(self, name)) is not None:
                parts[name] = value.to_dict()
        if self.points:
            parts["points"] = [point.to_dict() for point in self.points]
        if self.likes:
            parts["likes"] = [like.to_dict() for like in self.likes]
        return parts

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VisualPrompt:
        """Inverse of ``to_dict``; an unknown key or a wrong type is a ``PromptError``."""
        readers: dict[str, Any] = {
            "text": lambda v: Text(**v),
            "exemplar": _exemplar_from_dict,
            "points": _points_from_dicts,
            "box": _box_from_dict,
            "mask": _mask_from_dict,
            "likes": _likes_from_dicts,
        }
        try:
            unknown = sorted(set(data) - set(readers))
            if unknown:
                raise PromptError(
                    f"A prompt has the keys {', '.join(readers)}; got {', '.join(unknown)}."
                )
            return cls(**{key: readers[key](value) for key, value in data.items()})
        except PromptError:
            raise
        except Exception as error:  # Pillow's decoders raise SyntaxError, zlib.error and others
            raise PromptError(f"This is not a prompt's JSON: {error}.") from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content; equal prompts have equal digests."""
        parts = self.to_dict()
        if self.mask is not None:
            parts["mask"] = self.mask.digest
        if self.exemplar is not None:
            parts["exemplar"] = self.exemplar.digest
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _check_box_inside(box: Box, size_wh: tuple[int, int], where: str) -> None:
    width, height = size_wh
    if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height:
        raise PromptError(
            f"The box {box.x0:g},{box.y0:g},{box.x1:g},{box.y1:g} leaves {where}, "
            f"which is {width}x{height} pixels."
        )


def _keys(what: str, data: Mapping[str, Any], expected: set[str]) -> None:
    if set(data) != expected:
        raise PromptError(
            f"{what} has the keys {', '.join(sorted(expected))}; got {', '.join(data) or 'none'}."
        )


def _points_from_dicts(data: list[Mapping[str, Any]]) -> tuple[Point, ...]:
    if not isinstance(data, list | tuple):
        raise PromptError(f"A prompt's points are a list, got {data!r:.40}.")
    return tuple(Point(**point) for point in data)


def _box_from_dict(data: Mapping[str, Any]) -> Box:
    _keys("A box", data, {"xyxy"})
    x0, y0, x1, y1 = data["xyxy"]
    return Box(x0, y0, x1, y1)


def _likes_from_dicts(data: list[Mapping[str, Any]]) -> tuple[Like, ...]:
    if not isinstance(data, list | tuple):
        raise PromptError(f"A prompt's likes are a list, got {data!r:.40}.")
    for like in data:
        _keys("An example box", like, {"xyxy", "positive"})
    return tuple(Like(_box_from_dict({"xyxy": like["xyxy"]}), like["positive"]) for like in data)


def _mask_from_dict(data: Mapping[str, Any]) -> Mask:
    _keys("A mask", data, {"rle"})
    return Mask(from_rle(data["rle"]))


def _exemplar_from_dict(data: Mapping[str, Any]) -> Exemplar:
    from PIL import Image

    _keys("An example", data, {"png", "box"})
    image = Image.open(
        io.BytesIO(base64.b64decode(data["png"], validate=True)),
        formats=["PNG"],  # and none of the decoders that are seldom looked at
    )
    box = data["box"]
    return Exemplar(
        np.asarray(image.convert("RGB")), _box_from_dict(box) if box is not None else None
    )
