"""Masks against labelled objects: which answers which, and how well.

A mask answers at most one object and an object takes at most one mask: the pairing with the largest
sum of IoU (Hungarian method, ``scipy.optimize.linear_sum_assignment``). An object that no mask
overlaps scores 0. Masks that answer nothing are counted, not punished: that is what AP does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from limner.errors import InputError
from limner.evaluation.datasets import LabelledImage
from limner.evaluation.metrics.boundary import boundary_f, boundary_iou
from limner.ops import masks
from limner.rle import BoolMask

Named = tuple[str | None, BoolMask]
"""A mask and its class; None: of any."""


@dataclass(frozen=True)
class ObjectScore:
    """One labelled object and the mask that answers it best; all 0 to 1."""

    image: str
    name: str
    iou: float
    boundary_f: float
    boundary_iou: float

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class SegmentScores:
    """Means over objects; None where there are none."""

    objects: int
    missed: int
    """Objects that no mask overlaps."""
    surplus: int
    """Masks that answer no object."""
    miou: float | None
    boundary_f: float | None
    boundary_iou: float | None

    @classmethod
    def over(cls, scores: Sequence[ObjectScore], surplus: int) -> SegmentScores:
        names = ("iou", "boundary_f", "boundary_iou")
        means = [mean(getattr(s, name) for s in scores) if scores else None for name in names]
        return cls(len(scores), sum(not s.iou for s in scores), surplus, *means)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def score_image(
    image: LabelledImage, predictions: Sequence[Named], *, in_order: bool = False
) -> tuple[list[ObjectScore], int]:
    """A score for each labelled object, and how many masks answer none. Crowds are left out.

    Args:
        in_order: mask k was asked for by object k: nothing is to be paired.

    Raises:
        InputError: a mask that is not of the picture's size.
    """
    things = [thing for thing in image.objects if not thing.crowd]
    truths = [thing.mask for thing in things]
    size_hw = image.size_wh[::-1] if image.size_wh else None
    for _, mask in predictions:
        if size_hw and mask.shape != size_hw:
            raise InputError(
                f"A mask for {image.path.name} is {mask.shape[1]}x{mask.shape[0]} pixels and the "
                f"picture {size_hw[1]}x{size_hw[0]}: a mask covers the whole picture."
            )
    names = [thing.name for thing in things]
    pairs = list(zip(names, truths, strict=True))
    matches = list(range(len(pairs))) if in_order else pair_masks(pairs, predictions)
    scores = [
        _scored(image.path.name, names[k], truths[k], None if n is None else predictions[n][1])
        for k, n in enumerate(matches)
    ]
    return scores, len(predictions) - sum(n is not None for n in matches)


def pair_masks(
    truths: Sequence[tuple[str, BoolMask]], predictions: Sequence[Named]
) -> list[int | None]:
    """For each true mask the index of the found one that answers it, or None."""
    shares = masks.iou_matrix([mask for _, mask in truths], [mask for _, mask in predictions])
    for k, (name, _) in enumerate(truths):
        for n, (other, _) in enumerate(predictions):
            if other not in (None, name):
                shares[k, n] = 0
    rows, columns = linear_sum_assignment(-shares)
    answers: list[int | None] = [None] * len(truths)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if shares[row, column]:
            answers[row] = column
    return answers


def _scored(image: str, name: str, truth: BoolMask, prediction: BoolMask | None) -> ObjectScore:
    if prediction is None:
        prediction = np.zeros_like(truth)
    return ObjectScore(
        image,
        name,
        masks.iou(prediction, truth),
        boundary_f(prediction, truth),
        boundary_iou(prediction, truth),
    )
