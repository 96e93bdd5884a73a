"""Several answers to one question as one: the boxes that they share, and how many share each.

A model's own number for how sure it is says little; how often it says the same again says more
(self-consistency: Wang et al. 2022, arXiv 2203.11171, there for words, here for boxes).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from limner.ops.detections import iou

Floats = npt.NDArray[np.float64]

SAME = 0.5
"""IoU from which on boxes of two answers are of one thing."""


def agreed(answers: Sequence[Floats], same: float = SAME) -> tuple[Floats, Floats]:
    """What N answers have in common.

    The box that most answers have a box for (IoU of at least ``same``) gathers the nearest of each
    answer; their median, edge by edge, is one result. Then the next, among the boxes left.

    Args:
        answers: N arrays (n_i, 4) of XYXY.

    Returns:
        (K, 4) boxes and (K,) the part of the N answers that holds each, most first.
    """
    count = len(answers)
    boxes = np.concatenate([np.zeros((0, 4)), *answers])
    whose = np.repeat(np.arange(count), [len(answer) for answer in answers])
    near = iou(boxes, boxes)
    np.fill_diagonal(near, 1.0)
    near[near < same] = 0.0
    left = np.ones(len(boxes), dtype=bool)
    medians, held = [], []
    while left.any():
        # (boxes, answers): each box's best match in every answer, among the boxes left
        best = np.stack(
            [np.where(left & (whose == n), near, 0.0).max(axis=1) for n in range(count)], axis=1
        )
        votes = np.where(left, (best > 0).sum(axis=1) + best.mean(axis=1) / 2, -1.0)
        centre = int(votes.argmax())
        members = [
            int(np.where(left & (whose == n), near[centre], 0.0).argmax())
            for n in np.flatnonzero(best[centre] > 0)
        ]
        left[members] = False
        medians.append(np.median(boxes[members], axis=0))
        held.append(len(members) / count)
    order = np.argsort(-np.array(held), kind="stable")
    return np.array(medians).reshape(-1, 4)[order], np.array(held)[order]
