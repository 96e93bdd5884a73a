"""The drawings that scenes are made of: 143 nouns, each drawn in up to seven styles.

Four styles (MIT, Apache-2.0) lie in ``assets/drawings``. Three more (CC BY 4.0) are read from
``../shared/data/emoji`` where that folder is, for training only; nothing that is shown, tested or
scored needs them. ``assets/README.md`` has sources and licences.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

ASSETS = Path(__file__).parent / "assets"
SHARED = Path(os.environ.get("LIMNER_SHARED", Path(__file__).parents[2] / "shared")) / "data"
MORE = SHARED / "emoji" / "webp128"

TEST_STYLE = "noto"
"""Never trained on. Of the seven it has no near copy: the smallest distance of one of its drawings
to another style's of the same noun is above .05 (RMS of 24 px thumbnails in [0, 1])."""
OWN_STYLES = ("fluent_3d", "fluent_flat", "noto_v1")
"""Trained on, and shipped with the repository."""
SHARED_STYLES = ("twemoji", "emojione", "fxemoji")
"""Trained on where they are at hand."""

UNSEEN = frozenset(
    "ox taxi tangerine melon hibiscus leopard pine_tree handbag sushi telescope violin snail "
    "hourglass castle wrench doughnut rooster graduation_cap seashell lipstick".split()
)
"""Twenty nouns never trained on, in any style: half of them like a trained one (ox and cow), half
like none."""

COLOURS = {
    "black": (25, 25, 25),
    "white": (240, 240, 240),
    "gray": (140, 145, 150),
    "red": (215, 35, 45),
    "orange": (245, 130, 30),
    "yellow": (250, 205, 50),
    "green": (70, 165, 65),
    "blue": (50, 125, 220),
    "purple": (130, 70, 185),
    "pink": (245, 130, 175),
    "brown": (125, 75, 45),
}
"""Names that captions use, with the RGB that stands for each."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """One noun in one style, cut to what is drawn."""

    noun: str
    style: str
    rgba: Pixels
    """(h, w, 4), colour multiplied by alpha, longer side at most 128."""
    colour: str
    """The name of the colour that most of it has."""

    @property
    def name(self) -> str:
        return f"{self.noun}/{self.style}"


def phrase(noun: str) -> str:
    """``alarm_clock`` as a person types it."""
    return noun.replace("_", " ")


@cache
def nouns() -> tuple[str, ...]:
    """All 143, in alphabetical order."""
    return tuple(sorted(path.name for path in (ASSETS / "drawings").iterdir() if path.is_dir()))


@cache
def trained_nouns() -> tuple[str, ...]:
    """The 123 that models were taught."""
    return tuple(noun for noun in nouns() if noun not in UNSEEN)


def training_styles() -> tuple[str, ...]:
    """The styles for training that this machine has."""
    return OWN_STYLES + (SHARED_STYLES if MORE.is_dir() else ())


@cache
def drawing(noun: str, style: str) -> Drawing:
    """Read one drawing.

    Raises:
        FileNotFoundError: a style that this machine doesn't have.
    """
    folder = MORE if style in SHARED_STYLES else ASSETS / "drawings"
    with Image.open(folder / noun / f"{style}.webp") as file:
        rgba = np.asarray(file.convert("RGBA"))
    ys, xs = np.nonzero(rgba[..., 3] > 8)
    rgba = rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    alpha = rgba[..., 3:].astype(np.float32) / 255
    colour = colour_name(rgba)
    premultiplied = np.concatenate([rgba[..., :3] * alpha, rgba[..., 3:]], axis=2)
    return Drawing(noun, style, np.round(premultiplied).astype(np.uint8), colour)


def drawings(among: Sequence[str], styles: Sequence[str]) -> list[Drawing]:
    """Every noun in every style, noun by noun."""
    return [drawing(noun, style) for noun in among for style in styles]


def blended(rng: np.random.Generator, noun: str) -> Drawing:
    """A drawing between two styles of one noun: neither, so that none can be learned by heart."""
    a, b = rng.choice(training_styles(), 2, replace=False)
    first, second = drawing(noun, str(a)), drawing(noun, str(b))
    size = (96, 96)
    share = rng.uniform(0.25, 0.75)
    mixed = cv2.addWeighted(
        cv2.resize(first.rgba, size, interpolation=cv2.INTER_AREA),
        share,
        cv2.resize(second.rgba, size, interpolation=cv2.INTER_AREA),
        1 - share,
        0,
    )
    aspect = first.rgba.shape[1] / first.rgba.shape[0]
    shape = (96, max(8, int(96 / aspect))) if aspect > 1 else (max(8, int(96 * aspect)), 96)
    rgba = cv2.resize(mixed, shape, interpolation=cv2.INTER_AREA)
    return Drawing(noun, f"{a}+{b}", rgba, first.colour)


def redrawn(rng: np.random.Generator, rgba: Pixels) -> Pixels:
    """The same drawing by another hand: bent a little, its colours a little off.

    Args:
        rgba: (H, W, 4), colours premultiplied.
    """
    height, width = rgba.shape[:2]
    bends = rng.normal(0, 0.05, (2, 4, 4)) * [[[width]], [[height]]]
    dx, dy = (
        cv2.resize(bend.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        for bend in bends
    )
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bent = cv2.remap(rgba, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    colour = bent[..., :3] * rng.uniform(0.8, 1.25, 3)
    within = np.minimum(colour, bent[..., 3:])  # premultiplied: no brighter than it is opaque
    return np.concatenate([within.round().astype(np.uint8), bent[..., 3:]], axis=2)


def restyled(rng: np.random.Generator, rgba: Pixels) -> Pixels:
    """The same drawing in another manner: posterised, flat, outlined, sketched or recoloured.

    Cheap stand-ins for styles that nobody drew; what it shows stays what it was.

    Args:
        rgba: (H, W, 4), colours premultiplied.
    """
    alpha = rgba[..., 3:].astype(np.float32)
    plain = np.where(alpha > 0, rgba[..., :3] * (255 / np.maximum(alpha, 1)), 255)
    plain = np.clip(plain, 0, 255).astype(np.uint8)
    manner = rng.choice(["posterised", "flat", "outlined", "sketched", "recoloured"])
    if manner == "posterised":
        step = 256 / rng.integers(3, 6)
        drawn = np.floor(plain / step) * step + step / 2
    elif manner == "flat":
        small = cv2.resize(plain, (24, 24), interpolation=cv2.INTER_AREA)
        drawn = cv2.resize(small, plain.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        drawn = cv2.medianBlur(drawn, 7)
    elif manner == "recoloured":
        hsv = cv2.cvtColor(plain, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(-20, 20)) % 180
        hsv[..., 1] *= rng.uniform(0.3, 1.3)
        hsv[..., 2] = 255 * (hsv[..., 2] / 255) ** rng.uniform(0.6, 1.6)
        drawn = cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
    else:
        lines = _lines(plain, rgba[..., 3], thick=bool(rng.random() < 0.5))[..., None]
        paper = 255 - (255 - plain.astype(np.float32)) * rng.uniform(0, 0.35)
        ground = paper if manner == "sketched" else plain.astype(np.float32)
        drawn = ground * (1 - lines) + rng.uniform(0, 70) * lines
    colour = np.clip(drawn, 0, 255) * (alpha / 255)
    return np.concatenate([colour.round().astype(np.uint8), rgba[..., 3:]], axis=2)


def _lines(rgb: Pixels, alpha: Pixels, *, thick: bool) -> npt.NDArray[np.float32]:
    """(H, W) in [0, 1]: where a pen would go, along edges within and around a drawing."""
    gray = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (0, 0), 1.2)
    kernel = np.ones((3, 3), np.uint8)
    within = cv2.morphologyEx(gray, cv2.MORPH_GRADIENT, kernel).astype(np.float32) / 40
    around = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, kernel).astype(np.float32) / 128
    lines = np.clip(np.maximum(within - 0.2, around), 0, 1)
    return cv2.dilate(lines, kernel) if thick else lines


def colour_name(rgba: Pixels) -> str:
    """The colour of ``COLOURS`` that most of the drawn pixels are nearest to, in CIELAB."""
    pixels = rgba[rgba[..., 3] > 128][:, :3]
    lab = _lab(pixels)
    anchors = _lab(np.array(list(COLOURS.values()), np.uint8))
    nearest = np.argmin(((lab[:, None] - anchors) ** 2).sum(axis=2), axis=1)
    return list(COLOURS)[int(np.bincount(nearest, minlength=len(COLOURS)).argmax())]


def _lab(rgb: Pixels) -> npt.NDArray[np.float32]:
    """(N, 3) RGB -> CIELAB."""
    scaled = (rgb.astype(np.float32) / 255)[None]
    converted: npt.NDArray[np.float32] = cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0]
    return converted


@cache
def backgrounds(test: bool) -> tuple[Pixels, ...]:
    """CC0 photographs, longer side 320: every fourth is kept for tests."""
    paths = sorted((ASSETS / "backgrounds").glob("*.jpg"))
    chosen = [path for k, path in enumerate(paths) if (k % 4 == 0) == test]
    return tuple(np.asarray(Image.open(path).convert("RGB")) for path in chosen)
