"""From the two outputs of a YOLOv8 segmentation network to masks of the original image.

The head (Ultralytics YOLOv8-seg, after YOLACT, Bolya et al. 2019, arXiv 1904.02689) gives for each
of A anchor cells a box, a score and 32 coefficients, and once an image 32 prototypes at a quarter
of its input's size. A mask is the sum of the prototypes weighted by a box's coefficients, cut at 0
and cropped to that box. The graph has already turned its box distributions into boxes and its
scores into probabilities.

Rows are those of Ultralytics 8.4 (``non_max_suppression``, then ``process_mask_native``, which
``retina_masks`` chooses: masks are enlarged to the original before they are cut, so that their
borders are smooth there, not steps of four pixels). Where an image lies in the prototypes follows
from its frame exactly. Ultralytics cuts whole cells out, after enlarging them two or four times
where a border lies within a cell; with the padding a multiple of 8 pixels both are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner import frames, masks
from limner.models.candidates import suppress
from limner.rle import BoolMask

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
        return self.masks.bbox_xyxy.astype(np.int64) + [0, 0, 1, 1]

    @cached_property
    def area(self) -> npt.NDArray[np.int64]:
        """(N,) pixels."""
        return np.asarray(self.masks.area, dtype=np.int64)


def decode(
    raw: Floats, prototypes: Floats, frame: frames.Placement, *, conf: float, iou: float
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
    kept = suppress(xyxy, rows[:, 4], one_class, threshold=iou, class_agnostic=True)[:MOST]
    boxes = frames.inverse_boxes(frame, xyxy[kept])
    found = []
    for row, box in zip(kept, boxes, strict=True):
        logits = np.tensordot(rows[row, 5:], prototypes, 1)
        if (one := _cut(logits, box, frame)) is not None:
            found.append((one, rows[row, 4]))
    shape = frame.source_wh[::-1]
    if not found:
        return Things(compact(np.zeros((0, *shape), bool), (0, 0), shape), np.zeros(0, np.float32))
    return Things(
        sv.CompactMask.merge([one for one, _ in found]),
        np.array([score for _, score in found], dtype=np.float32),
    )


def _cut(
    logits: Floats, box: npt.NDArray[np.float64], frame: frames.Placement
) -> sv.CompactMask | None:
    """The mask of (h, w) ``logits`` within ``box`` of the original; None if no pixel is left.

    A pixel belongs to the box if its left and upper edge do.
    """
    x0, y0, x1, y1 = (math.ceil(side) for side in box)
    if x0 >= x1 or y0 >= y1:
        return None
    height, width = logits.shape
    columns = _cells(np.arange(x0, x1), 0, frame, width)
    rows = _cells(np.arange(y0, y1), 1, frame, height)
    inside = enlarge(logits, rows, columns) > 0
    tight = masks.box_of(inside)
    if tight is None:
        return None
    left, top, right, bottom = tight
    return compact(
        inside[None, top:bottom, left:right], (x0 + left, y0 + top), frame.source_wh[::-1]
    )


def _cells(
    pixels: npt.NDArray[np.int64], axis: int, frame: frames.Placement, cells: int
) -> npt.NDArray[np.float64]:
    """Where the centres of pixels of the original lie among ``cells`` prototype cells, whose own
    centres are whole numbers; no nearer to the padding than the outermost whole cell of the image.
    """
    centres = np.zeros((len(pixels), 2))
    centres[:, axis] = pixels + 0.5
    per_cell = frame.target_wh[axis] / cells
    at = frame.forward_points(centres)[:, axis] / per_cell - 0.5
    first, last = (frame.drawn_xyxy[axis + side] / per_cell for side in (0, 2))
    return np.clip(at, first, max(first, last - 1))


def enlarge(
    logits: Floats, rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> Floats:
    """(h, w) values read between their cells, linearly, at (R,) rows x (C,) columns."""
    top = math.floor(rows[0])
    part = logits[top : math.floor(rows[-1]) + 2]
    across = _between(part, columns, 1)
    return _between(across, rows - top, 0)


def _between(values: Floats, at: npt.NDArray[np.float64], axis: int) -> Floats:
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    weight = (at - low).astype(np.float32)
    weight = weight[None, :] if axis else weight[:, None]
    return np.asarray(
        values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight, dtype=np.float32
    )


def compact(
    crop: BoolMask, offset_xy: tuple[int, int], image_shape: tuple[int, int]
) -> sv.CompactMask:
    """(N, h, w) masks that lie at ``offset_xy`` in an image of (H, W), as run lengths."""
    count, height, width = crop.shape
    whole = np.tile([0, 0, width - 1, height - 1], (count, 1))
    made = sv.CompactMask.from_dense(crop, whole, image_shape=(height, width))
    return made.with_offset(*offset_xy, new_image_shape=image_shape)
