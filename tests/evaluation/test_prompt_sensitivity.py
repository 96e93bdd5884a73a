"""Prompts moved and said otherwise: how far, how often, and what is made of the answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import InputError, PromptError
from limner.evaluation.prompt_sensitivity import Sensitivity, Trial, jittered, probe, reworded
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.rle import BoolMask

SIZE = (100, 80)
CLICK = VisualPrompt(points=(Point(50, 40), Point(5, 5, False)))


@given(st.integers(0, 1000), st.floats(0.1, 60))
def test_points_stay_near_and_inside(seed: int, pixels: float) -> None:
    variants = list(jittered(CLICK, SIZE, pixels, 5, seed))
    assert len(variants) == 5
    for variant in variants:
        variant.prompt.check_within(SIZE)
        for before, after in zip(CLICK.points, variant.prompt.points, strict=True):
            assert math.dist((before.x, before.y), (after.x, after.y)) <= pixels + 1e-9
            assert before.foreground == after.foreground


@given(st.integers(0, 1000), st.floats(0.1, 60))
def test_boxes_stay_inside_and_keep_half(seed: int, pixels: float) -> None:
    box = Box(0, 10, 30, 80)
    for variant in jittered(VisualPrompt(box=box), SIZE, pixels, 5, seed):
        variant.prompt.check_within(SIZE)
        after = variant.prompt.box
        assert after is not None
        assert all(abs(a - b) <= pixels for a, b in zip(box.xyxy, after.xyxy, strict=True))
        assert after.x1 - after.x0 >= 15
        assert after.y1 - after.y0 >= 35


def test_the_same_seed_moves_alike_and_another_doesnt() -> None:
    first, again, other = (list(jittered(CLICK, SIZE, 5, 3, seed)) for seed in (0, 0, 1))
    assert first == again != other
    assert len({variant.prompt for variant in first}) == 3
    assert list(jittered(VisualPrompt(text=Text("dog")), SIZE, 5, 3, 0)) == []


def test_phrases_are_said_otherwise() -> None:
    prompt = VisualPrompt(text=Text("apple", negative="pear"))
    said = [variant.prompt.text for variant in reworded(prompt)]
    assert Text("an apple", "pear") in said
    assert Text("a photo of an apple", "pear") in said
    assert list(reworded(CLICK)) == []
    own = [v.prompt.text for v in reworded(prompt, ["{thing}", "my {thing}"])]
    assert own == [Text("my apple", "pear")]  # as given is no variant
    with pytest.raises(PromptError, match=r"\{thing\}"):
        list(reworded(prompt, ["a photo"]))


def painted(prompt: VisualPrompt) -> BoolMask:
    """A square of 20 x 20 around the first point."""
    mask = np.zeros(SIZE[::-1], dtype=bool)
    x, y = int(prompt.points[0].x), int(prompt.points[0].y)
    mask[y - 10 : y + 10, x - 10 : x + 10] = True
    return mask


def variants(*xs: float) -> list[object]:
    from limner.evaluation.prompt_sensitivity import Variant

    return [Variant(f"at {x}", VisualPrompt(points=(Point(x, 40),))) for x in xs]


def test_against_the_answer_as_given_by_hand() -> None:
    """Squares moved by 0, 10 and 20 pixels: IoU 1, 1/3, 0."""
    found = probe(painted, VisualPrompt(points=(Point(50, 40),)), variants(50, 60, 70))  # type: ignore[arg-type]
    assert found.values == pytest.approx([1, 1 / 3, 0])
    assert found.mean == pytest.approx(4 / 9)
    assert found.spread == pytest.approx(
        math.sqrt(((5 / 9) ** 2 + (1 / 9) ** 2 + (4 / 9) ** 2) / 2)
    )
    assert (found.worst.how, found.as_given) == ("at 70", None)
    assert found.worst.answer.sum() == 400


def test_against_a_true_mask() -> None:
    truth = painted(VisualPrompt(points=(Point(60, 40),)))
    found = probe(painted, VisualPrompt(points=(Point(50, 40),)), variants(60), truth)  # type: ignore[arg-type]
    assert (found.as_given, found.values, found.spread) == (pytest.approx(1 / 3), [1.0], 0.0)
    assert found.to_dict()["worst"] == 1.0


def test_the_worst_of_a_measure_where_less_is_better_is_the_largest() -> None:
    trials = (Trial("seed 0", 0.1), Trial("seed 1", 0.3))
    assert Sensitivity("seam", "", None, trials, higher_is_better=False).worst.how == "seed 1"
    assert Sensitivity("clip_t", "", None, trials).worst.how == "seed 0"


def test_what_can_not_be_probed_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to vary"):
        probe(painted, CLICK, [])
    with pytest.raises(InputError, match="--truth"):
        probe(lambda _: np.zeros((80, 100), dtype=bool), CLICK, variants(50))  # type: ignore[arg-type]
