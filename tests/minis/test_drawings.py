"""What is held out stays held out, and every drawing can be had from the repository alone."""

from __future__ import annotations

import numpy as np
import pytest

from minis import scenes
from minis.drawings import (
    COLOURS,
    OWN_STYLES,
    SHARED_STYLES,
    TEST_STYLE,
    UNSEEN,
    backgrounds,
    drawing,
    drawings,
    nouns,
    phrase,
    restyled,
    trained_nouns,
    training_styles,
)


def test_there_are_143_nouns_and_20_are_unseen() -> None:
    assert len(nouns()) == 143
    assert len(UNSEEN) == 20
    assert set(nouns()) >= UNSEEN
    assert set(trained_nouns()) == set(nouns()) - UNSEEN


def test_the_held_out_style_is_in_no_training() -> None:
    """With the shared drawings or without them."""
    assert TEST_STYLE not in training_styles()
    assert TEST_STYLE not in (*OWN_STYLES, *SHARED_STYLES)
    assert TEST_STYLE not in scenes.train().styles
    assert scenes.test().styles == scenes.unseen().styles == (TEST_STYLE,)


def test_unseen_nouns_are_in_no_training() -> None:
    assert not UNSEEN & set(scenes.train().nouns)
    assert not UNSEEN & set(scenes.test().nouns)
    assert set(scenes.unseen().nouns) >= UNSEEN


def test_training_and_test_share_no_background() -> None:
    train, test = ({one.tobytes() for one in backgrounds(test)} for test in (False, True))
    assert len(train) == 31
    assert len(test) == 11
    assert not train & test
    assert not scenes.train().test_backgrounds
    assert scenes.test().test_backgrounds
    assert scenes.unseen().test_backgrounds


def test_every_noun_is_drawn_in_all_styles_of_the_repository() -> None:
    """Cut to what is drawn, colour multiplied by alpha, and with a colour that has a name."""
    seen = 0
    for drawn in drawings(nouns(), (*OWN_STYLES, TEST_STYLE)):
        alpha = drawn.rgba[..., 3]
        assert 16 <= max(alpha.shape) <= 128, drawn.name
        for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
            assert edge.max() > 8, drawn.name
        assert (drawn.rgba[..., :3] <= alpha[..., None]).all(), drawn.name
        assert drawn.colour in COLOURS
        seen += 1
    assert seen == 4 * 143


def test_styles_of_a_noun_are_different_drawings() -> None:
    """Else telling them apart, or holding one of them out, would mean nothing."""
    for noun in trained_nouns()[::20]:
        shown = [drawing(noun, style).rgba for style in (*OWN_STYLES, TEST_STYLE)]
        for k, one in enumerate(shown):
            for other in shown[:k]:
                assert one.shape != other.shape or not np.array_equal(one, other), noun


def test_a_style_that_is_not_here_is_no_drawing() -> None:
    with pytest.raises(FileNotFoundError):
        drawing("apple", "oil_painting")


def test_a_noun_is_said_as_a_person_types_it() -> None:
    assert phrase("frying_pan_with_egg") == "frying pan with egg"
    assert phrase("jack-o-lantern") == "jack-o-lantern"


def test_another_manner_keeps_the_outline_and_changes_the_colours() -> None:
    """Whatever the manner, it stays premultiplied: a colour brighter than it is opaque would shine
    through what it is pasted on."""
    seen = set()
    for noun in ("apple", "car", "key"):
        rgba = drawing(noun, OWN_STYLES[0]).rgba
        for seed in range(12):
            drawn = restyled(np.random.default_rng(seed), rgba)
            assert drawn.dtype == np.uint8
            assert np.array_equal(drawn[..., 3], rgba[..., 3])
            assert (drawn[..., :3] <= drawn[..., 3:]).all()
            assert not np.array_equal(drawn, rgba)
            seen.add(drawn.tobytes())
            assert np.array_equal(drawn, restyled(np.random.default_rng(seed), rgba))
    assert len(seen) == 36
