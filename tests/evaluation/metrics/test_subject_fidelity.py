"""CLIP-T, CLIP-I, DINO, PRES, DIV: on rows of known cosines, and with the shipped encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from limner.errors import InputError, UnsupportedPrompt
from limner.evaluation import SubjectScores, clip_t, subject_scores
from limner.evaluation.metrics.subject_fidelity import (
    cosine_diversity,
    diversity,
    mean_cosine,
    mean_cosine_of_pairs,
    mean_cosine_within,
    same_prompt,
)
from limner.protocols import Encoder, ModelRef

R = math.sqrt(0.5)
EAST, NORTH, BETWEEN = (1.0, 0.0), (0.0, 1.0), (R, R)


class Compass:
    """A picture's grey value is its direction: 0 east, 1 north, 2 between; so are three words."""

    ref = ModelRef("compass", "double", "MIT")

    def __init__(self, takes_text: bool = True) -> None:
        self.takes_text = takes_text

    def encode_images(self, images: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        values = [image.getpixel((0, 0))[0] for image in images]  # type: ignore[index]
        return np.array([(EAST, NORTH, BETWEEN)[v] for v in values], dtype=np.float32)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        known = {"east": EAST, "north": NORTH, "between": BETWEEN}
        return np.array([known[text] for text in texts], dtype=np.float32)


def picture(value: int) -> Image.Image:
    return Image.new("RGB", (2, 2), (value, 0, 0))


def test_the_compass_is_an_encoder() -> None:
    assert isinstance(Compass(), Encoder)


def test_means_of_cosines_by_hand() -> None:
    rows = np.array([EAST, NORTH, BETWEEN])
    assert mean_cosine(rows[:2], rows[2:]) == pytest.approx(R)
    assert mean_cosine(rows, rows) == pytest.approx((3 + 4 * R) / 9)
    assert mean_cosine_within(rows) == pytest.approx(
        4 * R / 6
    )  # each with every other, not with itself
    assert mean_cosine_within(rows[:1]) is None
    assert mean_cosine_of_pairs(rows, rows) == pytest.approx(1)
    assert mean_cosine_of_pairs(rows[:2], rows[1:]) == pytest.approx((0 + R) / 2)


def test_subject_scores_by_hand() -> None:
    """Two real pictures (east, between), two made ones (east, north), one of the class (north)."""
    scores = subject_scores(
        [picture(0), picture(2)],
        [picture(0), picture(1)],
        clip=Compass(),
        dino=Compass(takes_text=False),
        prompts=["east", "between"],
        others=[picture(1)],
    )
    assert scores == SubjectScores(
        dino=pytest.approx((1 + R + 0 + R) / 4),
        clip_i=pytest.approx((1 + R + 0 + R) / 4),
        clip_t=pytest.approx((1 + R) / 2),
        real_dino=pytest.approx(R),
        real_clip_i=pytest.approx(R),
        pres=pytest.approx((0 + R) / 2),
        div=None,
        div_dino=None,
    )


def test_what_was_not_given_is_none() -> None:
    scores = subject_scores([picture(0)], [picture(0)], dino=Compass())
    assert scores == SubjectScores(dino=pytest.approx(1))


def test_diversity_compares_pictures_of_one_prompt() -> None:
    """Three pictures of one prompt make three pairs, the fourth of another prompt none."""
    pictures, prompts = [picture(0), picture(0), picture(2), picture(1)], ["a", "a", "a", "b"]
    assert same_prompt(prompts) == [(0, 1), (0, 2), (1, 2)]
    rows = Compass().encode_images(pictures)
    assert cosine_diversity(rows, prompts) == pytest.approx(2 * (1 - R) / 3)

    def distance(first: Sequence[Image.Image], second: Sequence[Image.Image]) -> list[float]:
        assert [*first, *second] == [pictures[k] for k in (0, 0, 1, 1, 2, 2)]
        return [0.1, 0.2, 0.6]

    assert diversity(pictures, prompts, distance) == pytest.approx(0.3)
    assert cosine_diversity(rows[:1], ["a"]) is None
    assert diversity(pictures[:1], ["a"], distance) is None


def test_diversity_by_dino_needs_nothing_more() -> None:
    """Without prompts all pictures are of one."""
    scores = subject_scores([picture(0)], [picture(0), picture(1)], dino=Compass())
    assert scores.div_dino == pytest.approx(1)
    assert scores.div is None


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="both"):
        subject_scores([], [picture(0)])
    with pytest.raises(InputError, match="1 made pictures and 2 prompts"):
        subject_scores([picture(0)], [picture(0)], clip=Compass(), prompts=["east", "north"])
    with pytest.raises(UnsupportedPrompt, match="reads no words"):
        clip_t(Compass(takes_text=False), [picture(0)], ["east"])
    with pytest.raises(InputError, match="nothing to compare"):
        mean_cosine(np.zeros((0, 2)), np.zeros((1, 2)))
    with pytest.raises(InputError, match="two encoders"):
        mean_cosine(np.zeros((1, 3)), np.zeros((1, 2)))
    with pytest.raises(InputError, match="got 1 and 2"):
        mean_cosine_of_pairs(np.zeros((1, 2)), np.zeros((2, 2)))
