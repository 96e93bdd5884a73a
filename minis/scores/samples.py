"""What the minis are asked: scenes, crops and holes that only tests use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

import cv2
import numpy as np

from minis import scenes
from minis.crops import Crop, crop
from minis.drawings import Drawing, drawing
from minis.scene import Bools, Pixels, Scene, Split, Thing

FIRST = 1_000_000
"""Scenes of tests and examples are counted from 0; those that are scored, from here."""
HOLE_AT_LEAST, HOLE_AT_MOST = 36, 72
"""Longer side of a thing whose place is repainted, px."""


def held_out(amount: int) -> list[Scene]:
    """Scenes of 1 to 6 things in the held-out style, over backgrounds of the test."""
    split = scenes.test()
    return [scenes.scene(FIRST + k, split) for k in range(amount)]


def things(amount: int) -> list[tuple[Scene, list[Thing]]]:
    """Held-out scenes with their things, ``amount`` of them in all."""
    split, pairs, left = scenes.test(), [], amount
    for k in count():
        if not left:
            return pairs
        scene = scenes.scene(FIRST + k, split)
        taken = list(scene.things[:left])
        if taken:
            pairs.append((scene, taken))
        left -= len(taken)
    raise AssertionError("unreachable: count() has no end")


def showing(noun: str, split: Split, times: int) -> list[Scene]:
    """Scenes of 1 to 6 things, one of them this noun.

    No two nouns have a scene in common. Where the noun found no room, the next scene is taken.
    """
    start = FIRST * (2 + sorted(split.nouns).index(noun))
    fitting: list[Scene] = []
    for k in count(start):
        if len(fitting) == times:
            return fitting
        scene = scenes.scene(k, split, first=(noun,))
        if any(thing.noun == noun for thing in scene.things):
            fitting.append(scene)
    raise AssertionError("unreachable: count() has no end")


def shown_alone(drawn: Drawing, k: int, side: int) -> Crop:
    """The ``k``-th picture of one drawn thing over a background of the test."""
    rng = np.random.default_rng([FIRST, k, *drawn.name.encode()])
    return crop(rng, drawn, side, test_backgrounds=True)


def mixed(noun: str, styles: tuple[str, str]) -> Drawing:
    """A drawing half way between two styles, of the first one's shape."""
    first, second = (drawing(noun, style) for style in styles)
    height, width = first.rgba.shape[:2]
    other = cv2.resize(second.rgba, (width, height), interpolation=cv2.INTER_AREA)
    rgba = cv2.addWeighted(first.rgba, 0.5, other, 0.5, 0)
    return Drawing(noun, "+".join(styles), np.asarray(rgba), first.colour)


@dataclass(frozen=True, eq=False)
class Hole:
    """A place to paint in."""

    image: Pixels
    mask: Bools
    """(H, W): a box or an ellipse around what was there."""
    box: tuple[int, int, int, int]
    """(x0, y0, x1, y1) around both."""
    noun: str
    """What was there."""


@cache
def holes(amount: int) -> tuple[Hole, ...]:
    """One for each held-out scene that has a thing of a fit size; box and ellipse in turn."""
    split, places = scenes.test(), []
    for k in count():
        if len(places) == amount:
            return tuple(places)
        scene = scenes.scene(FIRST + k, split)
        fit = [thing for thing in scene.things if _fits(thing)]
        if fit:
            mask = hull(fit[0], ellipse=bool(len(places) % 2))
            places.append(Hole(scene.image, mask, fit[0].box, fit[0].noun))
    raise AssertionError("unreachable: count() has no end")


def _fits(thing: Thing) -> bool:
    x0, y0, x1, y1 = thing.box
    longer, shorter = max(x1 - x0, y1 - y0), min(x1 - x0, y1 - y0)
    return HOLE_AT_LEAST <= longer <= HOLE_AT_MOST and shorter >= HOLE_AT_LEAST * 2 / 3


def hull(thing: Thing, *, ellipse: bool) -> Bools:
    """(H, W): the box of a thing, or the ellipse that touches its sides."""
    height, width = thing.mask.shape
    x0, y0, x1, y1 = thing.box
    y, x = np.mgrid[:height, :width] + 0.5
    across, down = (2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0)
    inside: Bools = across**2 + down**2 <= 1 if ellipse else np.maximum(abs(across), abs(down)) <= 1
    return inside


def around(image: Pixels, box: Sequence[int], room: float = 1.1) -> Pixels:
    """The square piece of a picture whose side is ``room`` of the box's longer one, moved so that
    it stays inside."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    side = min(round(room * max(x1 - x0, y1 - y0)), height, width)
    left = int(np.clip(round((x0 + x1 - side) / 2), 0, width - side))
    top = int(np.clip(round((y0 + y1 - side) / 2), 0, height - side))
    return np.ascontiguousarray(image[top : top + side, left : left + side])
