"""Captions are true and in plain English: models learn from them, and scores are read from them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minis.captions import article, captions, counted, joined, plural, relation
from minis.drawings import COLOURS, nouns, phrase
from minis.scene import Thing
from minis.scores.captioning import named

NOUNS = st.sampled_from(nouns())


def thing(noun: str, x: int = 0, y: int = 0, colour: str = "red") -> Thing:
    """10 px of a noun with its upper left corner at (x, y)."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[y : y + 10, x : x + 10] = True
    return Thing(noun, "noto", colour, mask)


@pytest.mark.parametrize(
    ("words", "one", "many"),
    [
        ("apple", "an apple", "apples"),
        ("car", "a car", "cars"),
        ("watch", "a watch", "watches"),
        ("lightbox", "a lightbox", "lightboxes"),
        ("cherry", "a cherry", "cherries"),
        ("key", "a key", "keys"),
        ("maple leaf", "a maple leaf", "maple leaves"),
        ("frying pan with egg", "a frying pan with egg", "frying pans with egg"),
        ("french fries", "french fries", "french fries"),
        ("jeans", "jeans", "jeans"),
        ("tropical fish", "a tropical fish", "tropical fish"),
    ],
)
def test_one_and_many(words: str, one: str, many: str) -> None:
    assert article(words) == one
    assert plural(words) == many


def test_the_plain_caption_counts_every_noun_once() -> None:
    some = [thing("apple"), thing("car", 20), thing("apple", 40)]
    assert captions(some)[0] == "two apples and a car"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert captions([]) == ("nothing",)


@given(st.lists(NOUNS, min_size=1, max_size=6))
def test_the_plain_caption_says_what_is_there(names: list[str]) -> None:
    """Read back by the parser that scores mini-blip: no noun's words hide in another's."""
    said = captions([thing(noun) for noun in names])[0]
    assert named(said, nouns()) == Counter(names), said


@given(NOUNS, st.integers(2, 6))
def test_a_number_stands_before_the_plural(noun: str, count: int) -> None:
    words = phrase(noun)
    assert counted(words, count).endswith(f" {plural(words)}")
    assert counted(words, 1) == article(words)


@given(NOUNS, st.sampled_from(sorted(COLOURS)))
def test_a_colour_keeps_its_noun_one(noun: str, colour: str) -> None:
    said = captions([thing(noun, colour=colour)])
    assert said[1] == article(f"{colour} {phrase(noun)}")
    assert named(said[1], nouns()) == {noun: 1}


@pytest.mark.parametrize(
    ("x", "y", "there", "back"),
    [
        (40, 0, "an apple left of a car", "a car right of an apple"),
        (0, 40, "an apple above a car", "a car below an apple"),
        (40, 40, None, None),  # neither beside nor below: nothing is said
    ],
)
def test_a_relation_is_said_where_it_is_plain(
    x: int, y: int, there: str | None, back: str | None
) -> None:
    first, second = thing("apple"), thing("car", x, y)
    assert relation(first, second) == there
    assert relation(second, first) == back


def test_two_of_a_noun_have_no_relation() -> None:
    """ "an apple left of an apple" tells nobody anything."""
    assert relation(thing("apple"), thing("apple", 40)) is None
