"""Several detectors as one: fused as the paper says, and who agreed is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from limner.errors import OptionError, UnsupportedPrompt
from limner.options import DetectOptions
from limner.pipeline import DetectorEnsemble, detect
from limner.pipeline.ensemble import weighted_boxes_fusion
from limner.prompts import Exemplar, PromptKind, Text, VisualPrompt
from limner.protocols import Detector, ModelRef
from tests.pipeline.doubles import Found, TableDetector

PICTURE = Image.new("RGB", (200, 100))
DOG, CAT = VisualPrompt(text=Text("dog")), VisualPrompt(text=Text("cat"))


def named(name: str, **table: Found) -> TableDetector:
    detector = TableDetector(table)
    detector.ref = ModelRef(name, "double", f"licence of {name}")
    return detector


def test_a_consensus_is_a_detector() -> None:
    both = DetectorEnsemble([named("a"), named("b")])
    assert isinstance(both, Detector)
    assert both.ref.name == "a+b"
    assert both.ref.licence == "licence of a, licence of b"


def test_two_boxes_of_one_thing_by_hand() -> None:
    """X = (0.9 * 0 + 0.6 * 6) / 1.5 = 2.4; C = (0.9 + 0.6) / 2 * 2 / 2."""
    xyxy = np.array([(0, 0, 60, 50), (6, 0, 66, 50), (120, 0, 150, 50)], dtype=float)
    boxes, scores, rows = weighted_boxes_fusion(xyxy, np.array([0.9, 0.6, 0.8]), 2)
    assert boxes == pytest.approx(np.array([(2.4, 0, 62.4, 50), (120, 0, 150, 50)]))
    assert scores == pytest.approx([0.75, 0.4])
    assert rows == [[0, 1], [2]]


def test_more_boxes_of_a_thing_than_models_are_no_more_than_all_of_them() -> None:
    """min(T, N) of equation 6."""
    xyxy = np.array([(0, 0, 60, 50)] * 3, dtype=float)
    _, scores, _ = weighted_boxes_fusion(xyxy, np.array([0.9, 0.6, 0.6]), 2)
    assert scores == pytest.approx([0.7])


OTHERS = """
51.4286 56.7483 71.4218 86.2109 .49  |  53.2389 33.7611 86.6195 55.5398 .37667
47.8584 51.8142 77.2566 67.0619 .37667  |  36.7073 40.3415 54.9756 68 .27333
15 3 35 36 .14333  |  38 41 50 72 .13667  |  17 16 38 36 .12  |  14 14 40 44 .03667
"""
"""What ensemble-boxes 1.0.9 makes of the boxes below (iou_thr 0.55, conf_type "avg"). On 300 random
layouts of two to four models the two agreed within 1e-5; boxes of one score may come in another
order there."""


def test_it_gives_the_numbers_of_the_authors_package() -> None:
    a = [(35, 40, 56, 68), (50, 37, 85, 55), (47, 47, 76, 67), (14, 14, 40, 44), (52, 57, 77, 89)]
    b = [(38, 41, 50, 72), (56, 31, 88, 56), (49, 52, 81, 63), (15, 3, 35, 36), (52, 56, 73, 87)]
    c = [(40, 41, 53, 68), (48, 54, 77, 68), (17, 16, 38, 36), (51, 57, 69, 85)]
    score = [0.54, 0.52, 0.31, 0.11, 0.26, 0.41, 0.61, 0.15, 0.43, 0.37, 0.28, 0.67, 0.36, 0.84]
    boxes, scores, _ = weighted_boxes_fusion(np.array([*a, *b, *c]), np.array(score), 3)
    theirs = [[float(v) for v in row.split()] for row in OTHERS.replace("\n", "|").split("|")]
    ours = sorted([*box, score] for box, score in zip(boxes, scores, strict=True))
    for one, other in zip(ours, sorted(filter(None, theirs)), strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def test_nothing_fuses_to_nothing() -> None:
    boxes, scores, rows = weighted_boxes_fusion(np.zeros((0, 4)), np.zeros(0), 2)
    assert (boxes.shape, scores.shape, rows) == ((0, 4), (0,), [])


def test_who_agreed_is_kept_with_their_own_boxes_and_scores() -> None:
    a = named("a", dog=[((0, 0, 60, 50), 0.9), ((120, 0, 150, 50), 0.8)])
    b = named("b", dog=[((6, 0, 66, 50), 0.6)], cat=[((0, 60, 30, 90), 0.5)])
    found = detect(PICTURE, [DOG, CAT], DetectorEnsemble([a, b]))
    assert found.data["class_name"].tolist() == ["dog", "dog", "cat"]
    assert found.confidence == pytest.approx([0.75, 0.4, 0.25])
    opinions = [[(one.model, one.xyxy, one.score) for one in row] for row in found.data["agreed"]]
    assert opinions[1] == [("a", (120, 0, 150, 50), pytest.approx(0.8))]
    assert [model for model, _, _ in opinions[0]] == ["a", "b"]
    assert opinions[0][1] == ("b", (6, 0, 66, 50), pytest.approx(0.6))
    assert [model for model, _, _ in opinions[2]] == ["b"]


def test_a_threshold_holds_for_what_is_fused() -> None:
    a = named("a", dog=[((0, 0, 60, 50), 0.9), ((120, 0, 150, 50), 0.8)])
    b = named("b", dog=[((6, 0, 66, 50), 0.6)])
    found = detect(PICTURE, [DOG], DetectorEnsemble([a, b]), DetectOptions(threshold=0.5))
    assert len(found) == 1
    only = detect(PICTURE, [DOG], DetectorEnsemble([a, b]), DetectOptions(max_detections=1))
    assert len(only) == 1


def test_not_is_subtracted_from_what_is_fused() -> None:
    a = named("a", dog=[((0, 0, 60, 50), 0.9)], poodle=[((0, 0, 60, 50), 0.9)])
    b = named("b", dog=[((2, 0, 62, 50), 0.9), ((100, 0, 150, 50), 0.9)])
    found = detect(PICTURE, [VisualPrompt(text=Text("dog", "poodle"))], DetectorEnsemble([a, b]))
    assert found.xyxy.tolist() == [[100, 0, 150, 50]]


def test_each_model_looks_in_tiles_for_itself() -> None:
    """The opinions lie in the picture, not in a tile."""
    thing = [((40.0, 10.0, 60.0, 30.0), 0.9)]
    a, b = named("a", dog=thing), named("b", dog=thing)
    options = DetectOptions(look="tiles", slice_wh=100, overlap_wh=20)
    found = detect(PICTURE, [DOG], DetectorEnsemble([a, b]), options)
    boxes = [one.xyxy for row in found.data["agreed"] for one in row]
    assert max(box[2] for box in boxes) == 160  # the table answers each tile alike
    assert all(len(row) == 2 for row in found.data["agreed"])


def test_who_cant_be_asked_is_said() -> None:
    words = named("words")
    words.accepts = frozenset({PromptKind.TEXT})
    both = DetectorEnsemble([named("both"), words])
    example = VisualPrompt(exemplar=Exemplar(np.zeros((5, 5, 3), np.uint8)))
    with pytest.raises(
        UnsupportedPrompt, match="words can't take exemplar; together they take text"
    ):
        detect(PICTURE, [DOG, example], both)


@pytest.mark.parametrize("members", [["a"], ["a", "a"]])
def test_one_model_agrees_with_nobody(members: list[str]) -> None:
    with pytest.raises(OptionError, match="at least two different"):
        DetectorEnsemble([named(name) for name in members])
