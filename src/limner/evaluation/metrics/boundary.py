"""How well two outlines of one thing agree: by area (``masks.iou``) and along the border.

Area forgives a ragged border on a large thing. Two measures that don't:

- ``boundary_f``: DAVIS' contour accuracy F (Perazzi et al. 2016, "A Benchmark Dataset and
  Evaluation Methodology for Video Object Segmentation"; ``db_eval_boundary`` in its code). It is
  the one meant wherever limner says *boundary F*.
- ``boundary_iou``: Boundary IoU (Cheng et al. 2021, arXiv:2103.16562), whose band grows with the
  picture and which punishes errors of small things less than F does.
"""

from __future__ import annotations

import math

import numpy as np

from limner.errors import InputError
from limner.ops import masks
from limner.rle import BoolMask

DAVIS_TOLERANCE = 0.008
"""Distance that counts as agreeing, in parts of the picture's diagonal."""
BAND = 0.02
"""Width of Boundary IoU's band, in parts of the picture's diagonal."""


def boundary_f(prediction: BoolMask, truth: BoolMask, tolerance: float = DAVIS_TOLERANCE) -> float:
    """DAVIS' F = 2 P R / (P + R) of the two contours, 0 to 1.

    P is the part of the prediction's contour within ``theta = ceil(tolerance * diagonal)`` pixels
    of the truth's, R the part of the truth's within theta of the prediction's. Two masks without
    any contour agree (1); where only one has none, F is 0.

    Args:
        prediction, truth: (H, W) bool.

    Raises:
        InputError: masks of different sizes.
    """
    _check_alike(prediction, truth)
    theta = math.ceil(tolerance * math.hypot(*truth.shape))
    predicted, true = contour(prediction), contour(truth)
    if not predicted.any() and not true.any():
        return 1.0
    if not predicted.any() or not true.any():
        return 0.0
    precision = float((predicted & masks.dilate(true, theta)).sum() / predicted.sum())
    recall = float((true & masks.dilate(predicted, theta)).sum() / true.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_iou(prediction: BoolMask, truth: BoolMask, band: float = BAND) -> float:
    """IoU of the two inner bands of ``max(1, round(band * diagonal))`` pixels, 0 to 1.

    The band is measured by a disc; the paper's code erodes by a square, whose band is wider at
    corners. Two empty masks: 1.

    Raises:
        InputError: masks of different sizes.
    """
    _check_alike(prediction, truth)
    width = max(1, round(band * math.hypot(*truth.shape)))
    inner = masks.boundary(prediction, width), masks.boundary(truth, width)
    return masks.iou(*inner) if inner[0].any() or inner[1].any() else 1.0


def contour(mask: BoolMask) -> BoolMask:
    """Pixels that differ from the one to the right, below, or both: DAVIS' ``seg2bmap``.

    One pixel wide, and the image's frame is no contour.
    """
    edge = np.zeros_like(mask, dtype=bool)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _check_alike(prediction: BoolMask, truth: BoolMask) -> None:
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise InputError(
            "A mask is compared with another of the same (H, W), "
            f"got {prediction.shape} and {truth.shape}."
        )
