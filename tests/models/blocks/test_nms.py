"""From scored candidate boxes to answers: the arithmetic, on numbers one can check by hand."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

from limner.errors import PromptError
from limner.models.blocks.nms import answers, by_prompt, patch_for, relative, suppress, with_area
from limner.prompts import Box

SCORES = np.array([[0.9, 0.8], [0.4, 0.5], [0.2, 0.1]], np.float32)
"""Three candidates against two prompts."""
PHRASES = np.array([True, True])

ANSWERED = {
    # thresholds: (candidate, prompt) that answers
    "each goes to its best phrase": ([0.0, 0.0], [(0, 0), (1, 1), (2, 0)]),
    "one threshold for all": ([0.3, 0.3], [(0, 0), (1, 1)]),
    "a score that equals it is enough": ([0.5, 0.5], [(0, 0), (1, 1)]),
    "a phrase out of reach leaves the box to the next": ([0.95, 0.3], [(0, 1), (1, 1)]),
    "a threshold of its own": ([0.15, 0.6], [(0, 0), (1, 0), (2, 0)]),
    "none": ([1.0, 1.0], []),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_phrases_compete(name: str) -> None:
    thresholds, wanted = ANSWERED[name]
    rows, prompts, confidence = answers(SCORES, PHRASES, np.array(thresholds, np.float32))
    assert list(zip(rows, prompts, strict=True)) == wanted
    np.testing.assert_array_equal(confidence, SCORES[rows, prompts])


def test_an_example_competes_with_nothing() -> None:
    rows, prompts, _ = answers(SCORES, np.array([True, False]), np.array([0.0, 0.0]))
    assert sorted(zip(rows, prompts, strict=True)) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]


def test_an_examples_score_is_the_one_that_its_threshold_cuts() -> None:
    """It was shown relative to the best, so that a threshold just below what was shown cut it."""
    scores = np.array([[0.8], [0.44], [0.3], [0.07]], np.float32)
    rows, _, confidence = answers(scores, np.array([False]), np.array([0.4]))
    assert rows.tolist() == [0, 1]
    np.testing.assert_array_equal(confidence, scores[:2, 0])
    rows, _, _ = answers(scores, np.array([False]), np.array([0.0]))
    assert rows.tolist() == [0, 1, 2]  # below a tenth of the best nothing answers, as upstream


def test_relative_of_nothing_is_nothing() -> None:
    assert not relative(np.zeros(3, np.float32)).any()


@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9, 1.0])
def test_suppress_keeps_the_rows_of_supervision(class_agnostic: bool, threshold: float) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 80, (300, 2))
    xyxy = np.hstack([corners, corners + rng.uniform(5, 40, (300, 2))])
    confidence, classes = rng.permutation(300) / 300, rng.integers(0, 3, 300)
    kept = suppress(xyxy, confidence, classes, threshold=threshold, class_agnostic=class_agnostic)
    detections = sv.Detections(
        xyxy, confidence=confidence, class_id=classes, data={"row": np.arange(300)}
    )
    wanted = detections.with_nms(threshold, class_agnostic=class_agnostic).data["row"]
    assert sorted(kept) == sorted(wanted)
    assert (np.diff(confidence[kept]) < 0).all()


def test_suppress_nothing() -> None:
    none = np.zeros(0, np.int64)
    kept = suppress(np.zeros((0, 4)), np.zeros(0), none, threshold=0.5, class_agnostic=False)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_answers_to_questions_are_answers_to_all_prompts_that_ask_them() -> None:
    """Two prompts of one question both get its rows, in the order of the rows, up to the limit."""
    answered = np.array([1, 0, 2, 1])
    rows, prompts = by_prompt(answered, [1, 0, 1], 4)
    assert rows.tolist() == [0, 0, 1, 3]
    assert prompts.tolist() == [0, 2, 1, 0]
    none, _ = by_prompt(np.zeros(0, np.int64), [0], 5)
    assert none.shape == (0,)


def test_boxes_clipped_to_a_line_have_no_area() -> None:
    xyxy = np.array([(0, 0, 5, 5), (5, 0, 5, 5), (0, 9, 5, 9)], float)
    assert with_area(np.array([2, 1, 0]), xyxy).tolist() == [0]


def test_the_patch_of_most_merit_among_those_that_overlap_as_well() -> None:
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5], [50, 50, 60, 60]], float)
    merit = np.array([0.1, 0.2, 0.9, 1.0])
    assert patch_for(Box(0, 0, 10, 10), xyxy, merit) == 1
    assert patch_for(Box(52, 52, 60, 60), xyxy, merit) == 3


def test_a_box_in_which_nothing_is_seen() -> None:
    with pytest.raises(PromptError, match="give a larger one"):
        patch_for(Box(20, 20, 30, 30), np.array([[0.0, 0, 10, 10]]), np.ones(1))
