"""Which parts of a photograph an edit looks at: one crop for each group of neighbouring things.

Two small things in opposite corners are two crops at their own resolution, not one crop of the
whole photograph made small. Things whose surroundings overlap share a crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from limner import images, masks
from limner.images import IntBox
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
        return images.crop_around_box(
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
    return Crop(xyxy, images.working_size(size_wh, inpainter.grid, inpainter.native_size))


def _merged(boxes: list[IntBox], around: Callable[[IntBox], IntBox]) -> list[IntBox]:
    """Boxes joined until no two crops around them overlap."""
    groups: list[tuple[IntBox, IntBox]] = []
    waiting = [(box, around(box)) for box in boxes]
    while waiting:
        box, crop = waiting.pop()
        near = next((group for group in groups if _overlap(group[1], crop)), None)
        if near is None:
            groups.append((box, crop))
        else:
            groups.remove(near)
            both = _enclosing(near[0], box)
            waiting.append((both, around(both)))
    return sorted(box for box, _ in groups)


def _overlap(a: IntBox, b: IntBox) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _enclosing(a: IntBox, b: IntBox) -> IntBox:
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
