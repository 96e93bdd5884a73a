"""From scored candidate boxes to answers, for detectors that score many boxes against each prompt.

Pure functions of arrays. ``xyxy`` is (P, 4) in pixels of the original image; P candidates, N
prompts, K answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import supervision as sv

from limner.errors import PromptError
from limner.prompts import Box

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

NEAR = 0.8
"""Part of the best overlap that a candidate needs to stand for an example's box (scenic)."""


def answers(
    scores: Floats, competes: npt.NDArray[np.bool_], thresholds: Floats
) -> tuple[Indices, Indices, npt.NDArray[np.float32]]:
    """Which candidate boxes answer which prompts.

    Args:
        scores: (P, N) of P candidates against N prompts, in 0..1.
        competes: (N,) True for phrases, of which a candidate answers at most one.
        thresholds: (N,) least score for each prompt.

    Returns:
        (K,) candidate, (K,) prompt and (K,) score, the one that the threshold cut, in no order that
        matters.
    """
    enough = scores >= thresholds
    phrases = np.flatnonzero(competes)
    chosen = np.zeros_like(enough)
    if phrases.size:
        best = phrases[np.where(enough, scores, -1)[:, phrases].argmax(axis=1)]
        rows = np.arange(len(scores))
        chosen[rows, best] = enough[rows, best]
    for n in np.flatnonzero(~competes):
        chosen[:, n] = enough[:, n] & (relative(scores[:, n]) > 0)
    rows, prompts = np.nonzero(chosen)
    return rows, prompts, scores[rows, prompts].astype(np.float32)


def relative(scores: Floats) -> npt.NDArray[np.float32]:
    """(P,) scores from a tenth of the best up to the best, as 0..1 (transformers,
    ``post_process_image_guided_detection``; scenic's shading of boxes in the notebook)."""
    best = scores.max() + np.float32(1e-6)
    scaled = (scores - best * np.float32(0.1)) / (best * np.float32(0.9))
    return np.asarray(scaled.clip(0, 1), np.float32)


def suppress(
    xyxy: Floats,
    confidence: Floats,
    classes: Indices,
    *,
    threshold: float,
    class_agnostic: bool,
) -> Indices:
    """Greedy non-maximum suppression: the (K,) rows that stay, best first.

    The rows are those of ``sv.Detections.with_nms``; that one holds five (N, N) float64 matrices,
    4 GB for the 10,000 candidates that three examples may have.
    """
    left = np.argsort(-confidence, kind="stable")
    rows = []
    while left.size:
        first, left = left[0], left[1:]
        rows.append(first)
        rival = sv.box_iou_batch(xyxy[[first]], xyxy[left])[0] > threshold
        if not class_agnostic:
            rival &= classes[left] == classes[first]
        left = left[~rival]
    return np.array(rows, dtype=np.int64)


def with_area(rows: Indices, xyxy: Floats) -> Indices:
    """(K,) those of ``rows`` whose boxes have an area: what lies outside the image, and was clipped
    to it, has nothing to show."""
    return rows[(xyxy[rows, 2:] > xyxy[rows, :2]).all(axis=1)]


def by_prompt(answered: Indices, question: Sequence[int], most: int) -> tuple[Indices, Indices]:
    """Answers to questions as answers to prompts, of which several may ask the same.

    Args:
        answered: (K,) which question each row answers, best first.
        question: of each prompt.
        most: rows that are wanted.

    Returns:
        (L,) row of ``answered`` and (L,) prompt.
    """
    row, prompt = np.nonzero(answered[:, None] == np.array(question, dtype=np.int64)[None, :])
    return row[:most], prompt[:most]


def patch_for(box: Box, xyxy: Floats, merit: Floats) -> int:
    """Which candidate stands for ``box``: the one of most merit, (P,), among those that overlap it
    at least ``NEAR`` times as well as the best does.

    The rule is scenic's ``embed_image_query`` (owl_vit/notebooks/inference.py), of which
    transformers' OWL-ViT has the case "box = whole image".
    """
    overlap = sv.box_iou_batch(np.array([box.xyxy]), xyxy)[0]
    if not overlap.any():
        raise PromptError(
            "The model sees nothing in the example's box: give a larger one, or crop the example "
            "image so that the thing fills more of it."
        )
    near = np.flatnonzero(overlap >= overlap.max() * NEAR)
    return int(near[merit[near].argmax()])
