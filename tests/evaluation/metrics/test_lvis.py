"""LVIS scores: lvis-api's own thirteen numbers, and files that are no LVIS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.errors import InputError
from limner.evaluation import LvisScores, evaluate_lvis
from tests.evaluation.lvis_results import made_results

# lvis 0.5.3 (np.float replaced by float) on lvis_val_100.json and `made_results`, 2026-11.
BY_LVIS_API = {
    "bbox": (
        *(0.480500, 0.806817, 0.396886, 0.529838, 0.500744, 0.487265),
        *(1.000000, 0.499467, 0.473654, 0.545456, 0.564038, 0.542888, 0.541695),
    ),
    "segm": (
        *(0.116891, 0.384723, 0.051529, 0.113682, 0.116364, 0.173507),
        *(0.400000, 0.140799, 0.110600, 0.143084, 0.131039, 0.126955, 0.195721),
    ),
}


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_lvis_apis_numbers_come_out_to_six_digits(
    shared_data: Path, capsys: pytest.CaptureFixture[str], iou_type: Any
) -> None:
    truth = json.loads((shared_data / "eval_pairs/lvis/lvis_val_100.json").read_text())
    scores = evaluate_lvis(truth, made_results(truth), iou_type)
    found = list(scores.to_dict().values())
    assert found == pytest.approx(BY_LVIS_API[iou_type], abs=5.1e-7, rel=0)
    assert capsys.readouterr().out == ""


def small_truth() -> dict[str, Any]:
    """One picture with one apple; pears were looked for and are not there; nobody knows of figs."""
    return {
        "images": [
            {
                "id": 1,
                "width": 100,
                "height": 100,
                "neg_category_ids": [2],
                "not_exhaustive_category_ids": [],
            }
        ],
        "categories": [
            {"id": 1, "name": "apple", "frequency": "f"},
            {"id": 2, "name": "pear", "frequency": "c"},
            {"id": 3, "name": "fig", "frequency": "r"},
        ],
        "annotations": [
            {"id": 0, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600}
        ],
    }


def result(category: int, score: float) -> dict[str, Any]:
    return {"image_id": 1, "category_id": category, "bbox": [10, 10, 40, 40], "score": score}


def test_what_a_picture_says_nothing_about_is_neither_right_nor_wrong() -> None:
    scores = evaluate_lvis(small_truth(), [result(1, 0.5), result(3, 0.9)], "bbox")
    assert (scores.AP, scores.APf, scores.APr, scores.APc) == (1.0, 1.0, None, None)


def test_nothing_found_scores_0_and_no_objects_score_none() -> None:
    assert evaluate_lvis(small_truth(), [], "bbox").AP == 0
    empty = {**small_truth(), "annotations": []}
    assert evaluate_lvis(empty, [], "bbox") == LvisScores(*[None] * 13)


def test_no_more_than_300_results_of_a_picture_count() -> None:
    """300 false pears, surer than the apple, push it out of the list, as in lvis-api."""
    crowd = [result(2, 0.9)] * 300
    assert evaluate_lvis(small_truth(), [*crowd[:299], result(1, 0.5)], "bbox").AP == 1
    assert evaluate_lvis(small_truth(), [*crowd, result(1, 0.5)], "bbox").AP == 0


def test_what_is_no_lvis_file_is_refused() -> None:
    no_lists, no_frequency = small_truth(), small_truth()
    del no_lists["images"][0]["neg_category_ids"]
    del no_frequency["categories"][1]["frequency"]
    for truth, says in ((no_lists, "neg_category_ids"), (no_frequency, "category 2")):
        with pytest.raises(InputError, match=says):
            evaluate_lvis(truth, [], "bbox")
    with pytest.raises(InputError, match="category_id 4"):
        evaluate_lvis(small_truth(), [result(4, 0.5)], "bbox")
