"""Pure functions on masks: (H, W) bool arrays, True = the object, none edited in place.

Distances are Euclidean, between pixel centres, exact. The image's frame is no border of an object:
what lies beyond it is unknown, so growing, shrinking and feathering treat it as more of the same
(:func:`boundary` differs, as its paper does). Parts of an object may touch at corners
(8-connectivity), so holes must not (4-connectivity).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from limner.errors import PromptError
from limner.rle import BoolMask, encode, window_from_rle, window_to_rle
from limner.rle import from_rle as from_rle
from limner.rle import to_rle as to_rle

IntBox = tuple[int, int, int, int]
"""(x0, y0, x1, y1) whole pixels, right and bottom excluded."""

MOST_GAPS = 4_000_000
"""Distances that are compared for one bridge of a polygon: of longer outlines some corners."""
MOST_PARTS = 500
"""Beyond this many parts a mask is texture, and its parts are no things of their own."""


@dataclass(frozen=True, eq=False)
class MaskCrop:
    """A mask as the window that holds all of it: a small thing of a large image stays small."""

    window: BoolMask
    """(h, w), at least a pixel."""
    left: int
    top: int
    size_wh: tuple[int, int]
    """Of the whole mask."""

    @classmethod
    def of(cls, mask: BoolMask) -> MaskCrop:
        """The bounding window of an (H, W) mask, one pixel of an empty one, in its own memory."""
        x0, y0, x1, y1 = box_of(mask) or (0, 0, 1, 1)
        return cls(mask[y0:y1, x0:x1].copy(), x0, y0, mask.shape[::-1])

    @classmethod
    def from_rle(cls, rle: Mapping[str, Any]) -> MaskCrop:
        """From COCO's run lengths, without the whole mask in between.

        Raises:
            PromptError: as ``rle.from_rle``.
        """
        return cls(*window_from_rle(rle))

    def to_rle(self) -> dict[str, Any]:
        """COCO's compressed run lengths of the whole mask, as JSON values."""
        return window_to_rle(self.window, self.left, self.top, self.size_wh)

    @cached_property
    def box_xyxy(self) -> tuple[int, int, int, int] | None:
        """As ``box_of`` of the whole mask."""
        if (box := box_of(self.window)) is None:
            return None
        left, top = self.left, self.top
        return left + box[0], top + box[1], left + box[2], top + box[3]

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.window))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where the window lies, rows first."""
        height, width = self.window.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def equals(self, other: MaskCrop) -> bool:
        """Whether both are the same window at the same place."""
        place = (self.left, self.top, self.size_wh)
        same = place == (other.left, other.top, other.size_wh)
        return same and np.array_equal(self.window, other.window)

    def full(self) -> BoolMask:
        """(H, W)."""
        whole = np.zeros(self.size_wh[::-1], dtype=bool)
        whole[self.slices] = self.window
        return whole


def union(masks: Sequence[BoolMask] | BoolMask) -> BoolMask:
    """What any of them covers.

    Args:
        masks: one or more (H, W), or (N, H, W).

    Raises:
        PromptError: no mask, whose size nobody could know, or sizes that differ.
    """
    if not len(masks):
        raise PromptError("There is no mask to unite: nothing was found or given.")
    if len({mask.shape for mask in masks}) > 1:
        raise PromptError("Masks of different sizes can't be united: they are of different images.")
    together: BoolMask = np.logical_or.reduce(list(masks))
    return together


def box_of(mask: BoolMask) -> tuple[int, int, int, int] | None:
    """The bounding box as XYXY, right and bottom excluded; None for an empty mask."""
    columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
    if not columns.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def dilate(mask: BoolMask, pixels: int) -> BoolMask:
    """All pixels within ``pixels`` of the mask: grown by a disc."""
    box = box_of(mask)
    if pixels <= 0 or box is None:
        return mask.copy()
    window = _window(box, pixels, mask.shape)
    grown = mask.copy()
    # Half-way to the next distance that pixels can have, sqrt(pixels ** 2 + 1): cv2 gives float32.
    grown[window] = _distance_to_zero(~mask[window]) <= math.sqrt(pixels**2 + 0.5)
    return grown


def part_boxes(mask: BoolMask) -> list[tuple[int, int, int, int]]:
    """The bounding box of each part, as (left, top, right, bottom)."""
    return [box for box, _ in _split(mask)]


def dilate_parts(mask: BoolMask, pixels: Callable[[int], int]) -> BoolMask:
    """Each part grown by ``pixels`` of its own longer side: small things a little, large ones more.

    A mask in more than ``MOST_PARTS`` parts is taken as one.
    """
    parts = _split(mask)
    if len(parts) > MOST_PARTS:
        x0, y0, x1, y1 = box_of(mask) or (0, 0, 0, 0)
        return dilate(mask, pixels(max(x1 - x0, y1 - y0)))
    grown = mask.copy()
    for (x0, y0, x1, y1), part in parts:
        margin = pixels(max(x1 - x0, y1 - y0))
        left, top = min(x0, margin), min(y0, margin)
        window = grown[y0 - top : y1 + margin, x0 - left : x1 + margin]
        around = np.zeros(window.shape, dtype=bool)
        around[top : top + y1 - y0, left : left + x1 - x0] = part
        window |= dilate(around, margin)
    return grown


def label_parts(
    mask: npt.NDArray[Any], connectivity: int
) -> tuple[int, npt.NDArray[np.uint16] | npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Connected parts of an (H, W) mask of bytes: how many with the background, each pixel's part,
    and cv2's numbers of each part.

    Two bytes a pixel where there are few parts, as nearly always, else four.
    """
    try:
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            mask, connectivity=connectivity, ltype=cv2.CV_16U
        )
    except cv2.error:  # more parts than two bytes can number
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    return count, parts, np.asarray(stats, np.int32)  # type: ignore[return-value]  # stubs: any number


def _split(mask: BoolMask) -> list[tuple[tuple[int, int, int, int], BoolMask]]:
    """Each part's bounding box and the part within it; the rest of a large mask isn't looked at."""
    bounds = box_of(mask)
    if bounds is None:
        return []
    left, top, right, bottom = bounds
    inner = np.ascontiguousarray(mask[top:bottom, left:right]).view(np.uint8)
    _, labels, stats = label_parts(inner, connectivity=8)
    return [
        ((left + x, top + y, left + x + w, top + y + h), labels[y : y + h, x : x + w] == number)
        for number, (x, y, w, h, _) in enumerate(stats[1:].tolist(), start=1)
    ]


def erode(mask: BoolMask, pixels: int) -> BoolMask:
    """The pixels further than ``pixels`` from everything outside the mask."""
    if pixels <= 0 or (box := box_of(mask)) is None:
        return mask.copy()
    window = _window(box, 1, mask.shape)
    eroded = mask.copy()
    eroded[window] = _distance_to_zero(mask[window]) > math.sqrt(pixels**2 + 0.5)
    return eroded


def feather(mask: BoolMask, width: int) -> npt.NDArray[np.float32]:
    """Alpha with a soft border INSIDE the mask: 0 outside, exactly, and 1 deeper than ``width``.

    The k-th pixel from the border gets ``k / (width + 1)``. A part of the mask that is too thin for
    that gets a narrower border, so that its middle is 1 all the same: small things are painted too.
    """
    alpha = mask.astype(np.float32)
    if width <= 0 or (box := box_of(mask)) is None:
        return alpha
    window = _window(box, 1, mask.shape)
    inside = np.ascontiguousarray(mask[window])
    depth = _distance_to_zero(inside)
    count, parts, areas = _parts(inside, connectivity=8)
    soft = inside & (depth <= width)
    part, depth = parts[soft], depth[soft]
    full = np.ones(count, dtype=np.float32)  # by part: the depth from which on alpha is 1
    np.maximum.at(full, part, depth)
    full[np.bincount(part, minlength=count) < areas] = width + 1  # it has pixels deeper than width
    softened = inside.astype(np.float32)
    softened[soft] = depth / full[part]
    alpha[window] = softened
    return alpha


def boundary(mask: BoolMask, width: int) -> BoolMask:
    """The pixels of the mask within ``width`` of its border, the image's frame counting as one.

    The inner band that Boundary IoU compares (Cheng et al. 2021, arXiv:2103.16562), by a disc.
    """
    return mask & ~erode(np.pad(mask, 1), width)[1:-1, 1:-1]


def largest_part(mask: BoolMask) -> BoolMask:
    """The connected part with the most pixels (of equal ones the topmost); empty stays empty."""
    count, parts, areas = _parts(mask, connectivity=8)
    return parts == 1 + int(np.argmax(areas[1:])) if count > 1 else mask.copy()


def fill_holes(mask: BoolMask, below_area: int | None = None) -> BoolMask:
    """Fill what the mask encloses; what is open to the image's frame is no hole.

    Args:
        below_area: fill only holes of fewer pixels than this; None: all.
    """
    count, parts, areas = _parts(~mask, connectivity=4)
    is_hole = np.ones(count, dtype=bool)
    is_hole[0] = False
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        is_hole[edge] = False
    if below_area is not None:
        is_hole &= areas < below_area
    filled: BoolMask = mask | is_hole[parts]
    return filled


def drop_specks(mask: BoolMask, below_area: int) -> BoolMask:
    """Remove connected parts of fewer pixels than ``below_area``.

    When all are that small the largest stays: a small object is not a speck (segment-anything's
    ``remove_small_regions`` does the same).
    """
    count, parts, areas = _parts(mask, connectivity=8)
    keep = areas >= below_area
    keep[0] = False
    if count > 1 and not keep.any():
        keep[1 + int(np.argmax(areas[1:]))] = True
    return keep[parts]


def iou(a: BoolMask, b: BoolMask) -> float:
    """Intersection over union; 0 when both are empty."""
    together = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / together if together else 0.0


def iou_matrix(a: Sequence[BoolMask], b: Sequence[BoolMask]) -> npt.NDArray[np.float64]:
    """(N, M): the IoU of each of ``a`` with each of ``b``, computed on run lengths."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    rows, columns = ([encode(mask) for mask in masks] for masks in (a, b))
    shares: npt.NDArray[np.float64] = coco.iou(rows, columns, [0] * len(columns))
    return np.nan_to_num(shares)  # two empty masks: 0 / 0


def polygons(mask: BoolMask) -> list[npt.NDArray[np.int32]]:
    """The outlines along the pixels' edges, as (K, 2) XY corners; those of holes are among them.

    Filled by the even-odd rule (SVG: ``fill-rule="evenodd"``) they give exactly the mask back.
    """
    # In an image of twice the size a contour through pixel centres visits 2i (a left or upper half)
    # and 2i + 1 (a right or lower one): halved and rounded up these are the edges i and i + 1.
    doubled = np.repeat(np.repeat(mask.view(np.uint8), 2, axis=0), 2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [_corners((contour.reshape(-1, 2) + 1) // 2) for contour in contours]


def one_polygon(mask: BoolMask) -> npt.NDArray[np.int32]:
    """All outlines as one closed path, (K, 2) XY corners, for formats that give an object one
    polygon: (0, 2) of an empty mask.

    Parts and holes are reached by bridges, each walked there and back, so that a filling by the
    even-odd rule gives exactly the mask back; a program that also draws the border draws the
    bridges too, a pixel wide.
    """
    loops = sorted(polygons(mask), key=len, reverse=True)
    if not loops:
        return np.zeros((0, 2), np.int32)
    path = loops[0]
    for loop in loops[1:]:
        step = 1 + len(path) * len(loop) // MOST_GAPS
        gaps = np.abs(path[::step, None] - loop[None]).sum(axis=2)
        nearest, there = np.unravel_index(int(gaps.argmin()), gaps.shape)
        here, turned = int(nearest) * step, np.roll(loop, -int(there), axis=0)
        path = np.concatenate([path[: here + 1], turned, turned[:1], path[here:]])
    return path


def _corners(path: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """A closed path without repeated points and without points amid a straight line."""
    path = path[np.any(path != np.roll(path, 1, axis=0), axis=1)]
    before, after = path - np.roll(path, 1, axis=0), np.roll(path, -1, axis=0) - path
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(path[turns], np.int32)


def _window(
    box: tuple[int, int, int, int], margin: int, shape: tuple[int, ...]
) -> tuple[slice, slice]:
    """The box and a margin, within the image: what lies further off can't matter."""
    x0, y0, x1, y1 = box
    height, width = shape
    return (
        slice(max(y0 - margin, 0), min(y1 + margin, height)),
        slice(max(x0 - margin, 0), min(x1 + margin, width)),
    )


def _distance_to_zero(inside: BoolMask) -> npt.NDArray[np.float32]:
    """(H, W) distance of each True pixel to the nearest False one; infinite if there is none."""
    if inside.all():
        return np.full(inside.shape, np.inf, dtype=np.float32)
    source = np.ascontiguousarray(inside).view(np.uint8)
    return np.asarray(cv2.distanceTransform(source, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _parts(
    mask: BoolMask, connectivity: int
) -> tuple[int, npt.NDArray[np.uint16] | npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """How many parts with the background, each pixel's part (0 = background), each part's area."""
    source = np.ascontiguousarray(mask).view(np.uint8)
    count, parts, stats = label_parts(source, connectivity)
    return count, parts, np.asarray(stats[:, cv2.CC_STAT_AREA], np.int32)
