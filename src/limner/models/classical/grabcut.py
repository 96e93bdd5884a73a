"""One object from clicks, a box, a rough mask or any mix of them, with no learned weights.

`cv2.grabCut` alone knows colour and edges, and loses the object when it shares its colours with
the surroundings. Here it only decides the uncertain strip. Before it, each pixel of a small view
(`grabcut_view`) gets a log-odds *evidence* of being the object (`grabcut_evidence`), the sum of

- geodesic distance to what is surely background (outside the box, the frame, background clicks):
  a path that crosses strong edges is long, so what it reaches late is probably the object;
- the colour ratio of object and background, over a palette of the view;
- position: the ellipse inscribed in the box, or the distance beyond a disc around the click.

A click says nothing of size, so discs of several radii are each grown into a mask, and the masks
compete; each further click corrects the answer to those before it. A box around something large is
first cut by plain `cv2.grabCut` (`grabcut_plain`): where that answer can be trusted, it is the
rough mask to start from. All weights are rounded fits to half of 135 COCO objects;
`benchmarks/grabcut_coco.py` measures the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from limner.models.classical.grabcut_evidence import (
    box_evidence,
    correction,
    disc_evidence,
    mask_evidence,
)
from limner.models.classical.grabcut_plain import spanning_mask, spans, with_context
from limner.models.classical.grabcut_view import FINE, Detail, View, depth

REFINE_SIDE = 1024
"""Long side above which the border is refined on a shrunken crop, pixels."""
IN_TURN = 12
"""Clicks that are answered one after the other, each correcting the answer to those before it; more
are answered together."""
RADII = tuple(2.5 * 1.4**k for k in range(12))
"""Radii of the discs a first click may stand for, view pixels."""


@dataclass(frozen=True)
class ObjectPrompt:
    """What is known of one object, in pixels of the image, of which number i covers [i, i+1)."""

    points: np.ndarray | None = None
    """(P, 2) xy."""
    point_labels: np.ndarray | None = None
    """(P,) 1 object, 0 background; None: all are 1."""
    box: np.ndarray | None = None
    """(4,) xyxy."""
    mask: np.ndarray | None = None
    """(H, W) bool, a previous or rough mask."""


@dataclass(frozen=True)
class Guess:
    """One reading of the prompt."""

    evidence: np.ndarray
    """(h, w) float32 log-odds of being the object, in the view."""
    mask: np.ndarray
    """(h, w) bool."""
    rank: float
    """Higher is better; only guesses of one prompt compare."""


def grabcut(
    image: np.ndarray,
    *,
    points: np.ndarray | None = None,
    point_labels: np.ndarray | None = None,
    box: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    iterations: int | None = None,
) -> tuple[np.ndarray, float]:
    """The best mask for one object: the first of `grabcut_candidates`, at the price of one."""
    prompt = ObjectPrompt(points, point_labels, box, mask)
    return grabcut_candidates(image, prompt, iterations=iterations, count=1)[0]


def grabcut_candidates(
    image: np.ndarray,
    prompt: ObjectPrompt,
    *,
    iterations: int | None = None,
    count: int = 3,
    detail: Detail = FINE,
) -> list[tuple[np.ndarray, float]]:
    """Up to `count` different masks for one prompt, best first, each with its score.

    image (H, W, 3) uint8 RGB; iterations of `cv2.grabCut` on the uncertain strip, 0 to skip it,
    None for as many as `detail` says.

    Each result is a mask (H, W) bool, which contains every foreground click and no background
    click, and a score in 0..1: the intersection over union expected if the evidence were
    calibrated, i.e. of the mask with its own soft posterior. It tells clear cases from murky ones;
    it is no probability.
    """
    clicks, labels = _clicks(prompt.points, prompt.point_labels)
    box, mask = prompt.box, prompt.mask
    if box is None and mask is None and not len(clicks):
        raise ValueError("no prompt: give points, a box or a mask")
    if mask is not None and not mask.any():
        mask = None
    if box is None and mask is None and not labels.any():
        box = np.array([0, 0, image.shape[1], image.shape[0]])
    if box is not None:
        box = _box_inside(np.asarray(box, float), image.shape[1], image.shape[0])
    if iterations is None:
        iterations = detail.iterations
    if mask is None and box is None and 1 < len(clicks) <= IN_TURN and labels[:-1].any():
        mask = _before(image, clicks, labels, iterations, detail)
    if box is not None and mask is None and iterations > 0:
        rough = spanning_mask(image, box)
        if rough is not None:
            known = ObjectPrompt(clicks, labels.astype(int), box, rough)
            answers = grabcut_candidates(
                image, known, iterations=iterations, count=count, detail=detail
            )
            if spans(answers[0][0], box):  # else what followed lost a part of it again
                return answers
    if box is not None:
        view, guesses = _guesses_from_box(image, clicks, labels, box, mask, detail)
    elif mask is not None:
        view, guesses = _guesses_from_mask(image, clicks, labels, mask, detail)
    else:
        view, guesses = _guesses_from_clicks(image, clicks, labels, detail)
    chosen = _different(guesses, count)
    return [_finish(image, view, guess, clicks, labels, box, iterations) for guess in chosen]


# Prompts


def _clicks(points: np.ndarray | None, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) float xy and (P,) bool, empty when no points came."""
    at = np.zeros((0, 2)) if points is None else np.asarray(points, float).reshape(-1, 2)
    kind = np.ones(len(at), bool) if labels is None else np.asarray(labels).reshape(-1) > 0
    if len(kind) != len(at):
        raise ValueError(f"{len(at)} points but {len(kind)} point_labels: give one label a point")
    return at, kind


def _box_inside(box: np.ndarray, width: int, height: int) -> np.ndarray:
    """(4,) xyxy in order, within the image and at least one pixel in size."""
    x0, x1 = np.clip(np.sort(box[[0, 2]]), 0, width)
    y0, y1 = np.clip(np.sort(box[[1, 3]]), 0, height)
    x0, y0 = min(x0, width - 1), min(y0, height - 1)
    return np.array([x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)])


def _extent(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(4,) xyxy of a mask that is not empty and of the pixels of (P, 2) xy."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    low, high = np.array([xs[0], ys[0]], float), np.array([xs[-1] + 1, ys[-1] + 1], float)
    return np.concatenate([np.vstack([low, points]).min(0), np.vstack([high, points + 1]).max(0)])


def _before(
    image: np.ndarray, clicks: np.ndarray, labels: np.ndarray, iterations: int, detail: Detail
) -> np.ndarray:
    """(H, W) bool: the answer to all clicks but the last one, which that is to correct.

    Ranking all sizes anew at every click would lose more than .05 of IoU one time in five.
    """
    earlier = ObjectPrompt(clicks[:-1], labels[:-1].astype(int))
    ((mask, _),) = grabcut_candidates(image, earlier, iterations=iterations, count=1, detail=detail)
    return mask


# Guesses


def _guesses_from_box(
    image: np.ndarray,
    clicks: np.ndarray,
    labels: np.ndarray,
    box: np.ndarray,
    mask: np.ndarray | None,
    detail: Detail,
) -> tuple[View, list[Guess]]:
    """Guesses within the box, from the mask's evidence where one came."""
    view = View.of(image, with_context(box, 0.35, image.shape), detail)
    at, inside = view.place(clicks), view.inside(box)
    if mask is None:
        evidence = box_evidence(view, box, inside, at[~labels], image.shape)
    else:
        evidence = mask_evidence(view, view.shrink(mask))
    return view, _shifted(view, evidence, inside, at, labels)


def _guesses_from_mask(
    image: np.ndarray, clicks: np.ndarray, labels: np.ndarray, mask: np.ndarray, detail: Detail
) -> tuple[View, list[Guess]]:
    extent = _box_inside(_extent(mask, clicks[labels]), image.shape[1], image.shape[0])
    view = View.of(image, with_context(extent, 0.35, image.shape), detail)
    evidence = mask_evidence(view, view.shrink(mask))
    return view, _shifted(view, evidence, np.ones(view.shape, bool), view.place(clicks), labels)


def _shifted(
    view: View, evidence: np.ndarray, inside: np.ndarray, at: np.ndarray, labels: np.ndarray
) -> list[Guess]:
    """The evidence corrected by the clicks, as it stands, more generous and stricter."""
    evidence = np.where(inside, evidence + correction(view, at, labels), -9.0)
    guesses = []
    for shift, rank in ((0.0, 2.0), (1.0, 1.0), (-1.0, 0.0)):
        shifted = np.where(inside, evidence + shift, -9.0)
        guesses.append(Guess(shifted, _keep_parts(shifted > 0, at, labels, share=0.05), rank))
    return guesses


def _guesses_from_clicks(
    image: np.ndarray, clicks: np.ndarray, labels: np.ndarray, detail: Detail
) -> tuple[View, list[Guess]]:
    """One guess for each radius that the first foreground click may stand for."""
    view = View.of(image, (0, 0, image.shape[1], image.shape[0]), detail)
    at = view.place(clicks)
    first = at[labels][0]
    border = np.ones(view.shape, bool)
    border[1:-1, 1:-1] = False
    frame = np.log1p(view.geodesic(border) / 10)
    background = view.geodesic(view.mark(at[~labels])) if not labels.all() else None
    guesses: list[Guess] = []
    for radius in RADII:
        if radius > 0.62 * min(view.shape) and guesses:
            break
        evidence = disc_evidence(view, at, labels, radius, frame, background)
        mask = _keep_parts(evidence > 0, at, labels, share=None)
        guesses.append(Guess(evidence, mask, _rank(view, evidence, mask, first, radius)))
    return view, guesses


def _rank(
    view: View,
    evidence: np.ndarray,
    mask: np.ndarray,
    first: np.ndarray,
    radius: float,
) -> float:
    """How well a mask explains a click: clear-cut, deepest at the click, compact, off the frame."""
    inward = depth(np.pad(mask, 1))[1:-1, 1:-1]
    sure = float(np.abs(1 / (1 + np.exp(-evidence[mask])) - 0.5).mean())
    middle = float(np.log(max(inward[first[1], first[0]], 0.5) / inward.max()))
    outline = (inward > 0) & (inward < 1.5)
    inner = float(outline[1:-1, 1:-1].sum())
    on_frame = 1 - inner / max(1.0, float(outline.sum()))
    spread = float(np.log(mask.sum() / (np.pi * inward.max() ** 2)))
    busy = float(np.log(view.texture[mask].mean() + 0.5))
    size = float(np.log(radius))
    prior = -0.06 * (size + size**2)
    return 26 * sure + 3.8 * middle + 1.2 * busy - 2.5 * on_frame - 1.5 * spread + prior


# Masks


def _keep_parts(
    mask: np.ndarray, at: np.ndarray, labels: np.ndarray, *, share: float | None
) -> np.ndarray:
    """Parts with a foreground click and, with `share`, those of at least that share of the largest.

    Holes are filled unless a background click lies in them.
    """
    mask = mask.copy()
    mask[at[labels, 1], at[labels, 0]] = True
    count, part, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return mask
    area = stats[:, cv2.CC_STAT_AREA].astype(float)
    area[0] = 0
    keep = np.zeros(count, bool) if share is None else area >= share * area.max()
    keep[part[at[labels, 1], at[labels, 0]]] = True
    keep[0] = False
    solid = keep[part]
    holes, _ = ndimage.label(ndimage.binary_fill_holes(solid) & ~solid)
    wanted = np.unique(holes[at[~labels, 1], at[~labels, 0]])
    small = np.bincount(holes.ravel()) <= (1.0 if share is None else 0.02) * solid.sum()
    small[0] = False
    small[wanted] = False
    return np.asarray(solid | small[holes])


def _different(guesses: list[Guess], count: int) -> list[Guess]:
    """The best `count` guesses, without those that nearly repeat a better one."""
    chosen: list[Guess] = []
    for guess in sorted(guesses, key=lambda g: -g.rank):
        if all(_iou(guess.mask, other.mask) < 0.85 for other in chosen):
            chosen.append(guess)
    return chosen[:count]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


# The border


def _finish(
    image: np.ndarray,
    view: View,
    guess: Guess,
    clicks: np.ndarray,
    labels: np.ndarray,
    box: np.ndarray | None,
    iterations: int,
) -> tuple[np.ndarray, float]:
    """The guess as a mask (H, W) of the original, and its score."""
    posterior = 1 / (
        1 + np.exp(-np.where(guess.mask, np.maximum(guess.evidence, 0.1), guess.evidence))
    )
    at = view.place(clicks)
    mask = _cut_strip(view, posterior, guess.mask, iterations)
    mask = _keep_parts(mask, at, labels, share=None if box is None and labels.any() else 0.05)
    if not mask.any():
        mask = guess.mask if guess.mask.any() else guess.evidence >= guess.evidence.max()
    score = float((posterior * mask).sum() / np.maximum(posterior, mask).sum())
    full = _enlarge(image, view, mask)
    if box is not None:
        x0, y0 = np.floor(box[:2]).astype(int)
        x1, y1 = np.ceil(box[2:]).astype(int)
        limit = np.zeros_like(full)
        limit[y0:y1, x0:x1] = True
        full = full & limit if (full & limit).any() else limit
    pixel = np.clip(np.floor(clicks).astype(int), 0, np.array(full.shape[::-1]) - 1)
    full[pixel[:, 1], pixel[:, 0]] = labels
    return full, score


def _cut_strip(view: View, posterior: np.ndarray, mask: np.ndarray, iterations: int) -> np.ndarray:
    """(h, w) bool: `mask`, its uncertain pixels decided by `cv2.grabCut`."""
    trimap = np.where(mask, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[mask & (posterior > 0.7)] = cv2.GC_FGD
    trimap[~mask & (posterior < 0.1)] = cv2.GC_BGD
    trimap[~mask & (depth(~mask) > 8)] = cv2.GC_BGD
    if iterations <= 0 or min(view.shape) < 3:
        return mask
    cv2.setRNGSeed(0)  # its colour models start from k-means on OpenCV's global generator
    models = np.zeros((2, 1, 65))
    try:
        cv2.grabCut(  # type: ignore[call-overload]  # the stubs want a rect, this mode has none
            view.rgb, trimap, None, models[0], models[1], iterations, cv2.GC_INIT_WITH_MASK
        )
    except cv2.error:  # one of its two sides has no pixels
        return mask
    return np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _enlarge(image: np.ndarray, view: View, mask: np.ndarray) -> np.ndarray:
    """(h, w) bool in the view -> (H, W) bool, its border moved onto the image's edges.

    Only the mask's own surroundings are filtered, and at `REFINE_SIDE` at most, so that the time
    does not grow with the image.
    """
    full = np.zeros(image.shape[:2], bool)
    if not mask.any():
        return full
    x0, y0, x1, y1 = view.crop_xyxy
    shrink = max(x1 - x0, y1 - y0) / REFINE_SIDE
    size_wh = x1 - x0, y1 - y0
    if shrink > 1:
        size_wh = max(1, round(size_wh[0] / shrink)), max(1, round(size_wh[1] / shrink))
    soft = cv2.resize(mask.astype(np.float32), size_wh, interpolation=cv2.INTER_LINEAR)
    guide = cv2.resize(image[y0:y1, x0:x1], size_wh, interpolation=cv2.INTER_AREA)
    if min(size_wh) >= 3:
        radius = max(1, round(1.5 * size_wh[0] / view.shape[1]))
        soft = cv2.ximgproc.guidedFilter(guide, soft, radius, 30.0)
    full[y0:y1, x0:x1] = cv2.resize(soft, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) > 0.5
    return full
