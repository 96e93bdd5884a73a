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


def from_rle(rle: Mapping[str, Any]) -> BoolMask:
    """Inverse of ``to_rle``; uncompressed ``counts`` (a list of run lengths) are read too.

    Raises:
        PromptError: no RLE, or one whose runs don't add up to its size.
    """
    try:
        height, width = (int(side) for side in rle["size"])
        given = rle["counts"]
        raw = given.encode("ascii") if isinstance(given, str) else given
        counts = _run_lengths(raw) if isinstance(raw, bytes) else list(map(index, raw))
        if min(height, width, *counts) < 0 or sum(counts) != height * width:
            raise ValueError(f"its runs make {sum(counts)} pixels, not {height}x{width}")
        if height * width > _MOST_PIXELS:
            raise ValueError(f"{height}x{width} is no size of an image")
        # Not by pycocotools, which leaves what too few runs don't reach uninitialised.
        flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise PromptError(f"This is no COCO run-length mask: {error}.") from None
    return np.ascontiguousarray(flat.reshape(width, height).T)


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
