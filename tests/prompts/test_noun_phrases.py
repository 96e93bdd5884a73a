"""From a caption to what a detector is asked for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.prompts import Text
from limner.prompts.noun_phrases import MOST_WORDS, noun_phrases, singular

CAPTIONS = {
    "articles and counts": ("a red apple and two cars on green hay", "red apple, car, green hay"),
    "verbs": ("two people riding bikes down a street", "person, bike, street"),
    "participles": ("a parked car and a smiling woman seated in it", "parked car, smiling woman"),
    "nouns in -ing": ("a brick building with a drawing of rings", "brick building, drawing, ring"),
    "relative clauses": ("there is a man that is wearing a hat", "man, hat"),
    "what it is, not a thing": ("the mug is red and white", "mug"),
    "there is": ("there is grass and there are two cows", "grass, cow"),
    "two colours": ("an orange and white cat on a black and white bed", "orange and white cat, "
                    "black and white bed"),
    "the fruit": ("an orange, an apple and a banana", "orange, apple, banana"),
    "collections": ("a group of people with a pair of scissors", "person, scissors"),
    "containers": ("a bowl of oranges and cherries", "bowl, orange, cherry"),
    "about the picture": ("a black and white photo of a train in the background", "train"),
    "places": ("a cat left of a house in the middle of the image", "cat, house"),
    "what isn't there": ("a street with no cars and a woman without a hat", "street, woman"),
    "adverbs": ("a very brightly colored bird", "colored bird"),
    "numbers in names": ("a four leaf clover and 3 windows", "four leaf clover, window"),
    "BLIP's hyphens": ("two chocolate bars and a jack - o - lantern", "chocolate bar, "
                       "jack-o-lantern"),
    "singular in -s": ("a bus, a grapes and the glass", "bus, grapes, glass"),
    "twice": ("a Dog and two dogs", "dog"),
    "sentences": (
        "The image shows a blue car parked in front of a yellow building. The car has a stripe.",
        "blue car, yellow building, car, stripe",
    ),
    "nothing": ("nothing", ""),
    "empty": ("", ""),
    "only colours": ("red, green and blue", ""),
}  # fmt: skip

WORDS = st.sampled_from(
    "a an the two three 3 no without is are there red big and orange , . of on with - dog dogs "
    "apples cherries people women parked sitting building group very it's image grass".split()
)
SAID = st.lists(WORDS).map(" ".join) | st.text()


@pytest.mark.parametrize(("caption", "phrases"), CAPTIONS.values(), ids=CAPTIONS)
def test_a_caption_names(caption: str, phrases: str) -> None:
    """What captioners write, read as a person would."""
    assert ", ".join(noun_phrases(caption)) == phrases


@given(SAID)
def test_phrases_are_the_captions_own(caption: str) -> None:
    """Whatever is said: none is empty, none comes twice, each can be asked for, and all of its
    words stand in the caption, but for the ending of a plural."""
    phrases = noun_phrases(caption)
    spoken = letters(caption)
    assert len(set(phrases)) == len(phrases)
    for phrase in phrases:
        *first, last = letters(phrase)
        assert Text(phrase).phrase == phrase
        assert len(phrase.split()) <= MOST_WORDS
        assert set(first) <= set(spoken)
        assert last in spoken or any(word[0] == last[0] for word in spoken)


def letters(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("watches", "watch"),
        ("boxes", "box"),
        ("houses", "house"),
        ("buses", "bus"),
        ("cherries", "cherry"),
        ("pies", "pie"),
        ("cookies", "cookie"),
        ("tomatoes", "tomato"),
        ("shoes", "shoe"),
        ("knives", "knife"),
        ("olives", "olive"),
        ("shelves", "shelf"),
        ("gloves", "glove"),
        ("women", "woman"),
        ("specimen", "specimen"),
        ("people", "person"),
        ("dresses", "dress"),
        ("glass", "glass"),
        ("jeans", "jeans"),
        ("cactus", "cactus"),
        ("tennis", "tennis"),
        ("sheep", "sheep"),
        ("man's", "man's"),
    ],
)
def test_one_of_many(many: str, one: str) -> None:
    assert singular(many) == one
    assert singular(one) == one
