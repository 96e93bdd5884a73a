"""A large picture in tiles that overlap, and what the tiles show joined to whole things.

A thing is cut where tiles end. Two boxes of two tiles are the same thing when the tiles agree on
it: what one shows of it in the pixels that both see is what the other shows there. That also joins
a thing much larger than the overlap, of which each tile has another part, and it never joins two
things that touch, of which no pixel shows both. (Overlap over the smaller box, which SAHI and
``supervision.InferenceSlicer`` merge by, does neither: the halves of a thing three times as long as
the overlap share a third of the smaller one.)

The picture is looked at whole as well, for things that no tile holds: from that look come the sides
that no tile shows. What fits into the overlap is whole in some tile, which shows it larger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.ops import detections as dets
from limner.ops import transforms

if TYPE_CHECKING:
    from PIL.Image import Image

Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

AGREES = 0.5
"""Least IoU, in the pixels that two tiles share, of what they show of one thing."""
AGREES_COARSELY = 0.3
"""The same between a tile and the whole picture, which a model sees scaled down."""
COVERED = 0.8
"""A box that is cut off is only a part when this much of it lies in a box that isn't."""

SEEN = "seen_xyxy"
"""Column of ``.data``: (N, 4) int64, the rectangle of the picture in which a row's box was seen."""


@dataclass(frozen=True)
class Looks:
    """What all looks at a picture found; N rows, in pixels of the picture."""

    xyxy: Floats
    """(N, 4)"""
    seen: npt.NDArray[np.int64]
    """(N, 4) the rectangle that was looked at."""
    cut: Flags
    """(N, 4) whether the box's left, top, right or bottom side lies where the look ends, but the
    picture goes on."""
    coarse: Flags
    """(N,) whether the look was at the whole picture."""
    score: Floats
    """(N,)"""


def tiled(
    image: Image, ask: Callable[[Image], sv.Detections], slice_wh: int, overlap_wh: int
) -> sv.Detections:
    """What ``ask`` finds in the picture, each thing once, best first.

    Args:
        ask: answers a picture with boxes in its own pixels.
        slice_wh: width and height of a tile, in pixels.
        overlap_wh: pixels that neighbouring tiles share, at least.

    Returns:
        Detections with the column ``SEEN``. Where the parts of a thing were joined it is the
        rectangle around the tiles that show it.
    """
    whole = transforms.crop(image.size, (0, 0, *image.size))
    parts = [_moved(ask(image), whole)]
    tiles = transforms.tiles(image.size, (slice_wh, slice_wh), (overlap_wh, overlap_wh))
    if len(tiles) == 1:
        return dets.by_confidence(parts[0])
    sides = parts[0].xyxy[:, 2:] - parts[0].xyxy[:, :2]
    parts[0] = dets.take(parts[0], (sides > overlap_wh).any(axis=1))
    parts += [_moved(ask(image.crop(tile.shown_xyxy)), tile) for tile in tiles]
    rows = dets.merge(parts)
    if not len(rows) or rows.class_id is None:
        return rows
    joined = [
        _joined(dets.take(rows, rows.class_id == prompt), image.size)
        for prompt in np.unique(rows.class_id)
    ]
    return dets.by_confidence(dets.merge(joined))


def _moved(rows: sv.Detections, tile: transforms.Placement) -> sv.Detections:
    """A tile's finds in pixels of the picture."""
    moved = dets.copy(rows)
    inside = np.clip(rows.xyxy, 0, tile.target_wh * 2)
    moved.xyxy = transforms.inverse_boxes(tile, inside).astype(np.float32)
    moved.data[SEEN] = np.tile(np.array(tile.shown_xyxy, dtype=np.int64), (len(moved), 1))
    return moved


def cut_sides(xyxy: Floats, seen: npt.NDArray[np.int64], size_wh: tuple[int, int]) -> Flags:
    """(N, 4) which sides of boxes lie where the look ends, but the picture goes on.

    A detector's box ends a little before the edge that cuts its thing off: by up to 2 pixels, or
    a hundredth of the look.
    """
    near = np.maximum(2.0, (seen[:, 2:] - seen[:, :2]) / 100)
    at_edge = np.abs(xyxy - seen) <= np.tile(near, 2)
    inner = np.concatenate([seen[:, :2] > 0, seen[:, 2:] < np.array(size_wh)], axis=1)
    return np.asarray(at_edge & inner)


def _joined(detections: sv.Detections, size_wh: tuple[int, int]) -> sv.Detections:
    """The finds of one prompt, each thing once."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    xyxy = detections.xyxy.astype(np.float64)
    seen = np.asarray(detections.data[SEEN], dtype=np.int64)
    looks = Looks(
        xyxy=xyxy,
        seen=seen,
        cut=cut_sides(xyxy, seen, size_wh),
        coarse=np.asarray(np.equal(seen, [0, 0, *size_wh]).all(axis=1), dtype=np.bool_),
        score=np.asarray(detections.confidence, dtype=np.float64),
    )
    pairs = np.array(_same(looks), dtype=np.int64).reshape(-1, 2)
    links, count = (pairs[:, 0], pairs[:, 1]), len(detections)
    graph = coo_array((np.ones(len(pairs)), links), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    rows, boxes, areas, parts = [], [], [], []
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        box, used, is_part = _box_of(looks, members)
        rows.append(members[np.argmax(looks.score[members])])
        boxes.append(box)
        areas.append([*seen[used, :2].min(axis=0), *seen[used, 2:].max(axis=0)])
        parts.append(is_part)
    things = dets.take(detections, np.array(rows))
    things.xyxy = np.array(boxes, dtype=np.float32)
    things.data[SEEN] = np.array(areas, dtype=np.int64)
    return dets.take(things, ~_covered(np.array(boxes), np.array(parts)))


def _same(looks: Looks) -> list[tuple[int, int]]:
    """Pairs of rows that show one thing; of two looks each row has at most one partner."""
    views, view = np.unique(looks.seen, axis=0, return_inverse=True)
    rows_of = [np.flatnonzero(view.ravel() == k) for k in range(len(views))]
    pairs: list[tuple[int, int]] = []
    for one, other in np.argwhere(np.triu(dets.intersection(views, views) > 0, k=1)):
        a, b = rows_of[one], rows_of[other]
        least = AGREES_COARSELY if looks.coarse[a[0]] or looks.coarse[b[0]] else AGREES
        agreement = _agreement(looks, a, b)
        while agreement.max(initial=0) >= least:
            i, j = np.unravel_index(agreement.argmax(), agreement.shape)
            pairs.append((int(a[i]), int(b[j])))
            agreement[i], agreement[:, j] = 0, 0
    return pairs


def _agreement(looks: Looks, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> Floats:
    """(A, B) IoU of rows of one look and of another, of each what the other can see.

    A box that isn't cut is all there is of its thing: against it the other counts in full.
    """
    shown_a, shown_b = looks.xyxy[a], looks.xyxy[b]
    clipped_a = np.clip(shown_a, np.tile(looks.seen[b[0], :2], 2), np.tile(looks.seen[b[0], 2:], 2))
    clipped_b = np.clip(shown_b, np.tile(looks.seen[a[0], :2], 2), np.tile(looks.seen[a[0], 2:], 2))
    cut_a, cut_b = looks.cut[a].any(axis=1), looks.cut[b].any(axis=1)
    table = np.empty((len(a), len(b)))
    for a_is_cut, b_is_cut in product((True, False), repeat=2):
        rows, columns = cut_a == a_is_cut, cut_b == b_is_cut
        one = clipped_a if b_is_cut else shown_a
        other = clipped_b if a_is_cut else shown_b
        table[np.ix_(rows, columns)] = dets.iou(one[rows], other[columns])
    return table


def _box_of(
    looks: Looks, members: npt.NDArray[np.intp]
) -> tuple[Floats, npt.NDArray[np.intp], bool]:
    """The box of one thing, the rows that it comes from, and whether it is still cut off."""
    fine, coarse = members[~looks.coarse[members]], members[looks.coarse[members]]
    whole = fine[~looks.cut[fine].any(axis=1)]
    if len(whole) or not len(fine):
        candidates = whole if len(whole) else coarse
        best = candidates[looks.score[candidates].argmax()]
        return looks.xyxy[best], np.array([best]), False
    outward = looks.xyxy[fine] * (-1, -1, 1, 1)
    furthest = outward.argmax(axis=0)
    box = outward.max(axis=0)
    unseen = looks.cut[fine][furthest, range(4)]
    if len(coarse) and unseen.any():
        box = np.where(unseen, np.maximum(box, looks.xyxy[coarse[0]] * (-1, -1, 1, 1)), box)
        return box * (-1, -1, 1, 1), members, False
    return box * (-1, -1, 1, 1), fine, bool(unseen.any())


def _covered(boxes: Floats, parts: Flags) -> Flags:
    """(N,) which boxes are parts of things of which another look saw more."""
    shared = dets.intersection(boxes, boxes) / np.maximum(dets.area(boxes), 1e-9)[:, None]
    larger = dets.area(boxes)[None, :] > dets.area(boxes)[:, None]
    return np.asarray(parts & ((shared >= COVERED) & larger).any(axis=1))
