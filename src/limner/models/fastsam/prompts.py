"""Which of FastSAM's masks a prompt means (Zhao et al. 2023, arXiv 2306.12156, section 3.3).

The network has found all things before anybody asks; a prompt chooses among them. The rules are
those of the paper's code (CASIA-IVA-Lab/FastSAM, ``fastsam/prompt.py``) where its answer is one:

- **points**: masks are painted from the largest to the smallest, those that hold a foreground point
  in, those that hold a background point out. What a mask that holds both does hangs there on the
  order in which the points were typed, and the answer may hold a background point. Here such a mask
  is painted out; only if more foreground points are met by painting it in, and the smaller masks
  then take every background point out of it, is it painted in: a person whose sunglasses are
  background is a person without sunglasses. No answer ever holds a background point.
- **a box**: the mask whose IoU with the box is best; nothing where no mask touches it (there: the
  first mask). Points with a box choose among the masks first.
- **a phrase**: the mask that looks most like it, of those that agree with points and box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from limner.models.fastsam.yolo_decode import Things
from limner.prompts import Box, Point, VisualPrompt
from limner.rle import BoolMask

Rows = npt.NDArray[np.bool_]
"""(N,) which of an image's masks."""
Floats = npt.NDArray[np.floating]

CANDIDATES = 3
"""As many as SAM proposes."""
MOSTLY = 0.5
"""Part of a mask that lies in the box which a phrase came with."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Masks (H, W) that a prompt may mean, best first, with scores; never none."""

    candidates: tuple[tuple[BoolMask, float], ...]

    @property
    def mask(self) -> BoolMask:
        return self.candidates[0][0]

    @property
    def score(self) -> float:
        return self.candidates[0][1]


def answer(things: Things, prompt: VisualPrompt, likeness: Floats | None = None) -> Answer:
    """What a prompt means; an empty mask, with a score of 0, where that is nothing.

    Args:
        likeness: (N,) how much each mask looks like the prompt's phrase, 0..1; 0: not looked at.
    """
    foreground = holding(things, [point for point in prompt.points if point.foreground])
    background = holding(things, [point for point in prompt.points if not point.foreground])
    if likeness is not None:
        agreeing = foreground.all(axis=1) & ~_any(background) & (likeness > 0)
        if prompt.box is not None:
            agreeing &= covered(things, prompt.box) >= MOSTLY * things.area
        return _singles(things, _best_first(agreeing, likeness), likeness)
    if prompt.box is not None:
        return _in_box(things, prompt.box, foreground, background)
    return _at_points(things, foreground, background)


def holding(things: Things, points: Sequence[Point]) -> npt.NDArray[np.bool_]:
    """(N, P) which masks hold which points."""
    holds = np.zeros((len(things), len(points)), dtype=bool)
    for column, point in enumerate(points):
        x, y = int(point.x), int(point.y)
        left, top, right, bottom = things.xyxy.T
        near = (left <= x) & (x < right) & (top <= y) & (y < bottom)
        for row in np.flatnonzero(near).tolist():
            holds[row, column] = things.masks.crop(row)[y - top[row], x - left[row]]
    return holds


def covered(things: Things, box: Box) -> npt.NDArray[np.int64]:
    """(N,) pixels of each mask in a box, whose sides are rounded to whole pixels."""
    pixels = np.zeros(len(things), dtype=np.int64)
    x0, y0, x1, y1 = (round(side) for side in box.xyxy)
    for row, (left, top, right, bottom) in enumerate(things.xyxy.tolist()):
        if left < x1 and x0 < right and top < y1 and y0 < bottom:
            part = things.masks.crop(row)[
                max(y0 - top, 0) : y1 - top, max(x0 - left, 0) : x1 - left
            ]
            pixels[row] = np.count_nonzero(part)
    return pixels


def overlap(things: Things, box: Box) -> npt.NDArray[np.float64]:
    """(N,) IoU of each mask with a box."""
    x0, y0, x1, y1 = (round(side) for side in box.xyxy)
    inside = covered(things, box)
    return np.asarray(inside / ((x1 - x0) * (y1 - y0) + things.area - inside), dtype=np.float64)


def paint(things: Things, into: Rows, out: Rows) -> BoolMask:
    """Masks painted from the largest to the smallest: those of ``into`` in, then those of ``out``
    out. A smaller mask says more of where it lies."""
    canvas = np.zeros(things.masks.image_shape, dtype=bool)
    for row in np.argsort(-things.area, kind="stable"):
        left, top, right, bottom = things.xyxy[row]
        for chosen, value in ((into, True), (out, False)):
            if chosen[row]:
                canvas[top:bottom, left:right][things.masks.crop(row)] = value
    return canvas


def _at_points(
    things: Things, foreground: npt.NDArray[np.bool_], background: npt.NDArray[np.bool_]
) -> Answer:
    wanted, unwanted = _any(foreground), _any(background)
    strict = wanted & ~unwanted
    into, out = strict, unwanted
    if (wanted & unwanted).any():
        generous = wanted, unwanted & ~wanted
        if _met(things, *generous, background) == 0 and (
            _met(things, *generous, foreground) > _met(things, strict, unwanted, foreground)
        ):
            into, out = generous
    mask = paint(things, into, out)
    score = float(things.confidence[into].max()) if mask.any() else 0.0
    whole = _best_first(strict & foreground.all(axis=1), things.confidence)
    return _with_others(things, mask, score, whole)


def _any(holds: npt.NDArray[np.bool_]) -> Rows:
    """Masks that hold at least one of the points, (N, P)."""
    return np.asarray(holds.any(axis=1), dtype=bool)


def _met(things: Things, into: Rows, out: Rows, points: npt.NDArray[np.bool_]) -> int:
    """How many points, (N, P), a painted mask holds: the smallest mask at a point decides."""
    met = 0
    smallest_first = np.argsort(-things.area, kind="stable")[::-1]
    for holds in points.T:
        deciding = [row for row in smallest_first if holds[row] and (into[row] or out[row])]
        met += bool(deciding) and not out[deciding[0]]
    return met


def _in_box(
    things: Things,
    box: Box,
    foreground: npt.NDArray[np.bool_],
    background: npt.NDArray[np.bool_],
) -> Answer:
    fit = overlap(things, box)
    unwanted = _any(background)
    eligible = fit > 0
    if foreground.size and eligible.any():
        held = foreground.sum(axis=1)
        eligible &= held == held[eligible].max()
    order = _best_first(eligible, fit)
    pure = [row for row in order if not unwanted[row]]
    if order and unwanted[order[0]]:
        best = np.arange(len(things)) == order[0]
        out = unwanted & ~best
        if _met(things, best, out, background) == 0:
            score = float(things.confidence[order[0]])
            return _with_others(things, paint(things, best, out), score, pure)
    return _singles(things, pure, things.confidence)


def _best_first(rows: Rows, merit: Floats) -> list[int]:
    """Row numbers; equal merits keep their order."""
    order = np.argsort(-merit, kind="stable")
    return [int(row) for row in order if rows[row]]


def _singles(things: Things, rows: Sequence[int], scores: Floats) -> Answer:
    """Masks as they are, in the order of ``rows``."""
    if not rows:
        return Answer(((np.zeros(things.masks.image_shape, dtype=bool), 0.0),))
    return Answer(tuple((things.masks[row], float(scores[row])) for row in rows[:CANDIDATES]))


def _with_others(things: Things, mask: BoolMask, score: float, rows: Sequence[int]) -> Answer:
    """A painted mask, then single ones that differ from it."""
    candidates = [(mask, score)]
    for row in rows:
        if len(candidates) == CANDIDATES:
            break
        one = things.masks[row]
        if not np.array_equal(one, mask):
            candidates.append((one, float(things.confidence[row])))
    return Answer(tuple(candidates))
