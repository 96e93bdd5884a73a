"""Masks as answers to prompts, a row each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import supervision as sv

from limner.ops import detections
from limner.ops.detections import Candidates
from limner.ops.masks import box_of
from limner.prompts import VisualPrompt


def mask_rows(
    prompts: Sequence[VisualPrompt], candidates: Sequence[Candidates], names: Sequence[str]
) -> sv.Detections:
    """Row ``i`` answers ``prompts[i]`` with the first of its candidates; an empty mask stays, with
    a box of no area.

    Args:
        candidates: of each prompt, best first; never none.
        names: of each prompt's row.
    """
    if not prompts:
        return detections.empty(with_mask_keys=True)
    best = [own.crop(0) for own in candidates]
    scores = [score for _, score in best]
    xyxy = [
        crop.box_xyxy or anchor_of(prompt) for (crop, _), prompt in zip(best, prompts, strict=True)
    ]
    rows = detections.make(np.array(xyxy), scores, np.arange(len(prompts)), names)
    crops = [crop for crop, _ in best]
    return detections.with_masks(rows, crops, scores, candidates=candidates)


def anchor_of(prompt: VisualPrompt) -> tuple[float, float, float, float]:
    """A box of no area where the prompt points: at its first foreground point, else in the middle
    of its box, else of its mask."""
    x, y = 0.0, 0.0
    if prompt.mask and (xyxy := box_of(prompt.mask.array)):
        x, y = (xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2
    if prompt.box:
        x, y = (prompt.box.x0 + prompt.box.x1) / 2, (prompt.box.y0 + prompt.box.y1) / 2
    for point in prompt.points:
        if point.foreground:
            x, y = point.x, point.y
            break
    return (x, y, x, y)
