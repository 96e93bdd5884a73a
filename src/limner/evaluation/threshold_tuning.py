"""Which threshold to take for a phrase, from a handful of labelled pictures, and how sure that is.

The threshold is the one whose boxes have the best F1 (harmonic mean of precision and recall) on
the pictures, half way between the last score kept and the first one dropped. Few pictures fix it
badly, so it comes with two honest numbers:

- *low* and *high*: the middle 90 % of the thresholds found on pictures drawn anew from the given
  ones with replacement (the percentile bootstrap, Efron 1979; whole pictures are drawn because
  boxes of one picture are alike);
- *F1 left out*: each picture scored with the threshold that the others give. Where it lies far
  below F1 the threshold fits these pictures only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.errors import InputError

FEW_IMAGES = 5
"""Pictures with the thing below which a threshold is a guess."""
FEW_OBJECTS = 8
MIDDLE = (5.0, 95.0)
"""Percentiles of ``low`` and ``high``."""


@dataclass(frozen=True)
class Evidence:
    """What one picture says of one phrase."""

    scores: tuple[float, ...]
    """Of all boxes found, down to the lowest."""
    right: tuple[bool, ...]
    """Whether each answers an object."""
    objects: int
    """How many there were to find."""


@dataclass(frozen=True)
class PhraseThreshold:
    """A phrase's threshold. None: no box was ever right, or too little was drawn to tell."""

    phrase: str
    threshold: float | None
    low: float | None
    high: float | None
    f1: float
    f1_left_out: float | None
    images: int
    """Pictures with the thing in them."""
    objects: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def evidence(
    shares: npt.NDArray[np.floating], scores: Sequence[float], least_iou: float = 0.5
) -> Evidence:
    """Which boxes are right: best score first, each takes the unanswered object it covers best.

    Args:
        shares: (N, M) IoU of each found box with each true one.
        scores: N.
        least_iou: overlap from which a box is right.
    """
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    unanswered = np.ones(shares.shape[1], dtype=bool)
    right = []
    for row in order.tolist():
        open_shares = (
            np.where(unanswered, shares[row], -1.0) if unanswered.size else np.array([-1.0])
        )
        best = int(np.argmax(open_shares))
        hit = bool(open_shares[best] >= least_iou)
        right.append(hit)
        if hit:
            unanswered[best] = False
    ranked = tuple(float(scores[row]) for row in order.tolist())
    return Evidence(ranked, tuple(right), int(shares.shape[1]))


def tune(
    phrase: str, images: Sequence[Evidence], *, resamples: int = 1000, seed: int = 0
) -> PhraseThreshold:
    """The threshold for one phrase.

    Raises:
        InputError: no picture has the thing in it.
    """
    objects = sum(image.objects for image in images)
    with_it = sum(image.objects > 0 for image in images)
    if not objects:
        raise InputError(f"No picture has a {phrase} in it: there is nothing to tune on.")
    threshold, f1 = best_threshold(images)
    notes = []
    if with_it < FEW_IMAGES or objects < FEW_OBJECTS:
        notes.append(
            f"{phrase}: {objects} in {with_it} of {len(images)} pictures is little to go by: "
            f"label {FEW_OBJECTS} or more in {FEW_IMAGES} or more."
        )
    if threshold is None:
        notes.append(f"{phrase}: the detector found none of them, at any score.")
        return PhraseThreshold(phrase, None, None, None, 0.0, None, with_it, objects, tuple(notes))
    low, high = _bootstrap(images, resamples, seed)
    left_out = _left_out(images)
    return PhraseThreshold(
        phrase, threshold, low, high, f1, left_out, with_it, objects, tuple(notes)
    )


def best_threshold(images: Sequence[Evidence]) -> tuple[float | None, float]:
    """(threshold, F1): the best cut between two different scores.

    Of equally good cuts the one in the widest gap. Below the lowest score the gap ends at 0. None
    where no box is right.
    """
    scores = np.array([score for image in images for score in image.scores])
    right = np.array([hit for image in images for hit in image.right], dtype=bool)
    objects = sum(image.objects for image in images)
    if not right.any() or not objects:
        return None, 0.0
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], np.cumsum(right[order])
    following = np.append(scores[1:], 0.0)
    # F1 = 2 TP / (found + objects)
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + objects)
    f1[following == scores] = -1  # equal scores are kept or dropped together
    if following[-1] == scores[-1]:  # scores of 0 are kept by any threshold
        f1[-1] = 2 * hits[-1] / (len(scores) + objects)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    cut = int(best[np.argmax(scores[best] - following[best])])
    return float((scores[cut] + following[cut]) / 2), float(f1[cut])


def scores_by_threshold(
    images: Sequence[Evidence],
) -> tuple[list[float], dict[str, list[float | None]]]:
    """F1, precision and recall at every score that was found, rising, and a little above them all.

    They hold down to the threshold before. Precision is None where no box is left.
    """
    scores = sorted({score for image in images for score in image.scores})
    above = min(1.1 * scores[-1] + 0.01, 1.0) if scores else 1.0
    thresholds = [0.0, *scores, *([above] if not scores or above > scores[-1] else [])]
    objects = sum(image.objects for image in images)
    curves: dict[str, list[float | None]] = {"F1": [], "precision": [], "recall": []}
    for threshold in thresholds:
        pairs = [counts(image, threshold) for image in images]
        right, boxes = (sum(column) for column in zip(*pairs, strict=True))
        curves["F1"].append(2 * right / (boxes + objects) if boxes + objects else None)
        curves["precision"].append(right / boxes if boxes else None)
        curves["recall"].append(right / objects if objects else None)
    return thresholds, curves


def counts(image: Evidence, threshold: float) -> tuple[int, int]:
    """(right boxes, boxes) that reach the threshold."""
    hits = [hit for score, hit in zip(image.scores, image.right, strict=True) if score >= threshold]
    return sum(hits), len(hits)


def _bootstrap(
    images: Sequence[Evidence], resamples: int, seed: int
) -> tuple[float | None, float | None]:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(images), (resamples, len(images)))
    best = [best_threshold([images[k] for k in row])[0] for row in drawn.tolist()]
    thresholds = [threshold for threshold in best if threshold is not None]
    if not thresholds:
        return None, None
    low, high = np.percentile(thresholds, MIDDLE)
    return float(low), float(high)


def _left_out(images: Sequence[Evidence]) -> float | None:
    """F1 over all pictures, each with the threshold of the others; None where they give none."""
    hits = boxes = 0
    for k, image in enumerate(images):
        threshold, _ = best_threshold([*images[:k], *images[k + 1 :]])
        if threshold is None:
            if image.objects:
                return None
            continue
        right, reached = counts(image, threshold)
        hits, boxes = hits + right, boxes + reached
    return 2 * hits / (boxes + sum(image.objects for image in images))
