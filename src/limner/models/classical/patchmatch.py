"""Patch-based synthesis, coarse to fine.

After Wexler, Shechtman and Irani 2007 (voting), Barnes et al. 2009 (the randomised search) and
Newson et al. 2014 (the onion-peel start and the texture planes that keep a smooth patch from
winning over a textured one).
It copies real pixels, so grass stays grass; it knows nothing of what a scene should hold, so it
cannot invent the missing half of a car.

A level of the pyramid is kept flat: `planes` is (N, C) float32, row-major over the padded picture,
and a *field* is (N,) int64: for each target pixel the flat index of the source pixel whose patch
explains it. Flat indices may wrap round a row's end: that gives an odd
candidate, never a wrong one, for every candidate is checked against the table of valid sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Pixels = NDArray[np.uint8]

HALF = 3  # a patch is 7x7, as in Barnes et al. and Newson et al.
COMPONENTS = 20  # principal components kept of a patch's 147 numbers
TEXTURE_WEIGHT = 20.0  # Newson et al. (their lambda) take 50
POSITION_WEIGHT = (10_000.0, 3_000.0)  # down and across: gravel belongs low, sky high
COARSEST_RADIUS = 6  # px: the pyramid stops when the hole is this thin
SEARCH_BUDGET = 160_000  # target pixels searched per level, over all its rounds
MAX_ROUNDS = 8
MOST_PIXELS = 1_300_000  # a larger window is filled at a smaller size, to bound time and memory


def patches(image: Pixels, hole: Bools, rng: np.random.Generator) -> Pixels:
    """Fill ``hole`` with copies of patches from the rest of ``image``.

    Args:
        image: (H, W, 3) uint8 RGB.
        hole: (H, W) bool, neither empty nor everything.
    """
    return _fill_small(image, hole, rng) if hole.size > MOST_PIXELS else _fill(image, hole, rng)


def _fill(image: Pixels, hole: Bools, rng: np.random.Generator) -> Pixels:
    """Fill the hole level by level: search each target's best source, vote, go finer."""
    levels = _pyramid(image, hole)
    level = levels[-1]
    _onion_peel(level, rng)
    field = _any_sources(level, rng)
    for finer in [*levels[-2::-1], None]:
        field = _refine(level, field, rng)
        if finer is not None:
            field = _upscale(level, finer, field, rng)
            _copy(finer, field)
            level = finer
    _copy(level, field)
    rows, columns = level.shape
    half = level.half
    whole = level.planes[:, :3].reshape(rows, columns, 3)
    inside = whole[half : rows - half, half : columns - half]
    return np.clip(np.rint(inside), 0, 255).astype(np.uint8)


def _fill_small(image: Pixels, hole: Bools, rng: np.random.Generator) -> Pixels:
    """Fill at MOST_PIXELS and enlarge: for a hole too large to search, and softer."""
    shrink = np.sqrt(MOST_PIXELS / hole.size)
    size_wh = (max(1, int(hole.shape[1] * shrink)), max(1, int(hole.shape[0] * shrink)))
    known = (~hole).astype(np.float32)
    share = cv2.resize(known, size_wh, interpolation=cv2.INTER_AREA)
    total = cv2.resize(image * known[..., None], size_wh, interpolation=cv2.INTER_AREA)
    small = np.rint(total / np.maximum(share, 1e-6)[..., None]).astype(np.uint8)
    small_hole = share < min(0.5, float(share.max()))
    if small_hole.any():
        small = _fill(small, small_hole, rng)
    whole_wh = (hole.shape[1], hole.shape[0])
    return np.asarray(cv2.resize(small, whole_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


# ---- the pyramid --------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """One scale of the picture, padded by `half` px of its own reflection and laid flat."""

    planes: Floats
    """(N, 5): R, G, B in 0..255 and the two texture planes. The hole's values are written to."""
    hole: Indices
    """Flat indices of the unknown pixels, the padding left out."""
    targets: Indices
    """Flat indices of the pixels whose patch reaches into the hole."""
    source_ok: Bools
    """(N,): whether the patch at a pixel is wholly known."""
    target_at: Indices
    """(N,): the place of a pixel in `targets`, or -1."""
    trust: Floats
    """(targets,): weight of a target's vote, falling off from the hole's edge inwards."""
    shape: tuple[int, int]
    """(rows, columns) with the padding."""
    half: int

    @property
    def offsets(self) -> Indices:
        """((2 half + 1)²,): flat offsets of a patch's pixels from its centre."""
        steps = np.arange(-self.half, self.half + 1)
        return (steps[:, None] * self.shape[1] + steps).ravel()


def _build_level(planes: Floats, hole: Bools, half: int) -> Level:
    """Level of planes (H, W, 5) and hole (H, W) bool."""
    pad = (half, half, half, half)
    wide_hole = cv2.copyMakeBorder(hole.astype(np.uint8), *pad, cv2.BORDER_REFLECT_101)
    side = 2 * half + 1
    touched = cv2.dilate(wide_hole, np.ones((side, side), np.uint8)) > 0
    inside = np.zeros_like(touched)
    inside[half : half + hole.shape[0], half : half + hole.shape[1]] = True
    targets = np.flatnonzero(touched & inside)
    target_at = np.full(touched.size, -1)
    target_at[targets] = np.arange(len(targets))
    depth = cv2.distanceTransform(wide_hole, cv2.DIST_L2, 3).ravel()[targets]
    return Level(
        planes=_pad(planes, half).reshape(-1, planes.shape[2]),
        hole=np.flatnonzero((wide_hole > 0) & inside),
        targets=targets,
        source_ok=(inside & ~touched).ravel(),
        target_at=target_at,
        trust=np.power(np.float32(1.3), -np.minimum(depth, 60)).astype(np.float32),
        shape=(touched.shape[0], touched.shape[1]),
        half=half,
    )


def _pad(planes: Floats, half: int) -> Floats:
    wide = cv2.copyMakeBorder(planes, half, half, half, half, cv2.BORDER_REFLECT_101)
    return np.asarray(wide, np.float32)


def _pad_again(level: Level) -> None:
    """Make the padding mirror the picture once more, after the hole's values have changed."""
    planes = level.planes.reshape(*level.shape, -1)
    rows, columns = level.shape
    inside = planes[level.half : rows - level.half, level.half : columns - level.half]
    planes[:] = _pad(np.ascontiguousarray(inside), level.half)


def _texture(image: Floats, known: Bools) -> Floats:
    """(H, W, 2): mean |d/dx| and |d/dy| of the grey known neighbourhood (Newson et al., eq. 6)."""
    grey = image.mean(axis=2)
    usable = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    size = (15, 15)
    total = cv2.blur(usable, size)
    slopes = [np.abs(cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx)) / 4 for dx in (1, 0)]
    means = [cv2.blur(slope * usable, size) / np.maximum(total, 1e-6) for slope in slopes]
    return np.stack(means, axis=2).astype(np.float32)


def _halve(planes: Floats, hole: Bools) -> tuple[Floats, Bools]:
    """Planes and hole at half the size; each mean is over the known pixels alone."""
    rows, columns = hole.shape
    even = (0, rows % 2, 0, columns % 2)
    known = cv2.copyMakeBorder((~hole).astype(np.float32), *even, cv2.BORDER_REPLICATE)
    wide = cv2.copyMakeBorder(planes, *even, cv2.BORDER_REPLICATE) * known[..., None]
    size_wh = (known.shape[1] // 2, known.shape[0] // 2)
    share = cv2.resize(known, size_wh, interpolation=cv2.INTER_AREA)
    small = cv2.resize(wide, size_wh, interpolation=cv2.INTER_AREA)
    means = small / np.maximum(share, 1e-6)[..., None]
    return means.astype(np.float32), np.asarray(share < 0.5)


def _pyramid(image: Pixels, hole: Bools) -> list[Level]:
    """Levels from the full size to the one where the hole is thin or the known part runs out."""
    pixels = image.astype(np.float32)
    planes = np.concatenate([pixels, _texture(pixels, ~hole)], axis=2)
    level = next(
        level
        for level in (_build_level(planes, hole, half) for half in range(HALF, -1, -1))
        if level.half == 0 or level.source_ok.sum() >= 16
    )
    levels = [level]
    while cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max() > COARSEST_RADIUS:
        planes, hole = _halve(planes, hole)
        level = _build_level(planes, hole, level.half)
        if level.source_ok.sum() < 64 or not len(level.hole):
            break
        levels.append(level)
    return levels


# ---- the synthesis ------------------------------------------------------------------


def _refine(level: Level, field: Indices, rng: np.random.Generator) -> Indices:
    """Alternate search and vote; the more there is to fill, the fewer rounds."""
    rounds = min(MAX_ROUNDS, max(1, SEARCH_BUDGET // len(level.targets)))
    basis = _patch_basis(level, rng)
    signature = _signatures(level, basis, 0, level.shape[0])
    first, last = np.divmod(level.targets[[0, -1]], level.shape[1])[0]
    for _ in range(rounds):
        signature_rows = _signatures(level, basis, int(first), int(last) + 1)
        signature[first * level.shape[1] : (last + 1) * level.shape[1]] = signature_rows
        field, cost = _search(level, signature, field, rng)
        _vote(level, field, cost)
    return field


def _any_sources(level: Level, rng: np.random.Generator) -> Indices:
    return rng.choice(np.flatnonzero(level.source_ok), len(level.targets))


def _onion_peel(level: Level, rng: np.random.Generator) -> None:
    """First guess, from the edge inwards: the centre of the source nearest on the known part."""
    sources = np.flatnonzero(level.source_ok)
    room = int(np.clip(2e7 // len(level.hole), 256, len(sources)))
    sources = rng.choice(sources, min(room, len(sources)), replace=False)
    offsets = level.offsets
    bank = level.planes[sources[:, None] + offsets].reshape(len(sources), -1)
    unknown = np.zeros(level.shape, np.uint8)
    unknown.flat[level.hole] = 1
    unknown = _reflect_flags(unknown, level.half)
    while unknown.any():
        known_near = cv2.erode(unknown, np.ones((3, 3), np.uint8)) == 0
        flags = unknown.ravel()
        layer = level.hole[(flags[level.hole] > 0) & known_near.ravel()[level.hole]]
        weight = np.repeat(1.0 - flags[layer[:, None] + offsets], level.planes.shape[1], axis=1)
        weight = weight.astype(np.float32)
        patch = level.planes[layer[:, None] + offsets].reshape(len(layer), -1)
        cost = weight @ (bank**2).T - 2 * (weight * patch) @ bank.T
        for place in _position(level):
            p = place.ravel()
            cost += np.square(p[layer][:, None] - p[sources])
        level.planes[layer] = level.planes[sources[cost.argmin(axis=1)]]
        flags[layer] = 0
        unknown = _reflect_flags(flags.reshape(level.shape), level.half)
    _pad_again(level)


def _reflect_flags(flags: NDArray[np.uint8], half: int) -> NDArray[np.uint8]:
    rows, columns = flags.shape
    inside = np.ascontiguousarray(flags[half : rows - half, half : columns - half])
    wide = cv2.copyMakeBorder(inside, half, half, half, half, cv2.BORDER_REFLECT_101)
    return np.asarray(wide, np.uint8)


def _patch_basis(level: Level, rng: np.random.Generator) -> Floats:
    """(K, side, side, 3): the principal components of the sources' colour patches."""
    sources = np.flatnonzero(level.source_ok)
    sample = rng.choice(sources, min(3000, len(sources)), replace=False)
    patches = level.planes[sample[:, None] + level.offsets, :3].reshape(len(sample), -1)
    centred = patches - patches.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    side = 2 * level.half + 1
    return vectors[:, ::-1][:, :COMPONENTS].T.reshape(-1, side, side, 3).astype(np.float32)


def _signatures(level: Level, basis: Floats, first: int, last: int) -> Floats:
    """(pixels of rows first..last, K + 4): a patch in the basis, its texture, its place.

    The squared distance of two signatures is about that of the patches, plus what the weights
    say of texture and place.
    """
    half = level.half
    planes = level.planes.reshape(*level.shape, -1)
    top, bottom = max(0, first - half), min(level.shape[0], last + half)
    strip = [np.ascontiguousarray(planes[top:bottom, :, c]) for c in range(3)]
    rows = slice(first - top, last - top)
    columns = []
    for kernel in basis:
        parts = [cv2.filter2D(strip[c], -1, np.ascontiguousarray(kernel[..., c])) for c in range(3)]
        columns.append((parts[0] + parts[1] + parts[2])[rows])
    scale = (2 * half + 1) * np.sqrt(TEXTURE_WEIGHT)
    columns += [planes[first:last, :, c] * scale for c in (3, 4)]
    columns += [p[first:last] for p in _position(level)]
    return np.stack(columns, axis=2).reshape(-1, len(columns)).astype(np.float32)


def _position(level: Level) -> list[Floats]:
    """Row and column of each pixel, (rows, columns) each, scaled as a signature's columns are."""
    side = 2 * level.half + 1
    grids = np.indices(level.shape, np.float32)
    return [
        grid * (side * np.sqrt(weight) / max(level.shape))
        for grid, weight in zip(grids, POSITION_WEIGHT, strict=True)
    ]


def _search(
    level: Level, signature: Floats, field: Indices, rng: np.random.Generator
) -> tuple[Indices, Floats]:
    """Better sources for every target at once: from its neighbours, then at random near its own.

    Barnes et al. go pixel by pixel; here all neighbours at 8, 4, 2, 1 px are tried together,
    which spreads a good source over the hole in as few passes (a jump flood).
    """
    targets, columns = level.targets, level.shape[1]
    wanted = signature[targets]
    best = field.copy()
    cost = _cost(wanted, signature[best])

    def offer(candidate: Indices, on: NDArray[np.intp]) -> None:
        np.clip(candidate, 0, len(signature) - 1, out=candidate)
        ok = level.source_ok[candidate] & (candidate != best[on])
        on, candidate = on[ok], candidate[ok]
        new = _cost(wanted[on], signature[candidate])
        better = new < cost[on]
        best[on[better]] = candidate[better]
        cost[on[better]] = new[better]

    for jump in (8, 4, 2, 1):
        for step in (columns * jump, -columns * jump, jump, -jump):
            neighbour = level.target_at[np.clip(targets + step, 0, len(signature) - 1)]
            on = np.flatnonzero(neighbour >= 0)
            offer(best[neighbour[on]] - step, on)
    reach = max(level.shape)
    everyone = np.arange(len(targets))
    while reach >= 1:
        dy, dx = rng.integers(-reach, reach + 1, (2, len(targets)))
        offer(best + dy * columns + dx, everyone)
        reach //= 2
    return best, cost


def _cost(a: Floats, b: Floats) -> Floats:
    difference = a - b
    return np.asarray(np.einsum("ij,ij->i", difference, difference))


def _vote(level: Level, field: Indices, cost: Floats) -> None:
    """Each hole pixel becomes its 49 patches' weighted mean (Wexler et al., eq. 3)."""
    sigma2 = max(float(np.percentile(cost, 75)), 1.0)
    weight = level.trust * np.exp(-cost / (2 * sigma2)) + np.float32(1e-12)
    total = np.zeros((len(level.hole), 1), np.float32)
    value = np.zeros((len(level.hole), level.planes.shape[1]), np.float32)
    for offset in level.offsets:
        voter = level.target_at[level.hole - offset]
        on = voter >= 0
        voter = voter[on]
        share = weight[voter][:, None]
        total[on] += share
        value[on] += share * level.planes[field[voter] + offset]
    level.planes[level.hole] = value / total
    _pad_again(level)


def _copy(level: Level, field: Indices) -> None:
    """Each hole pixel becomes its source's pixel: sharp, where a vote blurs a little."""
    level.planes[level.hole] = level.planes[field[level.target_at[level.hole]]]
    _pad_again(level)


def _upscale(coarse: Level, fine: Level, field: Indices, rng: np.random.Generator) -> Indices:
    """The coarse field at twice the size; where it points at no valid source, any source."""
    half, columns = coarse.half, fine.shape[1]
    y, x = np.divmod(fine.targets, columns)
    y, x = y - half, x - half
    parent = (y // 2 + half) * coarse.shape[1] + x // 2 + half
    at = coarse.target_at[parent]
    source = np.where(at >= 0, field[at], parent)
    sy, sx = np.divmod(source, coarse.shape[1])
    sy = np.clip(2 * (sy - half) + y % 2, 0, fine.shape[0] - 2 * half - 1) + half
    sx = np.clip(2 * (sx - half) + x % 2, 0, columns - 2 * half - 1) + half
    upscaled = sy * columns + sx
    lost = ~fine.source_ok[upscaled]
    upscaled[lost] = rng.choice(np.flatnonzero(fine.source_ok), int(lost.sum()))
    return np.asarray(upscaled)
