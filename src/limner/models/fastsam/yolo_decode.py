"""From the two outputs of a YOLOv8 segmentation network to masks of the original image.

The head (Ultralytics YOLOv8-seg, after YOLACT, Bolya et al. 2019, arXiv 1904.02689) gives for each
of A anchor cells a box, a score and 32 coefficients, and once an image 32 prototypes at a quarter
of its input's size. A mask is the sum of the prototypes weighted by a box's coefficients, cut at 0
and cropped to that box. The graph has already turned its box distributions into boxes and its
scores into probabilities.

Rows are those of Ultralytics 8.4 (``non_max_suppression``, then ``process_mask_native``, which
``retina_masks`` chooses: masks are enlarged to the original before they are cut, so that their
borders are smooth there, not steps of four pixels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.models.blocks.nms import suppress
from limner.ops import masks, transforms
from limner.ops.detections import compact

Floats = npt.NDArray[np.float32]

COEFFICIENTS = 32
MOST = 300
"""Boxes that are kept, best first (``max_det``)."""


@dataclass(frozen=True, eq=False)
class Things:
    """All masks of one image, best first; no mask is empty."""

    masks: sv.CompactMask
    """(N, H, W); each kept within its own bounding box."""
    confidence: Floats
    """(N,) 0..1: how sure the network is that this is a thing, and how well its box fits."""

    def __len__(self) -> int:
        return len(self.confidence)

    @cached_property
    def xyxy(self) -> npt.NDArray[np.int64]:
        """(N, 4) bounding boxes, right and bottom excluded (supervision includes them)."""
        return np.asarray(self.masks.bbox_xyxy + np.array([0, 0, 1, 1]), dtype=np.int64)

    @cached_property
    def area(self) -> npt.NDArray[np.int64]:
        """(N,) pixels."""
        return np.asarray(self.masks.area, dtype=np.int64)


def decode(
    raw: Floats, prototypes: Floats, frame: transforms.Placement, *, conf: float, iou: float
) -> Things:
    """The masks of one image.

    Args:
        raw: (37, A) of the network: box as centre x, y, width and height in pixels of its input,
            score, 32 coefficients.
        prototypes: (32, h, w).
        frame: from the original to the network's input.
        conf: a box's score must be above it.
        iou: of two boxes that overlap more, the better one stays.
    """
    rows = raw[:, raw[4] > conf].T
    centre, size = rows[:, :2], rows[:, 2:4]
    xyxy = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    one_class = np.zeros(len(rows), dtype=np.int64)
    best = suppress(xyxy, rows[:, 4], one_class, threshold=iou, class_agnostic=True)[:MOST]
    boxes = transforms.inverse_boxes(frame, xyxy[best])
    height, width = prototypes.shape[1:]
    across, down = axis_weights(frame, 0, width), axis_weights(frame, 1, height)
    things = []
    for row, box in zip(best, boxes, strict=True):
        logits = np.tensordot(rows[row, 5:], prototypes, 1)
        if (crop := _cut(logits, box, across, down)) is not None:
            things.append((compact(crop), rows[row, 4]))
    if not things:
        return no_things(frame.source_wh[::-1])
    return Things(
        sv.CompactMask.merge([mask for mask, _ in things]),
        np.array([score for _, score in things], dtype=np.float32),
    )


def no_things(shape: tuple[int, int]) -> Things:
    """Of an image of (H, W) in which nothing was seen."""
    nothing, boxes = np.zeros((0, *shape), bool), np.zeros((0, 4), np.int64)
    return Things(
        sv.CompactMask.from_dense(nothing, boxes, image_shape=shape), np.zeros(0, np.float32)
    )


def _cut(
    logits: Floats, box: npt.NDArray[np.float64], across: Floats, down: Floats
) -> masks.MaskCrop | None:
    """The mask of (h, w) ``logits`` within ``box`` of the original; None if no pixel is left.

    A pixel belongs to the box if its left and upper edge do.
    """
    x0, y0, x1, y1 = (math.ceil(side) for side in box)
    if x0 >= x1 or y0 >= y1:
        return None
    inside = down[y0:y1] @ logits @ across[x0:x1].T > 0
    tight = masks.box_of(inside)
    if tight is None:
        return None
    left, top, right, bottom = tight
    size_wh = (len(across), len(down))
    return masks.MaskCrop(inside[top:bottom, left:right], x0 + left, y0 + top, size_wh)


def axis_weights(frame: transforms.Placement, axis: int, cells: int) -> Floats:
    """(pixels of the original, ``cells``) how much of each prototype cell a pixel has, along x (0)
    or y (1): rows add up to 1.

    Linear interpolation between the centres of the cells that the image covers. Where its border
    lies within a cell, cells are first enlarged, linearly, until it doesn't.
    """
    per_cell = frame.target_wh[axis] // cells
    whole = (n for n in (1, 2) if not any(side * n % per_cell for side in frame.drawn_xyxy))
    finer = next(whole, per_cell)
    first, last = (frame.drawn_xyxy[axis + side] * finer // per_cell for side in (0, 2))
    pixels = frame.source_wh[axis]
    at = first + (np.arange(pixels) + 0.5) * (last - first) / pixels - 0.5
    weights = _linear(np.clip(at, first, last - 1), cells * finer)
    if finer > 1:
        at = (np.arange(cells * finer) + 0.5) / finer - 0.5
        weights = weights @ _linear(np.clip(at, 0, cells - 1), cells)
    return weights


def _linear(at: npt.NDArray[np.float64], cells: int) -> Floats:
    """(N, ``cells``) weights that read values at N places between cells 0, 1, 2, ..."""
    low = np.floor(at).astype(np.int64)
    rows = np.arange(len(at))
    weights = np.zeros((len(at), cells), dtype=np.float32)
    weights[rows, np.minimum(low + 1, cells - 1)] = at - low
    weights[rows, low] += 1 - (at - low)
    return weights
