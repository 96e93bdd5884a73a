"""A visual prompt is a typed value: what a person can say about one thing in one image."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from limner.errors import PromptError
from limner.prompts.coerce import (
    AnyBox,
    AnyLike,
    AnyMask,
    AnyPoint,
    AnyText,
    box_of,
    label_of,
    likes_of,
    mask_of,
    points_of,
    text_of,
)
from limner.prompts.values import (
    Box,
    Exemplar,
    Like,
    Mask,
    Point,
    PromptKind,
    Text,
    check_box_inside,
)
from limner.rle import from_rle


@dataclass(frozen=True, init=False)
class VisualPrompt:
    """ONE thing wanted in one image. Several points make one object, not several.

    Text, an exemplar and ``likes`` say *what*, and several may answer; points, a box and a mask say
    *where*. Parts may be given as people write them: ``VisualPrompt(text="apple")``,
    ``VisualPrompt(box=(150, 50, 240, 120), points=[(194, 88)])``, ``VisualPrompt(mask=array)``.

    ``label`` is what its objects are called in results, ``VisualPrompt(box=…, label="mug")``; it is
    shown to no model.

    Raises:
        PromptError: nothing was said, only background points or negative example boxes were ("not
            this" of nothing), or a part is none.
    """

    text: Text | None = None
    exemplar: Exemplar | None = None
    points: tuple[Point, ...] = ()
    box: Box | None = None
    mask: Mask | None = None
    likes: tuple[Like, ...] = ()
    label: str | None = None

    def __init__(
        self,
        text: AnyText | None = None,
        exemplar: Exemplar | None = None,
        points: Iterable[AnyPoint] = (),
        box: AnyBox | None = None,
        mask: AnyMask | None = None,
        likes: Iterable[AnyLike] = (),
        label: str | None = None,
    ) -> None:
        parts = {
            "text": None if text is None else text_of(text),
            "exemplar": exemplar,
            "points": points_of(points),
            "box": None if box is None else box_of(box),
            "mask": None if mask is None else mask_of(mask),
            "likes": likes_of(likes),
            "label": None if label is None else label_of(label),
        }
        for name, value in parts.items():
            object.__setattr__(self, name, value)
        self._check_says_something()

    def _check_says_something(self) -> None:
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
        """What an object is called in results: its label, its phrase, or how it was shown."""
        return self.label or (self.text.phrase if self.text else self.manner)

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
                check_box_inside(box, size_wh, "the image")
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
        if self.label is not None:
            parts["label"] = self.label
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
            "label": label_of,
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
