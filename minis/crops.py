"""Pictures of one drawn thing: what encoders and painters learn from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from minis.drawings import Drawing
from minis.scene import Bools, Pixels
from minis.scenes import Floats, alpha_on, background, cast_shadow, paste, photographed, turned


@dataclass(frozen=True, eq=False)
class Crop:
    image: Pixels
    """(side, side, 3)."""
    without: Pixels
    """The same picture before the thing was put there."""
    mask: Bools
    """(side, side): the thing."""


def crop(
    rng: np.random.Generator,
    drawn: Drawing,
    side: int,
    *,
    fills: tuple[float, float] = (0.55, 0.98),
    test_backgrounds: bool = False,
    most_degrees: float = 25,
    distractor: Drawing | None = None,
) -> Crop:
    """One thing near the middle of a small picture.

    Args:
        fills: range of its longer side, as a part of ``side``.
        distractor: something else that reaches in from an edge, under it.
    """
    canvas = background(rng, side, test_backgrounds)
    if distractor is not None:
        other = turned(distractor.rgba, rng, side * rng.uniform(0.5, 0.9))
        angle, reach = rng.uniform(0, 2 * np.pi), side * rng.uniform(0.5, 0.75)
        middle = np.array([np.cos(angle), np.sin(angle)]) * reach + side / 2
        paste(canvas, other, _corner(other, middle))
    size = side * rng.uniform(*fills)
    stamp = turned(drawn.rgba, rng, size, most_degrees)
    most = int(side * 1.04)
    if max(stamp.shape[:2]) > most:  # turning made it larger
        scale = most / max(stamp.shape[:2])
        small = (int(stamp.shape[1] * scale), int(stamp.shape[0] * scale))
        stamp = cv2.resize(stamp, small, interpolation=cv2.INTER_AREA)
    room = np.maximum(0, side - np.array(stamp.shape[1::-1])) / 2
    spot = _corner(stamp, side / 2 + rng.uniform(-1, 1, 2) * room * 0.9)
    before = canvas.copy()
    cast_shadow(canvas, stamp, spot, rng)
    paste(canvas, stamp, spot)
    state = rng.bit_generator.state  # the same camera for both pictures
    image = photographed(canvas, rng)
    rng.bit_generator.state = state
    return Crop(image, photographed(before, rng), alpha_on(stamp, spot, side) > 127 / 255)


def recoloured(rng: np.random.Generator, image: Pixels) -> Pixels:
    """The hue turned round, or no colour at all."""
    if rng.random() < 0.4:
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return np.repeat(gray[..., None], 3, axis=2)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + rng.integers(10, 170)) % 180
    result: Pixels = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return result


def _corner(stamp: Floats, middle: npt.NDArray[np.floating]) -> tuple[int, int]:
    x, y = middle - np.array(stamp.shape[1::-1]) / 2
    return round(float(x)), round(float(y))
