"""A scene as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Thing:
    """One drawn thing as it is seen in a scene."""

    noun: str
    style: str
    colour: str
    mask: Bools
    """(H, W): the pixels of it that are seen."""

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) in pixels around what is seen; x1 and y1 are exclusive."""
        xs, ys = np.flatnonzero(self.mask.any(axis=0)), np.flatnonzero(self.mask.any(axis=1))
        return int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


@dataclass(frozen=True, eq=False)
class Scene:
    image: Pixels
    """(H, W, 3) RGB."""
    things: tuple[Thing, ...]
    captions: tuple[str, ...] = field(default=())
    """All true; the first names every thing with its count."""


@dataclass(frozen=True)
class Split:
    """Which drawings and backgrounds a series of scenes is made of."""

    name: str
    nouns: tuple[str, ...]
    styles: tuple[str, ...]
    test_backgrounds: bool
    blends: float = 0.0
    """Part of the things that are drawn between two training styles (``drawings.blended``), and
    part of all that are bent a little (``drawings.redrawn``)."""
    restyles: float = 0.0
    """Part of the things that are drawn in another manner (``drawings.restyled``)."""
