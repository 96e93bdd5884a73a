"""D3: one result file on three annotation files, as the authors' script does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limner.errors import InputError
from limner.evaluation import D3Scores, evaluate_d3

SENTENCES = {1: "a dog led by a rope", 2: "a dog without a rope", 3: "an open door"}


def annotations(sentences: list[int], kept: list[int]) -> dict[str, Any]:
    """Two pictures; sentence k of picture 1 is a box at 20 k."""
    return {
        "images": [{"id": 1, "width": 200, "height": 100}, {"id": 2, "width": 200, "height": 100}],
        "categories": [{"id": k, "name": SENTENCES[k]} for k in sentences],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": k, "bbox": [20 * k, 0, 10, 10], "area": 100}
            for k in kept
        ],
    }


@pytest.fixture
def d3(tmp_path: Path) -> Path:
    for name, sentences in {"full": [1, 2, 3], "pres": [1, 3], "abs": [2]}.items():
        content = json.dumps(annotations(sentences, sentences))
        (tmp_path / f"d3_{name}_annotations.json").write_text(content)
    return tmp_path


def found(sentence: int, image: int = 1, score: float = 0.5) -> dict[str, Any]:
    box = [20 * sentence, 0, 10, 10]
    return {"image_id": image, "category_id": sentence, "bbox": box, "score": score}


def test_by_hand(d3: Path) -> None:
    """Sentence 1 exact; 2 exact after a surer box on a picture that it is not true of: precision
    1/2; 3 missed. PRES (1 + 0) / 2, ABS 1/2, FULL the mean of all three."""
    scores = evaluate_d3(d3, [found(1), found(2), found(2, image=2, score=0.9)])
    assert scores == D3Scores(
        FULL=pytest.approx(0.5), PRES=pytest.approx(0.5), ABS=pytest.approx(0.5)
    )
    assert evaluate_d3(d3, [found(2)]).to_dict() == pytest.approx(
        {"FULL": 1 / 3, "PRES": 0, "ABS": 1}
    )


def test_ids_that_do_not_exist_are_refused(d3: Path) -> None:
    with pytest.raises(InputError, match="category_id 423"):
        evaluate_d3(d3, [{**found(1), "category_id": 423}])
    with pytest.raises(InputError, match="image 9"):
        evaluate_d3(d3, [found(1, image=9)])


def test_a_missing_file_is_named(d3: Path) -> None:
    (d3 / "d3_abs_annotations.json").unlink()
    with pytest.raises(InputError, match=r"no d3_abs_annotations\.json"):
        evaluate_d3(d3, [])
