"""COCO's run-length masks, as JSON values and back."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.errors import PromptError

BoolMask = npt.NDArray[np.bool_]

_MOST_PIXELS = 1_000_000_000  # one run length is enough to ask for any amount of memory


def encode(mask: BoolMask) -> dict[str, Any]:
    """pycocotools' own form, ``counts`` as bytes: what its functions take."""
    from pycocotools import mask as coco

    encoded: dict[str, Any] = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return encoded


def to_rle(mask: BoolMask) -> dict[str, Any]:
    """COCO's compressed run lengths: ``size`` as [H, W], ``counts`` as str. JSON values."""
    rle = encode(mask)
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def window_to_rle(
    window: BoolMask, left: int, top: int, size_wh: tuple[int, int]
) -> dict[str, Any]:
    """``to_rle`` of a mask that is ``window`` (h, w) at (left, top) and False elsewhere.

    It costs what the window costs, whatever the size of the whole.
    """
    from pycocotools import mask as coco

    width, height = size_wh
    rows = window.shape[0] + 1  # and a False one, so that no run goes on into the next column
    flat = np.zeros(window.shape[1] * rows + 1, dtype=bool)
    flat[1:].reshape(-1, rows)[:, :-1] = window.T
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), rows)
    borders = (left + column) * height + top + row  # where runs begin and end, in turns
    if rows > height:  # a run from one column's foot to the next one's head is one
        apart = borders[1:-1:2] != borders[2::2]
        borders = borders[np.r_[True, np.repeat(apart, 2), True][: len(borders)]]
    counts = np.diff(borders, prepend=0, append=width * height)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    whole = {"size": [height, width], "counts": counts.tolist()}
    encoded: dict[str, Any] = coco.frPyObjects(whole, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def window_from_rle(rle: Mapping[str, Any]) -> tuple[BoolMask, int, int, tuple[int, int]]:
    """Inverse of ``window_to_rle``: the bounding window, its left and top, and the whole's size_wh.
    The window of an empty mask is one pixel, False.

    Raises:
        PromptError: no RLE, or one whose runs don't add up to its size.
    """
    (height, width), counts = _read(rle)
    borders = np.cumsum(np.asarray(counts, dtype=np.int64))
    starts, ends = borders[0::2], borders[1::2]
    full = starts[: len(ends)] < ends
    starts, ends = starts[: len(ends)][full], ends[full]
    if not len(starts):
        return np.zeros((1, 1), dtype=bool), 0, 0, (width, height)
    left, right = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    edges = np.zeros((right - left) * height + 1, dtype=np.int8)
    np.add.at(edges, starts - left * height, 1)
    np.add.at(edges, ends - left * height, -1)
    band = np.cumsum(edges[:-1], dtype=np.int8).astype(bool).reshape(right - left, height)
    rows = np.flatnonzero(band.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return np.ascontiguousarray(band[:, top:bottom].T), left, top, (width, height)


def from_rle(rle: Mapping[str, Any]) -> BoolMask:
    """Inverse of ``to_rle``; uncompressed ``counts`` (a list of run lengths) are read too.

    Raises:
        PromptError: no RLE, or one whose runs don't add up to its size.
    """
    (height, width), counts = _read(rle)
    # Not by pycocotools, which leaves what too few runs don't reach uninitialised.
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _read(rle: Mapping[str, Any]) -> tuple[tuple[int, int], list[int]]:
    """(height, width) and run lengths that add up to them."""
    try:
        height, width = (int(side) for side in rle["size"])
        given = rle["counts"]
        raw = given.encode("ascii") if isinstance(given, str) else given
        counts = _run_lengths(raw) if isinstance(raw, bytes) else list(map(index, raw))
        if min(height, width, *counts) < 0 or sum(counts) != height * width:
            raise ValueError(f"its runs make {sum(counts)} pixels, not {height}x{width}")
        if height * width > _MOST_PIXELS:
            raise ValueError(f"{height}x{width} is no size of an image")
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise PromptError(f"This is no COCO run-length mask: {error}.") from None
    return (height, width), counts


def _run_lengths(counts: bytes) -> list[int]:
    """COCO's string of counts: base 48 digits of 5 bits, little end first, each run from the third
    on as the difference to the run two before it (``rleFrString`` in cocoapi/common/maskApi.c)."""
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        digit = character - 48
        if not 0 <= digit < 64:
            raise ValueError(f"its counts hold the character {chr(character)!r}")
        value |= (digit & 0x1F) << shift
        shift += 5
        if digit & 0x20:
            continue
        if digit & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its counts are cut off")
    return runs
