"""Scenes of drawn things over backgrounds, with everything about them known.

Scene ``k`` of a split is the same picture everywhere: it depends on ``k``, the split and the styles
that were asked for, on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from minis import captions
from minis.drawings import (
    TEST_STYLE,
    Drawing,
    backgrounds,
    blended,
    colour_name,
    drawing,
    nouns,
    redrawn,
    restyled,
    trained_nouns,
    training_styles,
)
from minis.scene import Bools, Pixels, Scene, Split, Thing

Floats = npt.NDArray[np.float32]

SIDE = 128
LEAST_VISIBLE = 0.55
"""A thing of which less is seen, behind others or beyond the edge, is not put there."""


def train() -> Split:
    """Trained nouns in the training styles."""
    return Split("train", trained_nouns(), training_styles(), False)


def train_blended() -> Split:
    """The same with half of the things between two styles, half bent and a third in manners that
    nobody drew, for what must know nouns in any style."""
    return replace(train(), name="train blended", blends=0.5, restyles=0.35)


def test() -> Split:
    """Trained nouns in the style that was never trained on."""
    return Split("test", trained_nouns(), (TEST_STYLE,), True)


def unseen() -> Split:
    """All nouns, the twenty unseen ones among them, in the style that was never trained on."""
    return Split("unseen", nouns(), (TEST_STYLE,), True)


def scene(
    k: int,
    split: Split,
    *,
    side: int = SIDE,
    count: tuple[int, int] = (1, 6),
    first: Sequence[str] = (),
) -> Scene:
    """Scene ``k`` of a split.

    Args:
        side: width and height in pixels.
        count: fewest and most things; fewer are there when no room is left.
        first: nouns that come before those drawn by lot, so that a scene holds what a test needs.
    """
    rng = np.random.default_rng([k, *split.name.encode()])
    canvas = background(rng, side, split.test_backgrounds)
    wanted = int(rng.integers(count[0], count[1] + 1))
    names = list(first)
    while len(names) < wanted:
        again = names and rng.random() < 0.25
        names.append(str(rng.choice(names if again else split.nouns)))
    placed: list[tuple[Drawing, Bools]] = []
    largest = 0.62 if wanted <= 2 else 0.48 if wanted <= 4 else 0.4
    for name in names:
        mixed = split.blends > 0 and rng.random() < split.blends
        drawn = blended(rng, name) if mixed else drawing(name, str(rng.choice(split.styles)))
        rgba = drawn.rgba
        if split.blends > 0 and rng.random() < split.blends:
            rgba = redrawn(rng, rgba)
        if split.restyles > 0 and rng.random() < split.restyles:
            rgba = restyled(rng, rgba)
            drawn = replace(drawn, colour=colour_name(rgba))
        for _ in range(12):
            stamp = turned(rgba, rng, side * rng.uniform(0.2, largest))
            spot = _spot(stamp, rng, side)
            covered = alpha_on(stamp, spot, side) > 0.5
            if _fits(covered, stamp, [mask for _, mask in placed]):
                cast_shadow(canvas, stamp, spot, rng)
                paste(canvas, stamp, spot)
                placed = [(other, mask & ~covered) for other, mask in placed]
                placed.append((drawn, covered))
                break
    image = photographed(canvas, rng)
    things = tuple(Thing(d.noun, d.style, d.colour, mask) for d, mask in placed)
    return Scene(image, things, captions.captions(things))


# ---- the parts of a scene


def background(rng: np.random.Generator, side: int, test: bool) -> Floats:
    """(side, side, 3) in [0, 255]: a piece of a photograph, a gradient, a texture or one colour."""
    kind = rng.choice(["photo", "gradient", "texture", "flat"], p=[0.55, 0.2, 0.15, 0.1])
    if kind == "photo":
        photos = backgrounds(test)
        photo = photos[rng.integers(len(photos))]
        height, width = photo.shape[:2]
        size = int(rng.uniform(0.35, 1.0) * min(height, width))
        y, x = rng.integers(height - size + 1), rng.integers(width - size + 1)
        how = cv2.INTER_AREA if size > side else cv2.INTER_LINEAR
        piece = cv2.resize(photo[y : y + size, x : x + size], (side, side), interpolation=how)
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        return np.ascontiguousarray(piece, np.float32)
    colours = rng.uniform(20, 245, (2, 3)).astype(np.float32)
    if kind == "flat":
        return np.broadcast_to(colours[0], (side, side, 3)).copy()
    if kind == "gradient":
        angle = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[:side, :side] / side - 0.5
        t = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1).astype(np.float32)[..., None]
    else:
        cells = int(rng.integers(3, 24))
        noise = rng.random((cells, cells), dtype=np.float32)
        how = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
        t = np.clip(cv2.resize(noise, (side, side), interpolation=how), 0, 1)[..., None]
        colours[1] = np.clip(colours[0] + rng.uniform(-70, 70, 3), 0, 255)
    return np.ascontiguousarray(colours[0] * (1 - t) + colours[1] * t)


def turned(rgba: Pixels, rng: np.random.Generator, size: float, most_degrees: float = 25) -> Floats:
    """A drawing scaled to ``size`` px on its longer side, turned, mirrored, its colours jittered.

    Returns:
        (h, w, 4) in [0, 255], colour multiplied by alpha.
    """
    if rng.random() < 0.5:
        rgba = rgba[:, ::-1]
    height, width = rgba.shape[:2]
    scale = size / max(height, width)
    small = (max(2, round(width * scale)), max(2, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    stamp = cv2.resize(np.ascontiguousarray(rgba), small, interpolation=how)
    angle = rng.uniform(-most_degrees, most_degrees)
    stamp = rotated(stamp, angle)
    return coloured(stamp, rng)


def rotated(stamp: Pixels, degrees: float) -> Pixels:
    """Turned about its middle, on a canvas that holds all of it."""
    height, width = stamp.shape[:2]
    c, s = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    w, h = int(np.ceil(width * c + height * s)), int(np.ceil(width * s + height * c))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (w - width) / 2, (h - height) / 2
    result: Pixels = cv2.warpAffine(stamp, matrix, (w, h), flags=cv2.INTER_LINEAR)
    return result


def coloured(stamp: Pixels, rng: np.random.Generator) -> Floats:
    """Brightness, contrast and saturation a little different; hue hardly."""
    out = stamp.astype(np.float32)
    alpha = out[..., 3:] / 255
    rgb = out[..., :3]
    gray = rgb.mean(axis=2, keepdims=True)
    rgb = gray + (rgb - gray) * rng.uniform(0.75, 1.2)
    rgb = rgb * (rng.uniform(0.8, 1.12) * rng.uniform(0.95, 1.05, 3)) + alpha * rng.uniform(-12, 12)
    out[..., :3] = np.clip(rgb, 0, 255 * alpha)
    return out


def cast_shadow(
    canvas: Floats, stamp: Floats, spot: tuple[int, int], rng: np.random.Generator
) -> None:
    """Darken ``canvas`` under and beside where ``stamp`` will lie, half of the time."""
    if rng.random() < 0.5:
        return
    side = canvas.shape[0]
    reach = max(2, round(0.08 * max(stamp.shape[:2])))
    shift = (spot[0] + int(rng.integers(-reach, reach + 1)), spot[1] + int(rng.integers(0, reach)))
    alpha = alpha_on(stamp, shift, side)
    soft = cv2.GaussianBlur(alpha, (0, 0), max(1.0, reach / 2))
    canvas *= 1 - (rng.uniform(0.15, 0.45) * soft)[..., None]


def paste(canvas: Floats, stamp: Floats, spot: tuple[int, int]) -> None:
    """Lay ``stamp`` on ``canvas`` with its upper left corner at ``spot`` (x, y), in place."""
    (y, x), (v, u) = _overlap(stamp, spot, canvas.shape[0])
    piece = stamp[v, u]
    canvas[y, x] = canvas[y, x] * (1 - piece[..., 3:] / 255) + piece[..., :3]


def alpha_on(stamp: Floats, spot: tuple[int, int], side: int) -> Floats:
    """(side, side) alpha in [0, 1] of the stamp where it would lie."""
    alpha = np.zeros((side, side), np.float32)
    on_canvas, on_stamp = _overlap(stamp, spot, side)
    alpha[on_canvas] = stamp[on_stamp][..., 3] / 255
    return alpha


def photographed(canvas: Floats, rng: np.random.Generator) -> Pixels:
    """What a cheap camera makes of it: light, blur, noise, JPEG."""
    out = canvas * rng.uniform(0.85, 1.12) + rng.uniform(-8, 8)
    if rng.random() < 0.25:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 0.9))
    if rng.random() < 0.25:
        out = out + rng.normal(0, rng.uniform(1, 6), out.shape)
    image: Pixels = np.clip(np.round(out), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 95))]
        _, data = cv2.imencode(".jpg", image[..., ::-1], quality)
        image = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    return image


# ---- where things lie


def _spot(stamp: Floats, rng: np.random.Generator, side: int) -> tuple[int, int]:
    """(x, y) of the upper left corner; a tenth of the thing may reach over the edge."""
    height, width = stamp.shape[:2]
    over_x, over_y = width // 10, height // 10
    return (
        int(rng.integers(-over_x, max(1, side - width + over_x + 1))),
        int(rng.integers(-over_y, max(1, side - height + over_y + 1))),
    )


def _overlap(
    stamp: Floats, spot: tuple[int, int], side: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices (rows, columns) of the canvas and of the stamp where they meet."""
    x, y = spot
    height, width = stamp.shape[:2]
    x0, y0 = np.clip([x, y], 0, side).tolist()
    x1, y1 = np.clip([x + width, y + height], 0, side).tolist()  # nothing of it, if it lies beyond
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


def _fits(covered: Bools, stamp: Floats, others: Sequence[Bools]) -> bool:
    """Whether enough of it and of all others is still seen. Others may shrink step by step."""
    whole = np.count_nonzero(stamp[..., 3] > 127)
    if np.count_nonzero(covered) < LEAST_VISIBLE * whole or whole < 30:
        return False
    return all(np.count_nonzero(mask & covered) <= 0.25 * np.count_nonzero(mask) for mask in others)
