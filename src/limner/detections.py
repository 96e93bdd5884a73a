"""Our keys on ``sv.Detections``, and what can be decided on boxes alone.

``sv.Detections`` is used unchanged. Keys in ``.data``, one value a row:

============== ============ ====================================================================
class_name     str          the phrase, or how the prompt was given ("point", "box", ...)
prompt_index   int64        which prompt the row answers; equals ``class_id``
mask_score     float32      the model's own estimate of the mask's quality
candidates     object       sequence of ``(mask (H, W) bool, score)``, where kept; the first is the
                            row's own, the rest follow in the model's order of preference
seen_xyxy      (4,) int64   of tiles or zoom: the part of the picture in which the box was seen;
                            zeros where no detector was asked
agreed         object       of a consensus: tuple of ``pipeline.consensus.Opinion``, surest first;
                            empty where no detector was asked
============== ============ ====================================================================

Detectors can't do negation, order or number reliably ("a person without sunglasses" boxes the
sunglasses), so those are done here, deterministically, on the boxes. Functions return new values;
none edits its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.prompts import BoolMask, Box, VisualPrompt

Boxes = npt.NDArray[np.number[Any]]

NOT_OVERLAP = 0.5
"""Part of a negative box that must lie in a box for it to be subtracted: worn sunglasses lie almost
wholly in their person's box, the neighbour's do not."""


def make(
    xyxy: Boxes,
    confidence: npt.ArrayLike,
    prompt_index: npt.ArrayLike,
    class_name: Sequence[str],
) -> sv.Detections:
    """Detections with our keys; zero rows are welcome.

    Args:
        xyxy: (N, 4) pixels of the original image.
        confidence: (N,) 0..1; a model's estimate beyond that, as a predicted IoU of 1.02, is cut.
        prompt_index: (N,) which prompt each row answers.
        class_name: N names.
    """
    index = np.asarray(prompt_index, dtype=np.int64).reshape(-1)
    return sv.Detections(
        xyxy=np.asarray(xyxy, dtype=np.float32).reshape(-1, 4),
        confidence=shares(confidence),
        class_id=index,
        data={"class_name": np.asarray(class_name, dtype=str), "prompt_index": index.copy()},
    )


def shares(scores: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """(N,) scores within 0..1: who reads COCO takes a score for a share."""
    return np.clip(np.asarray(scores, dtype=np.float32).reshape(-1), 0, 1)


def empty(*, with_mask_keys: bool = False) -> sv.Detections:
    """No rows, all keys."""
    none = make(np.empty((0, 4)), [], [], [])
    return with_masks(none, [], [], candidates=[]) if with_mask_keys else none


def mask_of(detections: sv.Detections, row: int) -> BoolMask:
    """(H, W) bool of one row, whether the masks are stored dense or compact."""
    if detections.mask is None:
        raise ValueError("These detections have boxes only, no masks.")
    return np.asarray(detections.mask[row], dtype=bool)


def take(detections: sv.Detections, rows: Any) -> sv.Detections:
    """The rows picked by an index array, bool array or slice, as new detections."""
    return cast(sv.Detections, detections[rows])


def copy(detections: sv.Detections) -> sv.Detections:
    """The same rows in a value of their own."""
    return take(detections, np.arange(len(detections)))


def with_masks(
    detections: sv.Detections, masks: Sequence[BoolMask], scores: npt.ArrayLike, **data: Any
) -> sv.Detections:
    """The same rows with ``mask`` (N, H, W) bool, ``mask_score`` and further ``data`` columns."""
    made = copy(detections)
    made.mask = np.stack(masks) if len(masks) else None
    made.data["mask_score"] = shares(scores)
    for key, values in data.items():
        made = with_column(made, key, values)
    return made


def with_column(detections: sv.Detections, key: str, values: Sequence[Any]) -> sv.Detections:
    """The same rows with a column of objects in ``.data``, one a row."""
    made = copy(detections)
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):  # at once, numpy would take tuples apart
        column[row] = value
    made.data[key] = column
    return made


def answering(detections: sv.Detections, prompt_index: int) -> sv.Detections:
    """The same rows as answers to the prompt of that index."""
    made = copy(detections)
    made.class_id = np.full(len(made), prompt_index, dtype=np.int64)
    made.data["prompt_index"] = made.class_id.copy()
    return made


def merge(parts: Sequence[sv.Detections]) -> sv.Detections:
    """All rows in one, in order; only the keys that every part has are kept, masks likewise."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return parts[0] if parts else empty()
    keys = set.intersection(*(set(part.data) for part in filled))
    masked = all(part.mask is not None for part in filled)
    slim = []
    for part in filled:
        part = copy(part)
        part.mask = part.mask if masked else None
        part.data = {key: value for key, value in part.data.items() if key in keys}
        slim.append(part)
    return sv.Detections.merge(slim)


def by_confidence(detections: sv.Detections) -> sv.Detections:
    """Best first; equal scores keep their order."""
    if detections.confidence is None:
        return detections
    return take(detections, np.argsort(-detections.confidence, kind="stable"))


# --- what is decided on boxes -------------------------------------------------------------------


def area(xyxy: Boxes) -> npt.NDArray[np.float64]:
    """(N,) square pixels of (N, 4) boxes."""
    sides = np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None).astype(np.float64)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersection(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """(N, M) square pixels shared by each of (N, 4) and each of (M, 4) boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.clip(high - low, 0, None).astype(np.float64)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """(N, M) intersection over union of each of (N, 4) and each of (M, 4) boxes; 0 for no area."""
    shared = intersection(a, b)
    together = area(a)[:, None] + area(b)[None, :] - shared
    return np.asarray(shared / np.maximum(together, 1e-9))


def subtract(
    detections: sv.Detections, negatives: sv.Detections, overlap: float = NOT_OVERLAP
) -> sv.Detections:
    """Rows that hold none of ``negatives``: "a person, not sunglasses".

    A row is dropped when at least ``overlap`` of a negative box's area lies in it, or at least
    ``overlap`` of its own area lies in a negative box ("a dog, not a poodle").
    """
    if not len(detections) or not len(negatives):
        return detections
    shared = intersection(detections.xyxy, negatives.xyxy)
    of_negative = shared / np.maximum(area(negatives.xyxy), 1e-9)[None, :]
    of_row = shared / np.maximum(area(detections.xyxy), 1e-9)[:, None]
    hit = (np.maximum(of_negative, of_row) >= overlap).any(axis=1)
    return take(detections, ~hit)


def largest(detections: sv.Detections, count: int = 1) -> sv.Detections:
    """The ``count`` rows of the largest boxes, largest first."""
    return _first(detections, -area(detections.xyxy), count)


def smallest(detections: sv.Detections, count: int = 1) -> sv.Detections:
    return _first(detections, area(detections.xyxy), count)


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
    return take(by_confidence(detections), slice(count))


def nearest(detections: sv.Detections, x: float, y: float, count: int = 1) -> sv.Detections:
    """The ``count`` rows whose boxes lie nearest to a point; a box holding it is at distance 0.

    Of several that hold it the one whose centre is nearest comes first.
    """
    at = np.array([x, y])
    outside = np.maximum(np.maximum(detections.xyxy[:, :2] - at, at - detections.xyxy[:, 2:]), 0)
    distance = np.hypot(*outside.T)
    to_centre = np.hypot(*(_centres(detections) - at).T)
    order = np.lexsort((to_centre, distance))[:count]
    return take(detections, order)


def inside(detections: sv.Detections, box: Box, overlap: float = 0.5) -> sv.Detections:
    """Rows with at least ``overlap`` of their area inside ``box``."""
    shared = intersection(detections.xyxy, np.array([box.xyxy]))[:, 0]
    return take(detections, shared >= overlap * np.maximum(area(detections.xyxy), 1e-9))


def _centres(detections: sv.Detections) -> npt.NDArray[np.float64]:
    return np.asarray((detections.xyxy[:, :2] + detections.xyxy[:, 2:]) / 2, dtype=np.float64)


def _first(detections: sv.Detections, key: npt.NDArray[np.float64], count: int) -> sv.Detections:
    return take(detections, np.argsort(key, kind="stable")[:count])


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


# --- from boxes back to prompts -------------------------------------------------------------------


def to_prompts(detections: sv.Detections, size_wh: tuple[int, int]) -> list[VisualPrompt]:
    """Each row's box as a box prompt, clipped to the image and at least a pixel wide and high."""
    width, height = size_wh
    prompts = []
    for x0, y0, x1, y1 in detections.xyxy.astype(float):
        x0, y0 = min(max(x0, 0.0), width - 1.0), min(max(y0, 0.0), height - 1.0)
        x1, y1 = min(max(x1, x0 + 1), float(width)), min(max(y1, y0 + 1), float(height))
        prompts.append(VisualPrompt(box=Box(x0, y0, x1, y1)))
    return prompts
