"""From a phrase to a mask, as ``limner segment --text`` does it, with its default settings.

Each noun of a scene is asked alone. The best match is the largest IoU of any returned mask with any
thing of that noun, 0 where nothing was returned. It forgives too many answers, so the surest
answer's own IoU stands beside it.
"""

from __future__ import annotations

from statistics import mean

import numpy as np

from limner.ops import masks
from limner.ops.detections import mask_of
from limner.prompts import Text, VisualPrompt
from limner.rle import BoolMask
from minis.drawings import phrase
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured


def measure(models: ShippedModels, amount: int = 100) -> dict[str, float]:
    """Over all nouns of ``amount`` held-out scenes."""
    best, first = [], []
    for scene in samples.held_out(amount):
        for noun in sorted({thing.noun for thing in scene.things}):
            truths = [thing.mask for thing in scene.things if thing.noun == noun]
            ious = [best_iou(mask, truths) for mask in masks_of(models, scene.image, noun)]
            best.append(max(ious, default=0.0))
            first.append(ious[0] if ious else 0.0)
    return {"words-mask": mean(best), "words-first": mean(first)}


def masks_of(models: ShippedModels, image: np.ndarray, noun: str) -> list[BoolMask]:
    """The masks that a phrase gets, the surest first."""
    run = models.session.segment(pictured(image), [VisualPrompt(text=Text(phrase(noun)))])
    rows = run.grounding.detections
    if not len(rows):
        return []
    order = np.argsort(-np.asarray(rows.confidence), kind="stable")
    return [mask_of(rows, int(row)) for row in order]


def best_iou(mask: BoolMask, truths: list[BoolMask]) -> float:
    """With whichever of the true masks it fits best."""
    return max(masks.iou(mask, truth) for truth in truths)
