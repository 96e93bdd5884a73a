"""What each prompt says of every pixel: the log-odds of being the object, before any graph cut.

Distances are in pixels of the view, geodesic ones in CIELAB units. Where the weights come from is
said in `grabcut`.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from limner.models.classical.grabcut_view import View, depth


def box_evidence(
    view: View,
    box: np.ndarray,
    inside: np.ndarray,
    rejects: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """(h, w) log-odds from a box: far from its outside, unlike it in colour, near its middle.

    box (4,) xyxy in the original, whose shape is (H, W, ...); inside (h, w) bool, its pixels;
    rejects (P, 2) int xy, background clicks in the view.
    """
    if np.ptp(view.lab, axis=(0, 1)).max() < 2:  # one flat colour: the box is all there is
        return np.where(inside, 2.0, -2.0)
    ellipse = _box_ellipse(view, box, shape)
    background = ~inside | view.mark(rejects)
    distance = view.geodesic(background) if background.any() else np.full(view.shape, 30.0)
    posterior, rejected = inside * (0.1 + 0.8 * (ellipse > 0.2)), np.zeros(view.shape)
    evidence = np.zeros(view.shape)
    for _ in range(2):
        colour = view.colour_ratio(posterior, ~inside + rejected)
        evidence = 1.2 * ellipse + 2.5 * np.tanh(colour / 4) + 1.5 * np.log1p(distance / 10) - 1.2
        evidence = _smooth(view, evidence, inside)
        posterior = inside / (1 + np.exp(-evidence))
        rejected = 0.5 * (inside - posterior)
    return evidence


def _box_ellipse(view: View, box: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, w) 1 on the box's middle, 0 on the inscribed ellipse, -1 at a corner.

    A side on the image's border says only that the object is cut off there, so it does not count.
    """
    axes = []
    for axis, (low, high, limit) in enumerate(
        ((box[0], box[2], shape[1]), (box[1], box[3], shape[0]))
    ):
        size = view.shape[1 - axis]
        at = (np.arange(size) + 0.5) / view.scale_xy[axis] + view.crop_xyxy[axis]
        from_low = (at - low) / (high - low) if low > 1 else np.full(size, 9.0)
        from_high = (high - at) / (high - low) if high < limit - 1 else np.full(size, 9.0)
        axes.append((0.5 - np.clip(np.minimum(from_low, from_high), 0, 0.5)) ** 2)
    return np.asarray(1 - 4 * (axes[0][None] + axes[1][:, None]))


def _smooth(view: View, evidence: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Evidence averaged within edges; pixels outside carry no weight."""
    if min(view.shape) < 3:
        return evidence
    weight = inside.astype(np.float32)
    total, count = (
        cv2.ximgproc.fastGlobalSmootherFilter(view.rgb, x.astype(np.float32), 30, 8)
        for x in (evidence * weight, weight)
    )
    return np.asarray(total / np.maximum(count, 1e-6))


def mask_evidence(view: View, mask: np.ndarray) -> np.ndarray:
    """(h, w) log-odds from a rough mask (h, w) bool: sure in its depth, else colour decides."""
    inward = depth(mask) - depth(~mask)
    reach = max(2.0, 0.1 * float(np.sqrt(mask.sum())))
    colour = view.colour_ratio(mask * 1.0, (~mask) * 1.0)
    return np.asarray(2 * np.clip(inward / reach, -1, 1) + np.tanh(colour / 3))


def correction(view: View, at: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(h, w) evidence of clicks that correct a box or a mask: strong, and local along colour.

    at (P, 2) int xy in the view, labels (P,) bool; both also below.
    """
    out = np.zeros(view.shape)
    for label, sign in ((True, 8.0), (False, -8.0)):
        if (labels == label).any():
            away = view.geodesic(view.mark(at[labels == label]))
            # noise lengthens every path, so the reach follows the view's usual distance
            reach = max(20.0, 0.25 * float(np.median(away)))
            out += sign * np.exp(-((away / reach) ** 2))
    return out


def _rooms(clicks: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(P,) half of each click's distance to the nearest of the others; large if there are none."""
    if not len(others) or not len(clicks):
        return np.full(len(clicks), 1e9)
    distance, _ = cKDTree(others).query(clicks)
    return np.asarray(distance) / 2


def _around(view: View, click: np.ndarray, reach: float) -> tuple[tuple[slice, slice], np.ndarray]:
    """The window within `reach` of a click, rows first, and its pixels' (h, w) distances to it."""
    reach = min(reach, float(sum(view.shape)))
    (x, y), side = click.tolist(), int(np.ceil(reach))
    window = slice(max(y - side, 0), y + side + 1), slice(max(x - side, 0), x + side + 1)
    rows, columns = (np.arange(size)[part] for size, part in zip(view.shape, window, strict=True))
    return window, np.hypot(columns[None] - x, rows[:, None] - y)


def disc_evidence(
    view: View,
    at: np.ndarray,
    labels: np.ndarray,
    radius: float,
    frame: np.ndarray,
    background: np.ndarray | None,
) -> np.ndarray:
    """(h, w) log-odds if the first foreground click is the middle of a part `radius` wide.

    frame (h, w), the log of the geodesic distance to the view's frame; background (h, w), the
    geodesic distance to the background clicks.
    """
    wanted, rejects = at[labels], at[~labels]
    seeds = view.mark(wanted)
    # half-way to the nearest background click: a disc must not swallow it
    for rank, (click, room) in enumerate(zip(wanted, _rooms(wanted, rejects), strict=True)):
        reach = max(1.0, 0.9 * min(radius if rank == 0 else min(radius, 6.0), room))
        window, away = _around(view, click, reach)
        seeds[window] |= away <= reach
    beyond = depth(~seeds)
    outside = np.exp(-((beyond / (6 * radius + 20)) ** 2)) * (beyond > radius + 4) + 0.02
    for click, room in zip(rejects, _rooms(rejects, wanted), strict=True):
        spread = min(radius, room)
        window, away = _around(view, click, 6 * spread + 1)  # beyond this e^-18
        outside[window] += 20 * np.exp(-(away**2) / (2 * spread**2 + 1e-3))
    distance = view.geodesic(seeds)
    evidence = (
        -1.4 * np.log1p(beyond / radius)
        - 3.7 * np.log1p(distance / 10)
        + 2.9 * np.log1p(distance / 40)
        + 1.8 * np.tanh(view.colour_ratio(seeds * 1.0, outside) / 3)
        + 0.7 * frame
        + np.log(radius)
        - 0.8
    )
    if background is not None:
        evidence += np.minimum(1, np.log((background + 3) / (distance + 3)))
        evidence[at[~labels, 1], at[~labels, 0]] = -9
    return np.asarray(evidence)
