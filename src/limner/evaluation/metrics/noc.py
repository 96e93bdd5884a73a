"""Interactive segmentation, simulated: where a patient person would click next, and how often.

The protocol is RITM's (Sofiiuk et al. 2021, arXiv:2102.06583; in its code ``Clicker`` and
``compute_noc_metric``), the one behind the published NoC tables. "The centre of the largest error
region" is there the pixel that lies deepest in what is wrong, so *largest* means the region that
holds the largest disc, not the one with the most pixels: a long thin seam is no place to click.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from limner.errors import InputError
from limner.ops import masks
from limner.prompts import Point
from limner.rle import BoolMask

Segment = Callable[[Sequence[Point], BoolMask | None], BoolMask]
"""All clicks so far and the mask before the last of them (None at first) -> (H, W) bool."""

LIMIT = 20
"""Clicks after which the published tables give an object up."""


def first_click(mask: BoolMask) -> tuple[float, float]:
    """``(x, y)``, the centre of the pixel deepest inside an (H, W) mask; ties: topmost, leftmost.

    Raises:
        InputError: the mask is empty.
    """
    click = next_click(np.zeros_like(mask, dtype=bool), mask)
    if click is None:
        raise InputError("There is nowhere to click: the mask is empty.")
    return click.x, click.y


def next_click(
    prediction: BoolMask, truth: BoolMask, clicked: Sequence[Point] = ()
) -> Point | None:
    """The pixel deepest in what is wrong: foreground where it is missing, else background.

    Distances are Euclidean and the image's border counts as the end of a region. When a missing and
    a surplus region are equally deep the surplus one is clicked, as in RITM.

    Args:
        prediction: (H, W) bool.
        truth: (H, W) bool.
        clicked: earlier clicks, whose pixels are not clicked again.

    Returns:
        None when the masks are equal, or when every wrong pixel has been clicked already.

    Raises:
        InputError: masks of different sizes.
    """
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise InputError(
            "A mask is compared with another of the same (H, W), "
            f"got {prediction.shape} and {truth.shape}."
        )
    missing, surplus = _depth(truth & ~prediction), _depth(prediction & ~truth)
    for point in clicked:
        missing[int(point.y), int(point.x)] = surplus[int(point.y), int(point.x)] = 0
    foreground = bool(missing.max() > surplus.max())
    depth = missing if foreground else surplus
    if not depth.any():
        return None
    y, x = np.unravel_index(np.argmax(depth), depth.shape)
    return Point(int(x) + 0.5, int(y) + 0.5, foreground)


def noc(
    ious_per_object: Sequence[Sequence[float]], threshold: float, limit: int = LIMIT
) -> tuple[float, int]:
    """NoC@``threshold``: mean number of clicks to that IoU, and how many objects never reached it.

    An object that fails counts as ``limit`` clicks. (RITM also counts one that is reached by the
    very last click as failed; here it is not.)

    Args:
        ious_per_object: for each object the IoU after each click, as ``simulate`` returns it.

    Raises:
        InputError: no objects, or a threshold outside (0, 1].
    """
    if not ious_per_object:
        raise InputError("There are no objects to average clicks over.")
    if not 0 < threshold <= 1:
        raise InputError(f"An IoU to reach lies above 0 and up to 1, got {threshold}.")
    reached = [
        next((k for k, iou in enumerate(ious[:limit], start=1) if iou >= threshold), None)
        for ious in ious_per_object
    ]
    clicks = [limit if k is None else k for k in reached]
    return sum(clicks) / len(clicks), reached.count(None)


def simulate(segment: Segment, truth: BoolMask, clicks: int = LIMIT) -> list[float]:
    """Click, segment, click where it is most wrong: the IoU after each click.

    Shorter than ``clicks`` when nothing is left to click: the mask became equal to the truth, or
    every wrong pixel has been clicked.

    Raises:
        InputError: an empty truth, or a mask of another size from ``segment``.
    """
    first_click(truth)  # refuses what can't be clicked, before any model runs
    points: list[Point] = []
    before: BoolMask | None = None
    ious: list[float] = []
    for _ in range(clicks):
        click = next_click(np.zeros_like(truth) if before is None else before, truth, points)
        if click is None:
            break
        points.append(click)
        before = np.asarray(segment(tuple(points), before), dtype=bool)
        if before.shape != truth.shape:
            raise InputError(
                f"The segmenter gave a mask of {before.shape}; the truth's is {truth.shape}."
            )
        ious.append(masks.iou(before, truth))
    return ious


def _depth(region: BoolMask) -> npt.NDArray[np.float64]:
    """(H, W) distance of each pixel of the region to the nearest one outside it."""
    return np.asarray(distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1], dtype=np.float64)
