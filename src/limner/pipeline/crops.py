"""Which parts of a photograph an edit looks at: one crop for each group of neighbouring things.

Two small things in opposite corners are two crops at their own resolution, not one crop of the
whole photograph made small. Things whose surroundings overlap share a crop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from limner.errors import PromptError
from limner.ops import masks
from limner.ops.masks import IntBox
from limner.prompts import BoolMask
from limner.protocols import Inpainter

LEAST_CROP = 4
"""A crop is at least this part (1/4) of a model's native size: enlarged more than fourfold, a speck
and its surroundings show the model nothing but blur."""

LEAST_MARGIN = 8
"""px: what a crop shows around the mask, where the image has it, even with a context of 0: a model
that continues the surroundings must see some."""

MOST_CROPS = 16
"""Things in more places than this are repainted in one crop: each crop is a run of the model."""


@dataclass(frozen=True)
class Crop:
    """``xyxy`` of the original, seen by the model at ``working_wh``."""

    xyxy: IntBox
    working_wh: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        return {"xyxy": list(self.xyxy), "working_wh": list(self.working_wh)}


def crops_for(mask: BoolMask, inpainter: Inpainter, context: float) -> list[Crop]:
    """Crops that don't overlap and that hold all of ``mask``, each with its context.

    Args:
        mask: (H, W) bool, not empty.
        context: space around a thing, in parts of its longer side.
    """
    size_wh = (mask.shape[1], mask.shape[0])

    def around(box: IntBox) -> IntBox:
        side = max(box[2] - box[0], box[3] - box[1])
        return crop_around_box(
            box,
            size_wh,
            context=max(context, LEAST_MARGIN / side),
            grid=inpainter.grid,
            minimum=(inpainter.native_size or 0) // LEAST_CROP,
        )

    boxes = masks.part_boxes(mask)
    if len(boxes) <= masks.MOST_PARTS:
        boxes = _merged(boxes, around)
    if len(boxes) > MOST_CROPS:
        boxes = [masks.box_of(mask) or (0, 0, *size_wh)]
    return [_crop(around(box), inpainter) for box in boxes]


def _crop(xyxy: IntBox, inpainter: Inpainter) -> Crop:
    x0, y0, x1, y1 = xyxy
    size_wh = (x1 - x0, y1 - y0)
    return Crop(xyxy, working_size(size_wh, inpainter.grid, inpainter.native_size))


def _merged(boxes: list[IntBox], around: Callable[[IntBox], IntBox]) -> list[IntBox]:
    """Boxes joined until no two crops around them overlap."""
    groups: list[tuple[IntBox, IntBox]] = []
    waiting = [(box, around(box)) for box in boxes]
    while waiting:
        box, crop = waiting.pop()
        neighbour = next((group for group in groups if _overlap(group[1], crop)), None)
        if neighbour is None:
            groups.append((box, crop))
        else:
            groups.remove(neighbour)
            joined = _enclosing(neighbour[0], box)
            waiting.append((joined, around(joined)))
    return sorted(box for box, _ in groups)


def _overlap(a: IntBox, b: IntBox) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _enclosing(a: IntBox, b: IntBox) -> IntBox:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def crop_around(
    mask: BoolMask,
    *,
    context: float,
    grid: int,
    minimum: int | None = None,
    size_wh: tuple[int, int] | None = None,
) -> IntBox:
    """The part of the image that an edit of ``mask`` works on.

    The mask's bounding box, grown on every side by ``context`` times its longer side. It is moved
    to lie inside the image before it is made smaller, and its sides are multiples of ``grid`` where
    image and mask allow that, so that the model can see it unscaled.

    Args:
        mask: (H, W) bool over the whole image.
        minimum: least length of a side in pixels, where the image is that large.
        size_wh: the image's size, checked against the mask's when given.

    Raises:
        PromptError: the mask is empty, or of another size than the image.
    """
    height, width = mask.shape
    if size_wh not in (None, (width, height)):
        raise PromptError(
            f"The mask is {width}x{height} pixels and the image {size_wh[0]}x{size_wh[1]}: "
            "a mask covers the whole image, pixel for pixel."
        )
    if not mask.any():
        raise PromptError("The mask is empty: there is nothing to crop around.")
    spans = [np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1)]
    (x0, x1), (y0, y1) = [(int(span[0]), int(span[-1]) + 1) for span in spans]
    return crop_around_box(
        (x0, y0, x1, y1), (width, height), context=context, grid=grid, minimum=minimum
    )


def crop_around_box(
    box: IntBox, size_wh: tuple[int, int], *, context: float, grid: int, minimum: int | None = None
) -> IntBox:
    """``crop_around`` for a mask whose bounding box is known."""
    x0, y0, x1, y1 = box
    width, height = size_wh
    margin = context * max(x1 - x0, y1 - y0)
    left, right = _span(x0, x1, margin, grid, minimum or 0, width)
    top, bottom = _span(y0, y1, margin, grid, minimum or 0, height)
    return left, top, right, bottom


def _span(
    low: int, high: int, margin: float, grid: int, minimum: int, side: int
) -> tuple[int, int]:
    """One axis of ``crop_around``: ``[low, high)`` grown, within ``[0, side)``."""
    wanted = max(high - low + 2 * margin, minimum)
    length = math.ceil(wanted / grid) * grid
    if length > side:
        largest = side // grid * grid
        length = largest if largest >= high - low and largest > 0 else side
    start = math.floor((low + high - length) / 2)
    start = min(max(start, 0), side - length)
    return start, start + length


def working_size(crop_wh: tuple[int, int], grid: int, native_size: int | None) -> tuple[int, int]:
    """The size at which a model sees a crop: multiples of ``grid``, its aspect ratio kept.

    With a ``native_size`` the area comes near ``native_size ** 2``, smaller crops enlarged too (a
    diffusion model paints a 400 px crop better at its own 512), and no side exceeds twice the
    native one. Without, the crop is never enlarged, unless a side is shorter than ``grid``.
    """
    if native_size is None:
        width, height = (max(grid, side // grid * grid) for side in crop_wh)
        return width, height
    scale = min(native_size / math.sqrt(math.prod(crop_wh)), 2 * native_size / max(crop_wh))
    width, height = (max(grid, round(side * scale / grid) * grid) for side in crop_wh)
    return width, height
