"""A model's low logits to a mask of the original's size, without the part that can't be in it.

What a bilinear pass makes of logits that are all below the threshold is below it too. So each pass
reads the logits up to the last row and column above the threshold, and torch computes the same
numbers from them, to the last bit. The upper left stays: a window that begins elsewhere would get
other weights in their last digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from limner.ops.masks import MaskCrop

MARGIN = 2
"""Rows and columns beyond the last one above the threshold that take part in its neighbours, where
no pass but the last one shrinks."""
SMALL = 128
"""Height and width together up to which torch enlarges by another kernel, whose last digits differ
(``_use_vectorized_kernel_cond_2d`` in its UpSampleKernel.cpp)."""
SLACK = 1e-5
"""Of the threshold: by so much a mean of values below it may be above them, rounded."""


@dataclass(frozen=True)
class Pass:
    """One bilinear pass: (height, width) of its answer, and of the part of that, from the upper
    left, that goes on."""

    size_hw: tuple[int, int]
    part_hw: tuple[int, int]

    @classmethod
    def whole(cls, size_hw: tuple[int, int]) -> Pass:
        return cls(size_hw, size_hw)


def enlarge(logits: torch.Tensor, passes: Sequence[Pass]) -> torch.Tensor:
    """(h, w) logits of one mask -> (H, W) float32: three candidates of 64 prompts at once would
    fill 9 GB at 12 megapixels."""
    for each in passes:
        rows, columns = each.part_hw
        full = torch.nn.functional.interpolate(
            logits[None, None], each.size_hw, mode="bilinear", align_corners=False
        )
        logits = full[0, 0, :rows, :columns]
    return logits


def enlarged_mask(logits: torch.Tensor, passes: Sequence[Pass], threshold: float) -> MaskCrop:
    """The mask that ``enlarge`` gives at ``threshold``."""
    on_cpu = logits.device.type == "cpu"  # elsewhere it waits for the other end of a wire
    part = _corner(logits, passes, threshold) if on_cpu else None
    full = enlarge(logits, passes) if part is None else part
    height, width = passes[-1].part_hw
    return replace(MaskCrop.of((full > threshold).cpu().numpy()), size_wh=(width, height))


def _corner(logits: torch.Tensor, passes: Sequence[Pass], threshold: float) -> torch.Tensor | None:
    """The upper left of ``enlarge``'s answer, beyond which all is below the threshold; None where
    torch would compute other digits."""
    low = threshold - SLACK * abs(threshold)
    whole_hw = logits.shape
    for each in passes:
        rows, columns = (
            min(max(end + MARGIN, math.ceil((SMALL + 1) * side / to)), here)
            for end, side, to, here in zip(
                _ends(logits > low), whole_hw, each.size_hw, logits.shape, strict=True
            )
        )
        size_hw = [
            min(to, math.ceil(count * to / side))
            for count, side, to in zip((rows, columns), whole_hw, each.size_hw, strict=True)
        ]
        cut = zip((rows, columns), size_hw, whole_hw, each.size_hw, strict=True)
        if sum(size_hw) <= SMALL < sum(each.size_hw) or any(
            count == size and side != to for count, size, side, to in cut
        ):  # torch takes an axis that keeps its length for one that isn't scaled
            return None
        scales = [to / side for side, to in zip(whole_hw, each.size_hw, strict=True)]
        part = torch.ops.aten.upsample_bilinear2d(
            logits[None, None, :rows, :columns], size_hw, False, *scales
        )
        logits = part[0, 0, : each.part_hw[0], : each.part_hw[1]]
        whole_hw = torch.Size(each.part_hw)
    return logits


def _ends(above: torch.Tensor) -> tuple[int, int]:
    """How many rows and columns reach to the last True one of (h, w)."""
    array = above.numpy()
    last = (np.flatnonzero(array.any(axis=axis))[-1:] for axis in (1, 0))
    rows, columns = (int(index[0]) + 1 if index.size else 0 for index in last)
    return rows, columns
