"""One object from clicks, a box, a rough mask or any mix of them, with no learned weights.

`cv2.grabCut` alone knows colour and edges, and loses the object when it shares its colours with
the surroundings. Here it only decides the uncertain strip. Before it, each pixel of a small view
gets a log-odds *evidence* of being the object, the sum of

- geodesic distance to what is surely background (outside the box, the frame, background clicks):
  a path that crosses strong edges is long, so what it reaches late is probably the object;
- the colour ratio of object and background, over a palette of the view;
- position: the ellipse inscribed in the box, or the distance beyond a disc around the click.

A click says nothing of size, so discs of several radii are each grown into a mask, and the masks
compete. The weights are rounded fits to half of 135 COCO objects; `benchmarks/grabcut_coco.py`
measures the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import dijkstra

VIEW_SIDE = 192
"""Long side of the view in which evidence is gathered, pixels."""
REFINE_SIDE = 1024
"""Long side above which the border is refined on a shrunken crop, pixels."""
RADII = tuple(2.5 * 1.4**k for k in range(12))
"""Radii of the discs a first click may stand for, view pixels."""
PALETTE_SIZE = 48


@dataclass(frozen=True)
class View:
    """A crop of the image at working size."""

    lab: np.ndarray
    """(h, w, 3) float32 CIELAB, lightly smoothed."""
    rgb: np.ndarray
    """(h, w, 3) uint8."""
    crop_xyxy: tuple[int, int, int, int]
    """Where the view lies in the original, pixels."""
    colours: np.ndarray
    """(k, 3) float32 CIELAB palette."""
    colour_index: np.ndarray
    """(h, w) int, the palette entry of each pixel."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.lab.shape[0], self.lab.shape[1]

    @property
    def half_shape(self) -> tuple[int, int]:
        return max(1, self.shape[0] // 2), max(1, self.shape[1] // 2)

    @cached_property
    def graph(self) -> sparse.csr_matrix:
        """Neighbouring pixels at half size, joined at the cost of their change of colour."""
        h, w = self.half_shape
        lab = cv2.resize(self.lab, (w, h), interpolation=cv2.INTER_AREA).reshape(-1, 3)
        node = np.arange(h * w).reshape(h, w)
        pairs = [
            (node[:, :-1], node[:, 1:], 1.0),
            (node[:-1], node[1:], 1.0),
            (node[:-1, :-1], node[1:, 1:], 1.4),
            (node[:-1, 1:], node[1:, :-1], 1.4),
        ]
        tail = np.concatenate([a.ravel() for a, _, _ in pairs])
        head = np.concatenate([b.ravel() for _, b, _ in pairs])
        step = np.concatenate([np.full(a.size, length) for a, _, length in pairs])
        cost = np.sqrt(((lab[tail] - lab[head]) ** 2).sum(1)) + 0.3 * step
        return sparse.csr_matrix((cost, (tail, head)), shape=(h * w, h * w))

    @property
    def scale_xy(self) -> np.ndarray:
        """(2,) view pixels per original pixel."""
        x0, y0, x1, y1 = self.crop_xyxy
        return np.array([self.shape[1] / (x1 - x0), self.shape[0] / (y1 - y0)])

    def place(self, points: np.ndarray) -> np.ndarray:
        """(P, 2) xy of the original -> (P, 2) int xy in the view, clipped to it."""
        at = np.floor((points - np.array(self.crop_xyxy[:2])) * self.scale_xy).astype(int)
        return np.asarray(np.clip(at, 0, np.array(self.shape[::-1]) - 1))

    def shrink(self, mask: np.ndarray) -> np.ndarray:
        """(H, W) bool of the original -> (h, w) bool."""
        x0, y0, x1, y1 = self.crop_xyxy
        part = mask[y0:y1, x0:x1].astype(np.float32)
        small = cv2.resize(part, self.shape[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(small > 0.5)


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
    iterations: int = 5,
) -> tuple[np.ndarray, float]:
    """The best mask for one object: the first of `grabcut_candidates`, at the price of one."""
    return grabcut_candidates(
        image,
        points=points,
        point_labels=point_labels,
        box=box,
        mask=mask,
        iterations=iterations,
        count=1,
    )[0]


def grabcut_candidates(
    image: np.ndarray,
    *,
    points: np.ndarray | None = None,
    point_labels: np.ndarray | None = None,
    box: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    iterations: int = 5,
    count: int = 3,
) -> list[tuple[np.ndarray, float]]:
    """Up to `count` different masks for one prompt, best first, each with its score.

    image (H, W, 3) uint8 RGB; points (P, 2) xy and box (4,) xyxy in pixels of it, pixel i covering
    [i, i+1); point_labels (P,) 1 object, 0 background (all 1 when left out); mask (H, W) bool, a
    previous or rough mask; iterations of `cv2.grabCut` on the uncertain strip, 0 to skip it.

    Each result is a mask (H, W) bool, which contains every foreground click and no background
    click, and a score in 0..1: the intersection over union expected if the evidence were
    calibrated, i.e. of the mask with its own soft posterior. It tells clear cases from murky ones;
    it is no probability.
    """
    clicks, labels = _clicks(points, point_labels)
    if box is None and mask is None and not len(clicks):
        raise ValueError("no prompt: give points, a box or a mask")
    if mask is not None and not mask.any():
        mask = None
    if box is None and mask is None and not labels.any():
        box = np.array([0, 0, image.shape[1], image.shape[0]])
    if box is not None:
        box = _box_inside(np.asarray(box, float), image.shape[1], image.shape[0])
    if box is None and mask is None:
        view, guesses = _guesses_from_clicks(image, clicks, labels)
    else:
        view, guesses = _guesses_from_extent(image, clicks, labels, box, mask)
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


def _extent(mask: np.ndarray) -> np.ndarray:
    """(4,) xyxy of a mask that is not empty."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], float)


def _with_context(box: np.ndarray, margin: float, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The box grown on each side by `margin` of its size, as whole pixels of the image."""
    w, h = box[2] - box[0], box[3] - box[1]
    m = max(2.0, margin * (np.sqrt(w * h) + max(w, h)) / 2)
    x0, y0 = np.floor(np.maximum(box[:2] - m, 0)).astype(int)
    x1, y1 = np.ceil(np.minimum(box[2:] + m, [shape[1], shape[0]])).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def _view(image: np.ndarray, crop_xyxy: tuple[int, ...], side: int = VIEW_SIDE) -> View:
    x0, y0, x1, y1 = crop_xyxy
    scale = side / max(x1 - x0, y1 - y0)
    size_wh = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    rgb = cv2.resize(image[y0:y1, x0:x1], size_wh, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.bilateralFilter(lab, 5, 10, 3)
    colours, index = _palette(lab)
    return View(lab, rgb, (x0, y0, x1, y1), colours, index)


# Evidence


def _palette(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 3) colours of the view and the (h, w) index of the nearest."""
    pixels = np.ascontiguousarray(lab.reshape(-1, 3), np.float32)
    sample = pixels[:: max(1, len(pixels) // 6000)]
    cv2.setRNGSeed(0)  # k-means++ starts from OpenCV's global generator: same prompt, same mask
    k = min(PALETTE_SIZE, len(sample))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 1.0)
    _, _, colours = cv2.kmeans(sample, k, None, stop, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    nearest = ((colours**2).sum(1) - 2 * pixels @ colours.T).argmin(1)
    return colours, nearest.reshape(lab.shape[:2])


def _colour_ratio(view: View, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(h, w) log ratio of each pixel's colour in two soft (h, w) regions; 0 if one is empty."""
    if inside.sum() <= 0 or outside.sum() <= 0:
        return np.zeros(view.shape)
    k = len(view.colours)
    apart = ((view.colours[:, None] - view.colours[None]) ** 2).sum(-1)
    alike = np.exp(-apart / (2 * 6.0**2))
    index = view.colour_index.ravel()
    a = alike @ (np.bincount(index, inside.ravel(), k) / inside.sum())
    b = alike @ (np.bincount(index, outside.ravel(), k) / outside.sum())
    return np.asarray(np.log((a + 1e-3) / (b + 1e-3))[view.colour_index])


def _geodesic(view: View, seeds: np.ndarray) -> np.ndarray:
    """(h, w) cheapest colour change, in CIELAB units, on a path from (h, w) bool seeds.

    Runs at half the view's size: the answer is smooth, and Dijkstra is the costly part.
    """
    ys, xs = np.nonzero(seeds)
    if not len(ys):
        return np.full(view.shape, 99.0)
    h, w = view.half_shape
    start = np.unique(np.minimum(ys // 2, h - 1) * w + np.minimum(xs // 2, w - 1))
    far = dijkstra(view.graph, directed=False, indices=start, min_only=True).reshape(h, w)
    return np.asarray(cv2.resize(far, view.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _pixels(view: View, at: np.ndarray) -> np.ndarray:
    """(h, w) bool, true at the (P, 2) int xy."""
    out = np.zeros(view.shape, bool)
    out[at[:, 1], at[:, 0]] = True
    return out


def _pull(view: View, at: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(h, w) evidence of clicks that correct a box or a mask: strong, and local along colour."""
    out = np.zeros(view.shape)
    for label, sign in ((True, 8.0), (False, -8.0)):
        if (labels == label).any():
            away = _geodesic(view, _pixels(view, at[labels == label]))
            # noise lengthens every path, so the reach follows the view's usual distance
            reach = max(20.0, 0.25 * float(np.median(away)))
            out += sign * np.exp(-((away / reach) ** 2))
    return out


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


# A box or a mask


def _guesses_from_extent(
    image: np.ndarray,
    clicks: np.ndarray,
    labels: np.ndarray,
    box: np.ndarray | None,
    mask: np.ndarray | None,
) -> tuple[View, list[Guess]]:
    extent = box
    if extent is None:
        assert mask is not None
        extent = _extent(mask)
        fg = clicks[labels]
        if len(fg):
            extent[:2] = np.minimum(extent[:2], fg.min(0))
            extent[2:] = np.maximum(extent[2:], fg.max(0) + 1)
        extent = _box_inside(extent, image.shape[1], image.shape[0])
    view = _view(image, _with_context(extent, 0.35, image.shape))
    at = view.place(clicks)
    if mask is not None:
        evidence = _mask_evidence(view, view.shrink(mask))
        inside = np.ones(view.shape, bool) if box is None else _box_pixels(view, box)
    else:
        inside = _box_pixels(view, extent)
        evidence = _box_evidence(view, extent, inside, at[~labels], image.shape)
    evidence = np.where(inside, evidence + _pull(view, at, labels), -9.0)
    guesses = []
    for shift, rank in ((0.0, 2.0), (1.0, 1.0), (-1.0, 0.0)):
        shifted = np.where(inside, evidence + shift, -9.0)
        guesses.append(Guess(shifted, _keep_parts(shifted > 0, at, labels, share=0.05), rank))
    return view, guesses


def _box_pixels(view: View, box: np.ndarray) -> np.ndarray:
    """(h, w) bool, the pixels whose centre the box holds; never empty."""
    (x0, y0), (x1, y1) = (box.reshape(2, 2) - np.array(view.crop_xyxy[:2])) * view.scale_xy
    xs, ys = np.arange(view.shape[1]) + 0.5, np.arange(view.shape[0]) + 0.5
    inside = ((ys > y0) & (ys < y1))[:, None] & ((xs > x0) & (xs < x1))[None]
    return inside if inside.any() else _pixels(view, view.place((box[:2] + box[2:])[None] / 2))


def _box_evidence(
    view: View,
    box: np.ndarray,
    inside: np.ndarray,
    rejects: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """(h, w) log-odds from a box: far from its outside, unlike it in colour, near its middle."""
    if np.ptp(view.lab, axis=(0, 1)).max() < 2:  # one flat colour: the box is all there is
        return np.where(inside, 2.0, -2.0)
    ellipse = _box_ellipse(view, box, shape)
    background = ~inside | _pixels(view, rejects)
    distance = _geodesic(view, background) if background.any() else np.full(view.shape, 30.0)
    posterior, rejected = inside * (0.1 + 0.8 * (ellipse > 0.2)), np.zeros(view.shape)
    evidence = np.zeros(view.shape)
    for _ in range(2):
        colour = _colour_ratio(view, posterior, ~inside + rejected)
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


def _mask_evidence(view: View, mask: np.ndarray) -> np.ndarray:
    """(h, w) log-odds from a rough mask: sure in its depth, colour decides near its border."""
    depth = _depth(mask) - _depth(~mask)
    reach = max(2.0, 0.1 * float(np.sqrt(mask.sum())))
    colour = _colour_ratio(view, mask * 1.0, (~mask) * 1.0)
    return np.asarray(2 * np.clip(depth / reach, -1, 1) + np.tanh(colour / 3))


# Clicks


def _guesses_from_clicks(
    image: np.ndarray, clicks: np.ndarray, labels: np.ndarray
) -> tuple[View, list[Guess]]:
    """One guess for each radius that the first foreground click may stand for."""
    view = _view(image, (0, 0, image.shape[1], image.shape[0]))
    at = view.place(clicks)
    first = at[labels][0]
    border = np.ones(view.shape, bool)
    border[1:-1, 1:-1] = False
    frame = np.log1p(_geodesic(view, border) / 10)
    background = _geodesic(view, _pixels(view, at[~labels])) if not labels.all() else None
    texture = _gradient(view.lab)
    guesses: list[Guess] = []
    for radius in RADII:
        if radius > 0.62 * min(view.shape) and guesses:
            break
        evidence = _disc_evidence(view, at, labels, radius, frame, background)
        mask = _keep_parts(evidence > 0, at, labels, share=None)
        rank = _rank(view, evidence, mask, first, radius, texture)
        rank -= 0.7 * float((mask[at[:, 1], at[:, 0]] != labels).sum())
        guesses.append(Guess(evidence, mask, rank))
    return view, guesses


def _disc_evidence(
    view: View,
    at: np.ndarray,
    labels: np.ndarray,
    radius: float,
    frame: np.ndarray,
    background: np.ndarray | None,
) -> np.ndarray:
    """(h, w) log-odds if the first foreground click is the middle of a part `radius` wide."""
    ys, xs = np.mgrid[: view.shape[0], : view.shape[1]]
    away = [np.hypot(xs - x, ys - y) for x, y in at]
    seeds = _pixels(view, at[labels])
    for rank, i in enumerate(np.flatnonzero(labels)):
        # half-way to the nearest background click: a disc must not swallow it
        room = min((away[j][at[i][1], at[i][0]] / 2 for j in np.flatnonzero(~labels)), default=1e9)
        seeds |= away[i] <= max(1.0, 0.9 * min(radius if rank == 0 else min(radius, 6.0), room))
    beyond = _depth(~seeds)
    outside = np.exp(-((beyond / (6 * radius + 20)) ** 2)) * (beyond > radius + 4) + 0.02
    for j in np.flatnonzero(~labels):
        room = min(away[i][at[j][1], at[j][0]] / 2 for i in np.flatnonzero(labels))
        outside += 20 * np.exp(-(away[j] ** 2) / (2 * min(radius, room) ** 2 + 1e-3))
    distance = _geodesic(view, seeds)
    evidence = (
        -1.4 * np.log1p(beyond / radius)
        - 3.7 * np.log1p(distance / 10)
        + 2.9 * np.log1p(distance / 40)
        + 1.8 * np.tanh(_colour_ratio(view, seeds * 1.0, outside) / 3)
        + 0.7 * frame
        + np.log(radius)
        - 0.8
    )
    if background is not None:
        evidence += np.minimum(1, np.log((background + 3) / (distance + 3)))
        evidence[at[~labels, 1], at[~labels, 0]] = -9
    return np.asarray(evidence)


def _rank(
    view: View,
    evidence: np.ndarray,
    mask: np.ndarray,
    first: np.ndarray,
    radius: float,
    texture: np.ndarray,
) -> float:
    """How well a mask explains a click: clear-cut, deepest at the click, compact, off the frame."""
    depth = _depth(np.pad(mask, 1))[1:-1, 1:-1]
    sure = float(np.abs(1 / (1 + np.exp(-evidence[mask])) - 0.5).mean())
    middle = float(np.log(max(depth[first[1], first[0]], 0.5) / depth.max()))
    outline = (depth > 0) & (depth < 1.5)
    inner = float(outline[1:-1, 1:-1].sum())
    on_frame = 1 - inner / max(1.0, float(outline.sum()))
    spread = float(np.log(mask.sum() / (np.pi * depth.max() ** 2)))
    busy = float(np.log(texture[mask].mean() + 0.5))
    size = float(np.log(radius))
    prior = -0.06 * (size + size**2)
    return 26 * sure + 3.8 * middle + 1.2 * busy - 2.5 * on_frame - 1.5 * spread + prior


def _gradient(lab: np.ndarray) -> np.ndarray:
    """(h, w) length of the CIELAB gradient, per pixel."""
    parts = [cv2.Sobel(lab, cv2.CV_32F, dx, dy, scale=1 / 8) for dx, dy in ((1, 0), (0, 1))]
    return np.asarray(np.sqrt(sum((part**2).sum(-1) for part in parts)))


def _depth(mask: np.ndarray) -> np.ndarray:
    """(h, w) distance to the nearest false pixel; large everywhere when there is none."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)).clip(0, 1e4)


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
    kept = keep[part]
    holes, _ = ndimage.label(ndimage.binary_fill_holes(kept) & ~kept)
    wanted = np.unique(holes[at[~labels, 1], at[~labels, 0]])
    small = np.bincount(holes.ravel()) <= (1.0 if share is None else 0.02) * kept.sum()
    small[0] = False
    small[wanted] = False
    return np.asarray(kept | small[holes])


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
    trimap[~mask & (_depth(~mask) > 8)] = cv2.GC_BGD
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
