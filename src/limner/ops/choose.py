"""Which rows of detections are meant, decided on their boxes alone.

Detectors can't do negation, order or number reliably ("a person without sunglasses" boxes the
sunglasses), so those are done here, deterministically. Functions return new values; none edits its
argument.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.ops import detections as dets
from limner.prompts import Box

NOT_OVERLAP = 0.5
"""Part of a negative box that must lie in a box for it to be subtracted: worn sunglasses lie almost
wholly in their person's box, the neighbour's do not."""


def subtract(
    detections: sv.Detections, negatives: sv.Detections, overlap: float = NOT_OVERLAP
) -> sv.Detections:
    """Rows that hold none of ``negatives``: "a person, not sunglasses".

    A row is dropped when at least ``overlap`` of a negative box's area lies in it, or at least
    ``overlap`` of its own area lies in a negative box ("a dog, not a poodle").
    """
    if not len(detections) or not len(negatives):
        return detections
    shared = dets.intersection(detections.xyxy, negatives.xyxy)
    of_negative = shared / np.maximum(dets.area(negatives.xyxy), 1e-9)[None, :]
    of_row = shared / np.maximum(dets.area(detections.xyxy), 1e-9)[:, None]
    hit = (np.maximum(of_negative, of_row) >= overlap).any(axis=1)
    return dets.take(detections, ~hit)


def largest(detections: sv.Detections, count: int = 1) -> sv.Detections:
    """The ``count`` rows of the largest boxes, largest first."""
    return _first(detections, -dets.area(detections.xyxy), count)


def smallest(detections: sv.Detections, count: int = 1) -> sv.Detections:
    return _first(detections, dets.area(detections.xyxy), count)


def leftmost(detections: sv.Detections, count: int = 1) -> sv.Detections:
    """The ``count`` rows whose centres lie furthest left, leftmost first."""
    return _first(detections, _centres(detections)[:, 0], count)


def rightmost(detections: sv.Detections, count: int = 1) -> sv.Detections:
    return _first(detections, -_centres(detections)[:, 0], count)


def topmost(detections: sv.Detections, count: int = 1) -> sv.Detections:
    return _first(detections, _centres(detections)[:, 1], count)


def bottommost(detections: sv.Detections, count: int = 1) -> sv.Detections:
    return _first(detections, -_centres(detections)[:, 1], count)


def best(detections: sv.Detections, count: int = 1) -> sv.Detections:
    """The ``count`` rows of the highest scores."""
    return dets.take(dets.by_confidence(detections), slice(count))


def nearest(detections: sv.Detections, x: float, y: float, count: int = 1) -> sv.Detections:
    """The ``count`` rows whose boxes lie nearest to a point; a box holding it is at distance 0.

    Of several that hold it the one whose centre is nearest comes first.
    """
    point = np.array([x, y])
    before, beyond = detections.xyxy[:, :2] - point, point - detections.xyxy[:, 2:]
    outside = np.maximum(np.maximum(before, beyond), 0)
    distance = np.hypot(*outside.T)
    to_centre = np.hypot(*(_centres(detections) - point).T)
    order = np.lexsort((to_centre, distance))[:count]
    return dets.take(detections, order)


def inside(detections: sv.Detections, box: Box, overlap: float = 0.5) -> sv.Detections:
    """Rows with at least ``overlap`` of their area inside ``box``."""
    shared = dets.intersection(detections.xyxy, np.array([box.xyxy]))[:, 0]
    return dets.take(detections, shared >= overlap * np.maximum(dets.area(detections.xyxy), 1e-9))


def _centres(detections: sv.Detections) -> npt.NDArray[np.float64]:
    return np.asarray((detections.xyxy[:, :2] + detections.xyxy[:, 2:]) / 2, dtype=np.float64)


def _first(detections: sv.Detections, key: npt.NDArray[np.float64], count: int) -> sv.Detections:
    return dets.take(detections, np.argsort(key, kind="stable")[:count])


Counted = Callable[[sv.Detections, int], sv.Detections]

ORDERS: dict[str, Counted] = {
    "best": best,
    "largest": largest,
    "smallest": smallest,
    "leftmost": leftmost,
    "rightmost": rightmost,
    "topmost": topmost,
    "bottommost": bottommost,
}
"""Selections by order; each takes how many to keep."""
