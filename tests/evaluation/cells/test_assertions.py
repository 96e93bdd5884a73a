"""Each type of assertion holds when it should, fails when it should, and says what it measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import supervision as sv

from limner.errors import InputError, LimnerError, PromptError
from limner.evaluation.cells import measures
from limner.evaluation.cells.assertions import Judged, judge, total
from limner.evaluation.cells.cell import Cell
from tests.evaluation.suites.doubles import Told, suite_of

CHECKS = """\
def small(outcome, case):
    return outcome.mask.mean() < 0.5

def graded(outcome, case):
    return 0.4

def as_promptfoo(outcome, case):
    return {"pass": True, "score": 0.7, "reason": case.name}

def broken(outcome, case):
    raise KeyError("theirs")

def odd(outcome, case):
    return "yes"
"""


def cell_of(folder: Path, assertion: str, verb: str = "find: mug", case: str = "") -> Cell:
    (folder / "checks.py").write_text(CHECKS)
    (cell,) = suite_of(
        folder,
        f"models: [grabcut]\ncases:\n- {{image: thing.png, mask: mask.png, {verb},\n"
        f"   assert: [{assertion}]{case}}}\n",
    ).cells
    return cell


def judged(folder: Path, assertion: str, verb: str = "find: mug", case: str = "") -> Judged:
    cell = cell_of(folder, assertion, verb, case)
    told = Told(here={"a cat"})
    return judge(told.answer(cell), cell, cell.case.assertions[0], told)


FIND, HALF, NOTHING = "find: mug", "find: half", "find: nothing"
EDIT = "edit: {find: mug, paint: something blue}"
LOST = "edit: {find: nothing, paint: something blue}"

ROWS = [
    # assertion, verb, holds, measured (None: not looked at), in the reason
    ("{type: iou, value: 0.8}", FIND, True, 1.0, "at least 0.8"),
    ("{type: iou, threshold: 0.8}", HALF, False, 0.5, "0.500"),
    ("{type: iou, value: 0.8}", NOTHING, False, 0.0, ""),
    ("{type: not-iou, value: 0.8}", HALF, True, 0.5, "opposite"),
    ("{type: boundary_f, value: 0.9}", FIND, True, 1.0, ""),
    ("{type: boundary_f, value: 0.9}", HALF, False, None, ""),
    ("{type: box_iou, value: 0.9}", "detect: mug", True, 1.0, ""),
    ("{type: box_iou, value: 0.9}", HALF, False, 0.5, ""),
    ("{type: f1, value: 0.9}", FIND, True, 1.0, ""),
    ("{type: f1, value: 0.1}", NOTHING, False, 0.0, ""),
    ("{type: precision, value: 0.9}", "detect: mug", True, 1.0, ""),
    ("{type: precision, value: 0.1}", NOTHING, False, 0.0, ""),
    ("{type: recall, value: 1}", "detect: mug", True, 1.0, ""),
    ("{type: recall, value: 1}", NOTHING, False, 0.0, ""),
    ("{type: count, value: 1}", FIND, True, 1, "1 found"),
    ("{type: count, value: '>=2'}", FIND, False, 1, ">= 2 wanted"),
    ("{type: count, value: '<1'}", NOTHING, True, 0, ""),
    ("detected", FIND, True, 0.8, "what was asked for"),
    ("{type: detected, value: mug}", FIND, True, 0.8, "mug: found 1 time"),
    ("{type: detected, value: mug, threshold: 0.9}", FIND, False, 0, "not found"),
    ("{type: detected, value: a cat}", FIND, True, 0.4, "a cat"),
    ("{type: not-detected, value: mug}", EDIT, True, 0, "not found"),
    ("{type: not-detected, value: a cat}", EDIT, False, 0.4, ""),
    ("{type: clip_t, value: 0.9}", EDIT, False, None, "at least 0.9"),
    ("{type: clip_t, value: 0.5}", EDIT, True, None, ""),
    ("{type: clip_t, value: 0.5, text: very red}", EDIT, False, None, ""),
    ("{type: clip_t, value: 0.5}", LOST, False, None, "not measured: nothing was found"),
    ("{type: not-clip_t, value: 0.5}", LOST, False, None, "not measured"),
    ("{type: clip_i, value: 0.9, reference: thing.png}", EDIT, False, None, ""),
    ("{type: clip_i, value: 0.95, reference: mask.png}", "find: mug", False, None, ""),
    ("outside_changed_pixels", EDIT, True, 0, "at most 0 pixels"),
    ("outside_changed_pixels", "edit: {find: half, paint: a blue}", False, 450, "450 pixels"),
    ("{type: outside_changed_pixels, value: 450}", "remove: half", True, 450, ""),
    ("{type: seam, value: 0.01}", EDIT, False, None, "at most 0.010"),
    ("{type: seam, value: 0.9}", LOST, False, None, "nothing was painted"),
    ("{type: latency, value: 300ms}", FIND, False, 0.5, "0.50 s, at most 0.30 s"),
    ("{type: latency, value: 2s}", FIND, True, 0.5, ""),
    ("{type: peak_memory, value: 2GB}", FIND, False, 3e9, "3.00 GB, at most 2.00 GB"),
    ("{type: peak_memory, value: 4GiB}", FIND, True, 3e9, ""),
    ("{type: python, value: 'checks.py:small'}", FIND, True, None, "says"),
    ("{type: not-python, value: 'checks.py:small'}", FIND, False, None, ""),
    ("{type: python, value: 'checks.py:graded'}", FIND, True, 0.4, ""),
    ("{type: python, value: 'checks.py:graded', threshold: 0.5}", FIND, False, 0.4, ""),
    ("{type: python, value: 'checks.py:as_promptfoo'}", FIND, True, 0.7, "thing.png"),
]


@pytest.mark.parametrize(("assertion", "verb", "holds", "measured", "said"), ROWS)
def test_a_verdict(
    tmp_path: Path, assertion: str, verb: str, holds: bool, measured: float | None, said: str
) -> None:
    verdict = judged(tmp_path, assertion, verb).verdict
    assert verdict.passed is holds, verdict
    assert 0 <= verdict.score <= 1
    assert (verdict.score == 1) == holds or "graded" in assertion or "promptfoo" in assertion
    assert said in verdict.reason
    if measured is not None:
        assert verdict.measured == pytest.approx(measured, abs=1e-6)


def test_what_cannot_be_judged_is_an_error_not_a_failure(tmp_path: Path) -> None:
    """A wrong test must not look like a bad model."""
    with pytest.raises(LimnerError, match="no dino here"):
        judged(tmp_path, "{type: dino, value: 0.5, reference: thing.png}")
    with pytest.raises(InputError, match=r"checks.py:broken raised KeyError: 'theirs'"):
        judged(tmp_path, "{type: python, value: 'checks.py:broken'}")
    with pytest.raises(InputError, match="true or false, a score"):
        judged(tmp_path, "{type: python, value: 'checks.py:odd'}")
    with pytest.raises(InputError, match="has no attribute"):
        judged(tmp_path, "{type: python, value: 'checks.py:gone'}")
    cell = cell_of(tmp_path, "{type: iou, value: 0.8}")
    (tmp_path / "mask.png").write_bytes((tmp_path / "small.png").read_bytes())
    told = Told()
    with pytest.raises(PromptError, match="20x20 pixels and the image 64x48"):
        judge(told.answer(cell), cell, cell.case.assertions[0], told)


def test_weights_and_thresholds_as_in_promptfoo(tmp_path: Path) -> None:
    """Without a threshold each weighted assertion must hold; with one the weighted mean decides; a
    weight of 0 only measures."""
    half_right = "{type: count, value: 1, weight: 3}, {type: count, value: 2, weight: 1}"

    def outcome(assertions: str, case: str = "") -> tuple[bool, float]:
        cell = cell_of(tmp_path, assertions, case=case)
        told = Told()
        answer = told.answer(cell)
        return total(cell.case, [judge(answer, cell, a, told) for a in cell.case.assertions])

    assert outcome(half_right) == (False, 0.75)
    assert outcome(half_right, ", threshold: 0.75") == (True, 0.75)
    assert outcome(half_right, ", threshold: 0.8") == (False, 0.75)
    assert outcome(half_right.replace("weight: 1", "weight: 0")) == (True, 1.0)


def test_a_box_that_answers_nothing_costs_precision_and_f1_and_no_recall(tmp_path: Path) -> None:
    """By hand: one of three boxes is right; box_iou would take the box around all three."""
    cell = cell_of(tmp_path, "{type: f1, value: 0.4}", "detect: mug")
    told = Told(here={"a cat"})
    outcome = told.answer(cell)
    (true,) = outcome.detections.xyxy
    boxes = np.stack([true, true + 1, true * 0 + [0, 0, 9, 9]])  # the second answers it again
    found = sv.Detections(boxes, confidence=np.array([0.5, 0.9, 0.3]), class_id=np.zeros(3, int))
    outcome = replace(outcome, detections=found)
    wanted = {"precision": 1 / 3, "recall": 1.0, "f1": 0.5}
    for name, expected in wanted.items():
        measure = getattr(measures, name)
        assert measure(outcome, cell, cell.case.assertions[0], told) == pytest.approx(expected)
