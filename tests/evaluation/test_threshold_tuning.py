"""Thresholds: by hand, and what holds for all evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import InputError
from limner.evaluation.threshold_tuning import (
    Evidence,
    best_threshold,
    counts,
    evidence,
    scores_by_threshold,
    tune,
)


def test_a_box_is_right_if_it_is_the_surest_for_an_object() -> None:
    """Two boxes on the first object, the less sure one the better; one on nothing; one below .5."""
    shares = np.array([[0.9, 0.0], [0.6, 0.0], [0.0, 0.0], [0.0, 0.4]])
    seen = evidence(shares, [0.5, 0.8, 0.7, 0.3])
    assert seen == Evidence((0.8, 0.7, 0.5, 0.3), (True, False, False, False), 2)
    assert evidence(np.zeros((2, 0)), [0.1, 0.2]).right == (False, False)
    assert evidence(np.zeros((0, 3)), []) == Evidence((), (), 3)


def test_scores_at_every_threshold_are_worked_out_by_hand() -> None:
    """Three objects; .8 and .2 are right, .5 is wrong. Above them all nothing is left."""
    seen = [Evidence((0.8, 0.5), (True, False), 2), Evidence((0.2,), (True,), 1)]
    thresholds, scores = scores_by_threshold(seen)
    assert thresholds == pytest.approx([0.0, 0.2, 0.5, 0.8, 0.89])
    assert scores["precision"] == [2 / 3, 2 / 3, 1 / 2, 1, None]
    assert scores["recall"] == [2 / 3, 2 / 3, 1 / 3, 1 / 3, 0]
    assert scores["F1"] == [4 / 6, 4 / 6, 2 / 5, 2 / 4, 0]
    assert scores_by_threshold([Evidence((), (), 1)])[0] == [0.0, 1.0]


BY_HAND = [
    ("half way between right and wrong", [Evidence((0.8, 0.2), (True, False), 1)], (0.5, 1.0)),
    ("half way to 0 if all are right", [Evidence((0.8, 0.6), (True, True), 2)], (0.3, 1.0)),
    (
        "one wrong box is worth a right one after it",
        [Evidence((0.9, 0.8, 0.7, 0.1), (True, False, True, False), 2)],
        (0.4, 2 * 2 / (3 + 2)),
    ),
    (
        "of equally good cuts the widest gap",
        [Evidence((0.9, 0.8, 0.7, 0.6, 0.1), (True, False, False, True, False), 2)],
        # after .9: 2/3; after .6: 4/6
        (0.35, 2 / 3),
    ),
    (
        "equal scores are kept or dropped together",
        [Evidence((0.9, 0.5), (True, True), 2), Evidence((0.5, 0.1), (False, False), 0)],
        (0.3, 2 * 2 / (3 + 2)),
    ),
    ("nothing right", [Evidence((0.9,), (False,), 1)], (None, 0.0)),
    ("nothing found", [Evidence((), (), 1)], (None, 0.0)),
]


@pytest.mark.parametrize(
    ("images", "expected"), [pytest.param(*row[1:], id=row[0]) for row in BY_HAND]
)
def test_best_threshold(images: list[Evidence], expected: tuple[float | None, float]) -> None:
    assert best_threshold(images) == pytest.approx(expected)


scores = st.lists(st.tuples(st.integers(0, 20).map(lambda k: k / 20), st.booleans()), max_size=6)
pictures = scores.flatmap(
    lambda found: st.integers(0, 2).map(
        lambda missed: Evidence(
            tuple(score for score, _ in found),
            tuple(right for _, right in found),
            sum(right for _, right in found) + missed,
        )
    )
)


@given(st.lists(pictures, min_size=1, max_size=5))
def test_no_threshold_does_better(images: list[Evidence]) -> None:
    """Against the definition: F1 of every cut, counted box by box."""

    def f1(threshold: float) -> float:
        kept = [counts(image, threshold) for image in images]
        hits, found = (sum(column) for column in zip(*kept, strict=True))
        total = found + sum(image.objects for image in images)
        return 2 * hits / total if total else 0.0

    threshold, best = best_threshold(images)
    assert best == pytest.approx(max(f1(k / 40) for k in range(42)))
    if threshold is not None:
        assert f1(threshold) == pytest.approx(best)


GOOD = Evidence((0.8, 0.2), (True, False), 1)
ODD = Evidence((0.4, 0.3), (True, False), 1)


def test_alike_pictures_give_a_sure_threshold() -> None:
    tuned = tune("dog", [GOOD] * 8)
    assert (tuned.threshold, tuned.low, tuned.high) == pytest.approx((0.5, 0.5, 0.5))
    assert (tuned.f1, tuned.f1_left_out, tuned.notes) == (1.0, 1.0, ())


def test_pictures_that_differ_give_an_unsure_one() -> None:
    tuned = tune("dog", [GOOD, GOOD, ODD])
    assert tuned.threshold == pytest.approx(0.35)
    assert (tuned.low, tuned.high) == pytest.approx((0.35, 0.5))
    # ODD with the others' .5: its dog is missed; they with .35 or so: all right
    assert tuned.f1 == 1.0
    assert tuned.f1_left_out == pytest.approx(2 * 2 / (2 + 3))
    assert "3 in 3 of 3 pictures is little" in tuned.notes[0]


def test_the_same_seed_gives_the_same_span() -> None:
    images = [GOOD, ODD, GOOD, Evidence((0.6, 0.5), (True, False), 2)]
    assert tune("dog", images, seed=3) == tune("dog", images, seed=3)


def test_nothing_to_tune_on() -> None:
    with pytest.raises(InputError, match="No picture has a dog"):
        tune("dog", [Evidence((0.5,), (False,), 0)])
    blind = tune("dog", [Evidence((), (), 2)])
    assert (blind.threshold, blind.f1, blind.f1_left_out) == (None, 0.0, None)
    assert "found none" in blind.notes[-1]


def test_one_picture_can_not_be_left_out() -> None:
    tuned = tune("dog", [GOOD])
    assert (tuned.threshold, tuned.f1_left_out) == (0.5, None)
