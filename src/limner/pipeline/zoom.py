"""Exact boxes on a large picture: crop around each find with context, enlarge, ask again, map back.

A detector errs by pixels of the picture that it sees, which is small: 8 px of 1024 are 47 px of a
photograph 6000 px wide. A crop that is seen as large as that whole photograph was makes the same
error smaller by the ratio of their sides. Two rounds are enough: the first crop must hold the
thing wherever the coarse answer can have put it, the second only its context. After them the error
is that of a look at ``1 + 2 * CONTEXT`` times the thing, or up to ``LEAST_GAIN`` times that: 8 px
of 1024 become under 2 px for what is up to 140 px large. For larger things the error stays under a
part in 70 of their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image as pil

from limner.ops import detections as dets
from limner.ops import transforms
from limner.pipeline.tiles import SEEN, cut_sides

if TYPE_CHECKING:
    from PIL.Image import Image

Floats: TypeAlias = npt.NDArray[np.float64]
Ask: TypeAlias = Callable[["Image", int], sv.Detections]
"""Asks one prompt, by its index, about a picture."""

ROUNDS = 2
"""So a find costs at most two more calls."""
CONTEXT = 0.25
"""Space around a thing on each side, in parts of its longer side."""
ERROR = 1 / 64
"""How far off an answer may be, in parts of the longer side of the picture that was looked at:
twice 8 px of 1024."""
SHOWN = 1024
"""px: a crop is enlarged until its longer side is this. Services and detectors see pictures at 768
to 1333 px."""
MOST_ENLARGED = 8
"""Enlarged more, a crop shows nothing but blur."""
LEAST_GAIN = 1.2
"""A crop that would be seen less than so many times larger than before isn't worth its call."""
SAME = 0.5
"""IoU from which two boxes are one thing."""


@dataclass(frozen=True)
class Zoom:
    """One row's next look: ``xyxy`` is a rectangle of the picture."""

    row: int
    xyxy: transforms.Rect
    frame: transforms.Frame


def zoomed(image: Image, coarse: sv.Detections, ask: Ask) -> sv.Detections:
    """The same rows with more exact boxes.

    The answers in the crops are given to the rows all together, nearest first and each thing once,
    so that neighbours don't end up on the same thing. A row whose thing isn't seen again, or only
    cut off, or elsewhere than the coarse answer allows, keeps the box it has. Scores stay those of
    the first look, where all rows were seen alike.

    Args:
        coarse: boxes of a look at the whole picture; ``class_id`` is what ``ask`` takes.

    Returns:
        Detections with the column ``tiles.SEEN``: the crop in which each box was seen.
    """
    if coarse.class_id is None:  # nothing was found
        return coarse
    exact, prompt = dets.copy(coarse), coarse.class_id
    boxes = coarse.xyxy.astype(np.float64)
    seen = np.tile(np.array([0, 0, *image.size], dtype=np.int64), (len(coarse), 1))
    scale = np.full(len(coarse), min(1.0, SHOWN / max(image.size)))
    active = np.ones(len(coarse), dtype=bool)
    for _ in range(ROUNDS):
        rows = np.flatnonzero(active).tolist()
        zooms = [_around(boxes[row], seen[row], row, image.size) for row in rows]
        zooms = [zoom for zoom in zooms if _scale(zoom.xyxy) >= LEAST_GAIN * scale[zoom.row]]
        answers = [(zoom, _answers(image, zoom, ask, int(prompt[zoom.row]))) for zoom in zooms]
        active[:] = False
        for zoom, box in _given(answers, boxes, seen, prompt):
            boxes[zoom.row], seen[zoom.row] = box, zoom.xyxy
            scale[zoom.row], active[zoom.row] = _scale(zoom.xyxy), True
    exact.xyxy = boxes.astype(np.float32)
    exact.data[SEEN] = seen
    return exact


def _scale(xyxy: transforms.Rect) -> float:
    """Pixels that are shown for each of the crop's."""
    return min(MOST_ENLARGED, SHOWN / max(xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]))


def _around(box: Floats, seen: npt.NDArray[np.int64], row: int, size_wh: transforms.Size) -> Zoom:
    """A crop that holds the thing with its context, wherever in the error of its box it is."""
    spread = 2 * ERROR * max(seen[2:] - seen[:2])
    margin = max(CONTEXT * max(box[2:] - box[:2]), spread)
    sides = []
    for low, high, most in zip(box[:2] - margin, box[2:] + margin, size_wh, strict=True):
        short = max(0.0, SHOWN / MOST_ENLARGED - (high - low))
        start = min(max(math.floor(low - short / 2), 0), most - 1)
        sides.append((start, max(min(math.ceil(high + short / 2), most), start + 1)))
    (x0, x1), (y0, y1) = sides
    crop = transforms.crop(size_wh, (x0, y0, x1, y1))
    larger = max(1.0, _scale((x0, y0, x1, y1)))
    shown_wh = (round((x1 - x0) * larger), round((y1 - y0) * larger))
    return Zoom(row, (x0, y0, x1, y1), crop.then(transforms.resize(crop.target_wh, shown_wh)))


def _answers(image: Image, zoom: Zoom, ask: Ask, prompt: int) -> Floats:
    """(K, 4) what is whole in the crop, in pixels of the picture."""
    shown = image.crop(zoom.xyxy).resize(zoom.frame.target_wh, pil.Resampling.BICUBIC)
    xyxy = transforms.inverse_boxes(zoom.frame, ask(shown, prompt).xyxy)
    seen = np.tile(np.array(zoom.xyxy, dtype=np.int64), (len(xyxy), 1))
    whole: Floats = xyxy[~cut_sides(xyxy, seen, image.size).any(axis=1)]
    return whole


def _given(
    answers: list[tuple[Zoom, Floats]],
    boxes: Floats,
    seen: npt.NDArray[np.int64],
    class_id: npt.NDArray[np.integer[Any]],
) -> list[tuple[Zoom, Floats]]:
    """Which answer becomes which row's box: the nearest pairs first, each thing once."""
    zoomed_rows = {zoom.row for zoom, _ in answers}
    taken = [(class_id[row], boxes[row]) for row in range(len(boxes)) if row not in zoomed_rows]
    pairs = []
    for zoom, candidates in answers:
        distance = np.abs(candidates - boxes[zoom.row]).max(axis=1)
        reach = ERROR * max(seen[zoom.row, 2:] - seen[zoom.row, :2])
        overlap = dets.iou(candidates, boxes[[zoom.row]])[:, 0]
        for k in np.flatnonzero((distance <= reach) | (overlap >= SAME)):
            pairs.append((float(distance[k]), zoom, candidates[k]))
    given: dict[int, tuple[Zoom, Floats]] = {}
    for _, zoom, box in sorted(pairs, key=lambda pair: pair[0]):
        others = [other for kind, other in taken if kind == class_id[zoom.row]]
        free = not others or dets.iou(np.array(others), box[None]).max() < SAME
        if zoom.row not in given and free:
            given[zoom.row] = (zoom, box)
            taken.append((class_id[zoom.row], box))
    return list(given.values())
