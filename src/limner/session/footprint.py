"""What a picture and its objects take in memory, so that a job that can't fit is refused at once.

Measured as the peak beyond what Python and its packages take: 35 bytes a pixel for `segment` with
300 boxes on 12 megapixels (8 bits a sample), 21 for `redact` on 108 megapixels, 37 for `redact` on
24 megapixels of 16 bits a sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from limner.errors import OutOfMemory
from limner.ops import masks
from limner.prompts import VisualPrompt
from limner.registry.device import memory_limit

BYTES_A_PIXEL = 38
"""Of the picture: its samples, views and copies, a mask, and the file that is written."""
BYTES_A_WINDOW_PIXEL = 3
"""Of each object's bounding box: its mask and what else it may mean."""


def bytes_needed(size_wh: tuple[int, int], prompts: Sequence[VisualPrompt]) -> int:
    """The peak of one picture, models aside. What phrases will find isn't known and not counted."""
    windows = sum(_window_area(prompt, size_wh) for prompt in prompts)
    return BYTES_A_PIXEL * math.prod(size_wh) + BYTES_A_WINDOW_PIXEL * windows


def check_fits(size_wh: tuple[int, int], prompts: Sequence[VisualPrompt]) -> None:
    """Refuse what this machine has no memory for.

    Raises:
        OutOfMemory: with how much it takes and how much there is.
    """
    needed, limit = bytes_needed(size_wh, prompts), memory_limit()
    if needed > limit:
        objects = f" and {len(prompts)} objects" if len(prompts) > 1 else ""
        raise OutOfMemory(
            f"A picture of {size_wh[0]}x{size_wh[1]} pixels{objects} takes about "
            f"{needed / 1e9:.1f} GB of memory, and this process may use {limit / 1e9:.1f} GB: make "
            "it smaller, cut it into parts, or name fewer objects at once."
        )


def _window_area(prompt: VisualPrompt, size_wh: tuple[int, int]) -> int:
    """Pixels of the box in which a prompt's mask lies; 0 where nobody knows it before."""
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box.xyxy
        return math.ceil((x1 - x0) * (y1 - y0))
    if prompt.mask is not None:
        x0, y0, x1, y1 = masks.box_of(prompt.mask.array) or (0, 0, 0, 0)
        return (x1 - x0) * (y1 - y0)
    return 0 if prompt.says_what else math.prod(size_wh) // 4  # a click may mean much
