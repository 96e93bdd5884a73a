"""Invertible transforms between the original image and what a model sees.

One kind of step is enough. A :class:`Placement` says that the rectangle ``shown_xyxy`` of the
source image is drawn on the rectangle ``drawn_xyxy`` of the target image; a resize, a letterbox, a
pad, a crop and a tile differ only in the two rectangles. A :class:`Chain` is several steps, one
after the other. Both map points either way, say how large the two images are, and go to JSON and
back unchanged, so that a run's record holds exactly what was done.

Coordinates are XY floats in pixels, origin top left; pixel ``i`` covers ``[i, i + 1)``, so that the
whole image is ``(0, 0, W, H)`` and a resize is a plain multiplication (as in PIL, OpenCV and torch
with ``align_corners=False``). Sizes are ``(width, height)``. All rectangles are whole pixels: the
scale of an axis is that of the rounded size the image really has, not of the size wished for.

Only the coordinates live here. Warping pixels is :mod:`limner.io.images`'; the number formats
models write boxes in are :mod:`limner.ops.box_formats`', and the sizes that makers of
vision-language models prescribe :mod:`limner.ops.vlm_sizes`'.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from limner.errors import OptionError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Size: TypeAlias = tuple[int, int]  # (width, height), at least 1 each
Rect: TypeAlias = tuple[int, int, int, int]  # (left, top, right, bottom), the last two excluded


def check_integers(what: str, values: Sequence[int], count: int) -> tuple[int, ...]:
    try:
        whole = tuple(operator.index(v) for v in values)
    except TypeError:
        whole = ()
    if len(whole) != count:
        raise OptionError(f"{what} must be {count} whole numbers, got {values!r}.")
    return whole


def check_size(what: str, wh: Sequence[int]) -> Size:
    w, h = check_integers(what, wh, 2)
    if w < 1 or h < 1:
        raise OptionError(f"{what} must be (width, height) of at least 1 pixel each, got {(w, h)}.")
    return w, h


def _rect(what: str, xyxy: Sequence[int], inside_wh: Size) -> Rect:
    x0, y0, x1, y1 = check_integers(what, xyxy, 4)
    w, h = inside_wh
    if not (0 <= x0 < x1 <= w and 0 <= y0 < y1 <= h):
        raise OptionError(
            f"{what} must be left, top, right, bottom inside a {w} x {h} image and not empty, "
            f"got {(x0, y0, x1, y1)}."
        )
    return x0, y0, x1, y1


def _rows(what: str, values: npt.ArrayLike, columns: int) -> FloatArray:
    """A new (N, columns) float64 array; nothing, in whatever shape, is N = 0."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{what} must be an (N, {columns}) array of numbers.") from None
    if array.shape == (0,):
        return array.reshape(0, columns)
    if array.ndim != 2 or array.shape[1] != columns:
        raise OptionError(f"{what} must have shape (N, {columns}), got {array.shape}.")
    if not np.isfinite(array).all():
        raise OptionError(f"{what} must be finite numbers, got NaN or infinity.")
    return array


@dataclass(frozen=True)
class Placement:
    """One rectangle of the source drawn on one of the target; the rest of the target is padding."""

    kind: str
    """The rule that chose the rectangles: "resize", "letterbox", ... A label for the record."""
    source_wh: Size
    """The image that goes in."""
    target_wh: Size
    """The image that comes out."""
    shown_xyxy: Rect
    """In pixels of the source."""
    drawn_xyxy: Rect
    """In pixels of the target."""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind in ("", "chain"):
            raise OptionError(f"A placement's kind names its rule, got {self.kind!r}.")
        source_wh = check_size("source_wh", self.source_wh)
        target_wh = check_size("target_wh", self.target_wh)
        object.__setattr__(self, "source_wh", source_wh)
        object.__setattr__(self, "target_wh", target_wh)
        object.__setattr__(self, "shown_xyxy", _rect("shown_xyxy", self.shown_xyxy, source_wh))
        object.__setattr__(self, "drawn_xyxy", _rect("drawn_xyxy", self.drawn_xyxy, target_wh))

    @property
    def steps(self) -> tuple[Placement, ...]:
        """Itself: lets a caller walk a placement and a chain alike."""
        return (self,)

    def _scale(self) -> tuple[FloatArray, FloatArray]:
        """Drawn and shown size of each axis in lowest terms: target = source * drawn / shown.

        In lowest terms, and multiplied before dividing, so that a crop adds no rounding error and
        the edges of the image land on whole pixels exactly.
        """
        sx0, sy0, sx1, sy1 = self.shown_xyxy
        dx0, dy0, dx1, dy1 = self.drawn_xyxy
        x, y = Fraction(dx1 - dx0, sx1 - sx0), Fraction(dy1 - dy0, sy1 - sy0)
        drawn = np.array([x.numerator, y.numerator], dtype=np.float64)
        return drawn, np.array([x.denominator, y.denominator], dtype=np.float64)

    def forward_points(self, xy: npt.ArrayLike) -> FloatArray:
        """(N, 2) XY in the source's pixels -> (N, 2) XY in the target's. May lie outside it."""
        drawn, shown = self._scale()
        points = _rows("Points", xy, 2)
        return (points - self.shown_xyxy[:2]) * drawn / shown + self.drawn_xyxy[:2]

    def inverse_points(self, xy: npt.ArrayLike) -> FloatArray:
        """(N, 2) XY in the target's pixels -> (N, 2) XY in the source's. May lie outside it."""
        drawn, shown = self._scale()
        points = _rows("Points", xy, 2)
        return (points - self.drawn_xyxy[:2]) * shown / drawn + self.shown_xyxy[:2]

    def then(self, after: Frame) -> Chain:
        """This first, ``after`` next."""
        return Chain((*self.steps, *after.steps))

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "source_wh": list(self.source_wh),
            "target_wh": list(self.target_wh),
            "shown_xyxy": list(self.shown_xyxy),
            "drawn_xyxy": list(self.drawn_xyxy),
        }


@dataclass(frozen=True)
class Chain:
    """Steps applied in order; each starts from the image that the one before it made."""

    steps: tuple[Placement, ...]
    """At least one. Chains among them are laid flat."""

    def __post_init__(self) -> None:
        steps = tuple(step for frame in self.steps for step in frame.steps)
        if not steps:
            raise OptionError("A chain needs at least one step.")
        for before, after in pairwise(steps):
            if before.target_wh != after.source_wh:
                raise OptionError(
                    f"A step ({after.kind}) that starts from {after.source_wh} can't follow one "
                    f"({before.kind}) that ends in {before.target_wh}."
                )
        object.__setattr__(self, "steps", steps)

    @property
    def source_wh(self) -> Size:
        """The image that goes in."""
        return self.steps[0].source_wh

    @property
    def target_wh(self) -> Size:
        """The image that comes out."""
        return self.steps[-1].target_wh

    def forward_points(self, xy: npt.ArrayLike) -> FloatArray:
        """(N, 2) XY in the source's pixels -> (N, 2) XY in the target's. May lie outside it."""
        points = _rows("Points", xy, 2)
        for step in self.steps:
            points = step.forward_points(points)
        return points

    def inverse_points(self, xy: npt.ArrayLike) -> FloatArray:
        """(N, 2) XY in the target's pixels -> (N, 2) XY in the source's. May lie outside it."""
        points = _rows("Points", xy, 2)
        for step in reversed(self.steps):
            points = step.inverse_points(points)
        return points

    def then(self, after: Frame) -> Chain:
        """These first, ``after`` next."""
        return Chain((*self.steps, *after.steps))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "chain", "steps": [step.to_dict() for step in self.steps]}


Frame: TypeAlias = Placement | Chain
"""From an image to what a model sees of it, and back."""


def forward_boxes(frame: Frame, xyxy: npt.ArrayLike, *, clip: bool = False) -> FloatArray:
    """(N, 4) XYXY in the source's pixels -> (N, 4) XYXY in the target's.

    ``clip`` cuts off what lies outside the target, as of a box that reaches out of a crop; a box
    wholly outside it is left with no area.
    """
    corners = _rows("Boxes", xyxy, 4).reshape(-1, 2)
    boxes = frame.forward_points(corners).reshape(-1, 4)
    return np.clip(boxes, 0.0, frame.target_wh * 2) if clip else boxes


def inverse_boxes(frame: Frame, xyxy: npt.ArrayLike, *, clip: bool = True) -> FloatArray:
    """(N, 4) XYXY in the target's pixels -> (N, 4) XYXY in the source's.

    ``clip`` cuts off what lies outside the source: models answer with boxes in the padding, or a
    little past the edge. It cuts at the edge of the source image, not of a crop.
    """
    corners = _rows("Boxes", xyxy, 4).reshape(-1, 2)
    boxes = frame.inverse_points(corners).reshape(-1, 4)
    return np.clip(boxes, 0.0, frame.source_wh * 2) if clip else boxes


def frame_from_dict(data: Mapping[str, Any]) -> Frame:
    """The frame whose ``to_dict`` this is; a missing or unknown key is an error."""
    chain = isinstance(data, Mapping) and data.get("kind") == "chain"
    keys = ("kind", "steps") if chain else tuple(Placement.__dataclass_fields__)
    if not isinstance(data, Mapping) or set(data) != set(keys):
        raise OptionError(f"A recorded frame has the keys {', '.join(keys)}; got {data!r}.")
    if not chain:
        return Placement(**data)
    if not isinstance(data["steps"], list):
        raise OptionError(f"A recorded chain's steps are a list, got {data['steps']!r}.")
    return Chain(tuple(step for item in data["steps"] for step in frame_from_dict(item).steps))


def _whole_rect(wh: Size) -> Rect:
    return (0, 0, *wh)


def whole_image(kind: str, source_wh: Size, target_wh: Size) -> Placement:
    """All of the source on all of the target, by the rule that ``kind`` names."""
    return Placement(kind, source_wh, target_wh, _whole_rect(source_wh), _whole_rect(target_wh))


def resize(source_wh: Size, target_wh: Size) -> Placement:
    """To exactly ``target_wh``, each axis by its own scale: OWL-ViT, CLIP-style squashing."""
    source_wh, target_wh = check_size("source_wh", source_wh), check_size("target_wh", target_wh)
    return whole_image("resize", source_wh, target_wh)


def resize_longest(source_wh: Size, longest: int) -> Placement:
    """The longer side to ``longest``, enlarging if need be: SAM (segment_anything
    ``ResizeLongestSide``, transformers ``SamImageProcessor._get_preprocess_shape``).

    The shorter side is ``int(side * scale + 0.5)`` in floating point as there, but never 0, which
    there it can be. SAM then pads at the right and bottom: follow with :func:`pad`.
    """
    w, h = check_size("source_wh", source_wh)
    longest, _ = check_size("(longest, longest)", (longest, longest))
    scale = longest * 1.0 / max(w, h)
    target_wh = (max(1, int(w * scale + 0.5)), max(1, int(h * scale + 0.5)))
    return whole_image("resize_longest", (w, h), target_wh)


def pad(source_wh: Size, target_wh: Size) -> Placement:
    """Padding at the right and the bottom; nothing is scaled, so coordinates keep their values."""
    source_wh = check_size("source_wh", source_wh)
    rect = _whole_rect(source_wh)
    return Placement("pad", source_wh, target_wh, rect, rect)


def pad_to_square(source_wh: Size) -> Placement:
    """Padding at the right or the bottom to a square of the longer side.

    OWLv2 (transformers ``Owlv2ImageProcessor.pad``) resizes that square afterwards:
    ``pad_to_square(wh).then(resize((side, side), (960, 960)))``.
    """
    side = max(check_size("source_wh", source_wh))
    return pad(source_wh, (side, side))


def letterbox(source_wh: Size, target_wh: Size, centred: bool) -> Placement:
    """Scaled to fit ``target_wh``, enlarging if need be, then padded to exactly that.

    Sizes and offsets are Ultralytics' (``LetterBox(auto=False)``: ``round(side * r)`` and
    ``round(padding / 2 - 0.1)``, so that an odd padding's extra pixel goes right and bottom).
    ``centred=False`` puts the image at the top left.
    """
    w, h = check_size("source_wh", source_wh)
    tw, th = check_size("target_wh", target_wh)
    r = min(tw / w, th / h)
    nw, nh = max(1, round(w * r)), max(1, round(h * r))
    x, y = (round((tw - nw) / 2 - 0.1), round((th - nh) / 2 - 0.1)) if centred else (0, 0)
    return Placement("letterbox", (w, h), (tw, th), (0, 0, w, h), (x, y, x + nw, y + nh))


def crop(source_wh: Size, xyxy: Rect) -> Placement:
    """The whole-pixel rectangle ``xyxy`` of the source, unscaled."""
    source_wh = check_size("source_wh", source_wh)
    x0, y0, x1, y1 = _rect("A crop", xyxy, source_wh)
    target_wh = (x1 - x0, y1 - y0)
    return Placement("crop", source_wh, target_wh, (x0, y0, x1, y1), _whole_rect(target_wh))


def _tile_starts(side: int, tile: int, overlap: int) -> list[int]:
    """Evenly spread, so that the needed extra overlap isn't all at the last tile."""
    if side <= tile:
        return [0]
    gaps = math.ceil((side - tile) / (tile - overlap))
    return [i * (side - tile) // gaps for i in range(gaps + 1)]


def tiles(source_wh: Size, tile_wh: Size, overlap_wh: Size = (0, 0)) -> list[Placement]:
    """Crops that together cover every pixel, row by row from the top left.

    Each is exactly ``tile_wh``, or the image's own width or height where that is smaller;
    neighbours share at least ``overlap_wh`` pixels.
    """
    w, h = check_size("source_wh", source_wh)
    tw, th = check_size("tile_wh", tile_wh)
    ow, oh = check_integers("overlap_wh", overlap_wh, 2)
    if not (0 <= ow < tw and 0 <= oh < th):
        raise OptionError(
            f"overlap_wh must be at least 0 and less than the tile {(tw, th)}, got {(ow, oh)}."
        )
    return [
        crop((w, h), (x, y, x + min(tw, w), y + min(th, h)))
        for y in _tile_starts(h, th, oh)
        for x in _tile_starts(w, tw, ow)
    ]
