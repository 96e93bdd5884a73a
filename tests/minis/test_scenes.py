"""Scene k of a split is the same everywhere, and everything said about it is true.

Only masks, boxes and nouns are compared with what was written down: the last bits of blurred and
JPEG-compressed pixels may differ between machines.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from limner.ops.masks import box_of
from minis import scenes
from minis.drawings import OWN_STYLES, nouns, trained_nouns
from minis.scene import Scene, Split
from minis.scenes import LEAST_VISIBLE, SIDE
from minis.scores.captioning import named

OWN = Split("train", trained_nouns(), OWN_STYLES, False)
"""The training split of a machine that has the repository's drawings and no others."""

GOLDEN = {
    ("test", 0): [
        ("die", "noto", "white", 58, 54, 95, 89),
        ("telephone", "noto", "red", 31, 4, 66, 36),
        ("billiard_ball", "noto", "gray", 6, 67, 52, 110),
        ("briefcase", "noto", "brown", 10, 51, 40, 78),
        ("telephone", "noto", "red", 35, 43, 61, 68),
        ("padlock", "noto", "yellow", 103, 99, 123, 126),
    ],
    ("test", 7): [
        ("wine_glass", "noto", "white", 17, 65, 38, 104),
        ("grapes", "noto", "purple", 46, 44, 124, 110),
    ],
    ("unseen", 0): [
        ("bread", "noto", "orange", 6, 42, 48, 83),
        ("bread", "noto", "orange", 49, 46, 101, 94),
        ("violin", "noto", "orange", 74, 35, 106, 60),
    ],
    ("train", 0): [
        ("baseball", "fluent_flat", "white", 2, 11, 52, 61),
        ("tiger", "fluent_flat", "orange", 1, 65, 37, 100),
        ("honey_pot", "fluent_flat", "orange", 41, 86, 69, 121),
        ("four_leaf_clover", "fluent_flat", "green", 54, 32, 89, 72),
        ("credit_card", "fluent_3d", "blue", 76, 7, 112, 30),
        ("honey_pot", "fluent_flat", "orange", 95, 40, 124, 74),
    ],
}
"""Noun, style, colour and box. Trainings, scores and examples name scenes by number: a scene that
changes makes all of them mean something else."""

SPLITS = {"test": scenes.test(), "unseen": scenes.unseen(), "train": OWN}


@pytest.mark.parametrize(("split", "k"), GOLDEN, ids=lambda value: str(value))
def test_a_scene_is_the_one_that_was_written_down(split: str, k: int) -> None:
    things = scenes.scene(k, SPLITS[split]).things
    expected = GOLDEN[split, k]
    assert [(t.noun, t.style, t.colour) for t in things] == [row[:3] for row in expected]
    boxes = np.array([thing.box for thing in things])
    assert np.abs(boxes - [row[3:] for row in expected]).max() <= 1


def test_a_scene_does_not_depend_on_what_was_made_before() -> None:
    first = scenes.scene(3, SPLITS["test"])
    scenes.scene(4, SPLITS["test"])
    again = scenes.scene(3, SPLITS["test"])
    assert np.array_equal(first.image, again.image)
    assert first.captions == again.captions
    assert all(
        np.array_equal(a.mask, b.mask) for a, b in zip(first.things, again.things, strict=True)
    )


def test_splits_of_the_same_number_are_different_scenes() -> None:
    test, train = (scenes.scene(0, SPLITS[name]) for name in ("test", "train"))
    assert not np.array_equal(test.image, train.image)


@pytest.fixture(scope="module", params=sorted(SPLITS))
def some(request: pytest.FixtureRequest) -> list[Scene]:
    return [scenes.scene(k, SPLITS[request.param]) for k in range(100, 140)]


def test_scenes_are_pictures_of_one_to_six_things(some: list[Scene]) -> None:
    counts = Counter(len(scene.things) for scene in some)
    assert set(counts) >= {1, 2, 3, 4}, "all sizes come up"
    assert max(counts) <= 6
    for scene in some:
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert scene.image.dtype == np.uint8


def test_no_pixel_belongs_to_two_things(some: list[Scene]) -> None:
    for scene in some:
        if scene.things:
            assert np.sum([thing.mask for thing in scene.things], axis=0).max() == 1


def test_boxes_are_tight_and_inside(some: list[Scene]) -> None:
    looked = 0
    for thing in (thing for scene in some for thing in scene.things):
        x0, y0, x1, y1 = thing.box
        assert 0 <= x0 < x1 <= SIDE
        assert 0 <= y0 < y1 <= SIDE
        assert thing.box == box_of(thing.mask)
        assert thing.centre == ((x0 + x1) / 2, (y0 + y1) / 2)
        looked += 1
    assert looked > 60


def test_captions_name_what_is_there(some: list[Scene]) -> None:
    for scene in some:
        there = Counter(thing.noun for thing in scene.things)
        assert named(scene.captions[0], nouns()) == there
        for said in scene.captions[1:]:
            assert set(named(said, nouns())) <= set(there), said


def test_relations_in_captions_hold(some: list[Scene]) -> None:
    """ "a left of b" is said only if some a really is left of some b, by their boxes' middles."""
    sides = {
        " left of ": lambda a, b: a[0] < b[0],
        " right of ": lambda a, b: a[0] > b[0],
        " above ": lambda a, b: a[1] < b[1],
        " below ": lambda a, b: a[1] > b[1],
    }
    looked = 0
    for scene in some:
        for said in scene.captions[1:]:
            for word, holds in sides.items():
                if word in said:
                    first, second = (next(iter(named(p, nouns()))) for p in said.split(word))
                    assert any(
                        holds(a.centre, b.centre)
                        for a in scene.things
                        for b in scene.things
                        if (a.noun, b.noun) == (first, second)
                    ), said
                    looked += 1
    assert looked > 10


def test_a_test_asks_for_nouns_that_it_needs() -> None:
    scene = scenes.scene(5, SPLITS["test"], count=(3, 3), first=("apple", "car"))
    assert {"apple", "car"} <= {thing.noun for thing in scene.things}
    assert scenes.scene(5, SPLITS["test"], side=64).image.shape == (64, 64, 3)


def part(x: slice, y: slice) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y, x] = True
    return mask


@pytest.mark.parametrize(
    ("covered", "others", "fits"),
    [
        (part(slice(30, 70), slice(30, 70)), [], True),
        (part(slice(0, 23), slice(30, 70)), [], True),
        (part(slice(0, 20), slice(30, 70)), [], False),
        (part(slice(30, 70), slice(30, 70)), [part(slice(65, 100), slice(30, 60))], True),
        (part(slice(30, 70), slice(30, 70)), [part(slice(40, 60), slice(40, 60))], False),
    ],
    ids=["alone", "a little over the edge", "half over the edge", "beside another", "on another"],
)
def test_a_thing_is_put_where_enough_is_seen(
    covered: np.ndarray, others: list[np.ndarray], fits: bool
) -> None:
    """Of itself at least ``LEAST_VISIBLE``, and of what lies below it three quarters."""
    assert LEAST_VISIBLE == 0.55
    stamp = np.full((40, 40, 4), 255, np.float32)
    assert scenes._fits(covered, stamp, others) is fits


def test_a_thing_in_another_manner_has_the_colour_that_it_became(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Captions and phrases name colours: a red car that was recoloured blue is a blue one."""

    def blue(rng: np.random.Generator, rgba: scenes.Pixels) -> scenes.Pixels:
        opaque = np.uint16(rgba[..., 3:])
        colour = (opaque * np.array([50, 125, 220], np.uint16) // 255).astype(np.uint8)
        return np.concatenate([colour, rgba[..., 3:]], axis=2)

    monkeypatch.setattr(scenes, "restyled", blue)
    split = Split("train", trained_nouns(), OWN_STYLES, False, restyles=1.0)
    things = [thing for k in range(4) for thing in scenes.scene(k, split).things]
    assert len(things) > 4
    assert {thing.colour for thing in things} == {"blue"}
