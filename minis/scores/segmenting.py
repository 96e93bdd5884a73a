"""mini-sam: IoU from a box and from clicks.

The clicks are RITM's (``limner.evaluation.metrics.noc``): each lies deepest in what is still
wrong. The model gets all clicks so far, and not its own last mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np

from limner.evaluation.metrics.noc import simulate
from limner.ops import masks
from limner.ops.detections import mask_of
from limner.options import SegmentOptions
from limner.prompts import Box, Point, VisualPrompt
from limner.protocols import ImageEmbedding, Segmenter
from limner.rle import BoolMask
from minis.scene import Bools, Thing
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured

CLICKS = 5


def measure(models: ShippedModels, amount: int = 200) -> dict[str, float]:
    """Over ``amount`` things of held-out scenes."""
    segmenter = models.segmenter
    boxed: list[float] = []
    clicked: list[list[float]] = []
    lost: list[float] = []
    for scene, things in samples.things(amount):
        embedding = segmenter.embed(pictured(scene.image))
        for thing in things:
            boxed.append(from_box(segmenter, embedding, thing))
            ious, best = from_clicks(segmenter, embedding, thing.mask)
            clicked.append(ious)
            lost.append(best - ious[0])
    after = np.array(clicked).mean(axis=0)
    return {
        "sam-box": mean(boxed),
        "sam-click-1": float(after[0]),
        "sam-click-3": float(after[2]),
        "sam-click-5": float(after[4]),
        "sam-best-of-3": mean(lost),
    }


def from_box(segmenter: Segmenter, embedding: ImageEmbedding, thing: Thing) -> float:
    """IoU of the answer to the thing's tight box."""
    answer = segmenter.segment(
        embedding, [VisualPrompt(box=Box(*map(float, thing.box)))], SegmentOptions()
    )
    return masks.iou(mask_of(answer, 0), thing.mask)


def from_clicks(
    segmenter: Segmenter, embedding: ImageEmbedding, truth: Bools
) -> tuple[list[float], float]:
    """IoU after each of ``CLICKS`` clicks, and that of the best candidate after the first."""
    best = 0.0

    def answer(points: Sequence[Point], before: BoolMask | None) -> BoolMask:
        nonlocal best
        detections = segmenter.segment(
            embedding, [VisualPrompt(points=tuple(points))], SegmentOptions()
        )
        if len(points) == 1:
            best = max(masks.iou(mask, truth) for mask, _ in detections.data["candidates"][0])
        return mask_of(detections, 0)

    return held(simulate(answer, truth, CLICKS), CLICKS), best


def held(ious: Sequence[float], clicks: int) -> list[float]:
    """``clicks`` numbers: whoever had nothing left to click keeps the last one."""
    return [*ious, *[ious[-1]] * (clicks - len(ious))]
