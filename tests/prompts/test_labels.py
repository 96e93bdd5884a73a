"""A label is what an object is called, however it was shown; no model is told of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import PromptError
from limner.ops.detections import class_names
from limner.pipeline import GroundModels, GroundOptions, detect, ground
from limner.prompts import Mask, Text, VisualPrompt
from limner.prompts.syntax import parse_objects
from tests.pipeline.doubles import FillSegmenter, OutliningDetector, TableDetector

PICTURE = Image.new("RGB", (100, 80), (40, 90, 60))
TABLE: dict[str, Any] = {
    "cup": [((5, 10, 25, 30), 0.6)],
    "mug": [((6, 10, 26, 30), 0.9), ((60, 10, 95, 50), 0.5)],
}


def a_mask() -> Mask:
    array = np.zeros((80, 100), dtype=bool)
    array[60:70, 60:90] = True
    return Mask(array)


@pytest.mark.parametrize(
    ("detector", "prompt"),
    [
        (TableDetector, VisualPrompt(box=(5, 10, 25, 30), label="the cup")),
        (TableDetector, VisualPrompt(points=[(50, 40)], label="the cup")),
        (TableDetector, VisualPrompt(mask=a_mask(), label="the cup")),
        (TableDetector, VisualPrompt(text="cup", label="the cup")),
        (OutliningDetector, VisualPrompt(text="cup", label="the cup")),
    ],
    ids=["box", "point", "a mask that is the answer", "phrase", "phrase to a detector's outline"],
)
def test_an_outline_is_called_by_its_label(detector: Any, prompt: VisualPrompt) -> None:
    """Each way to an outline names its rows by itself: none may forget the label."""
    models = GroundModels(FillSegmenter(), detector(TABLE))
    found = ground(PICTURE, [prompt], models, GroundOptions(as_drawn=True)).detections
    assert class_names(found) == ["the cup"]


def test_a_box_is_called_by_its_label_and_the_detector_hears_the_phrase() -> None:
    detector = TableDetector(TABLE)
    prompts = [VisualPrompt(text="cup", label="a"), VisualPrompt(text=Text("mug", "cup"))]
    assert class_names(detect(PICTURE, prompts, detector)) == ["a", "mug"]
    assert set(detector.phrases) == {"cup", "mug"}


def test_phrases_of_one_label_find_a_thing_once() -> None:
    """ "cup" and "mug" box the same mug: the surer one stays, as the answer to its own phrase."""
    prompts = [VisualPrompt(text=phrase, label="mug") for phrase in ("cup", "mug")]
    boxes = detect(PICTURE, prompts, TableDetector(TABLE))
    assert boxes.xyxy[:, 0].tolist() == [6, 60]
    assert boxes.class_id.tolist() == [1, 1]
    apart = [VisualPrompt(text=phrase, label=phrase) for phrase in ("cup", "mug")]
    assert len(detect(PICTURE, apart, TableDetector(TABLE))) == 3


def test_a_label_is_part_of_the_prompts_identity_where_there_is_one() -> None:
    """A record replays with its labels; the digests of prompts without one are what they were."""
    bare = VisualPrompt(box=(1, 2, 3, 4))
    labelled = VisualPrompt(box=(1, 2, 3, 4), label=" mug ")
    assert "label" not in bare.to_dict()
    assert VisualPrompt.from_dict(labelled.to_dict()) == labelled
    assert labelled.label == "mug"
    assert labelled.digest != bare.digest


def test_labels_as_typed() -> None:
    """Each object has its own, on either side of what shows it."""
    first, second = parse_objects(
        [("box", "1,2,3,4"), ("label", "mug"), ("object", ""), ("label", "plate"), ("text", "dish")]
    )
    assert (first.label, second.label) == ("mug", "plate")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([("label", "mug")], "add a --box"),
        ([("box", "1,2,3,4"), ("label", " ")], "an empty one"),
        ([("box", "1,2,3,4"), ("label", "a\nb")], "control characters"),
        ([("box", "1,2,3,4"), ("label", "a"), ("label", "b")], "one --label, got a second"),
        ([("label", "a"), ("point", "1,2:bg")], "Only background points"),
        (
            [("text", "dog"), ("label", "a"), ("text", "Dog"), ("label", "b")],
            "ask for the same things",
        ),
    ],
)
def test_labels_that_cant_be_meant(options: list[tuple[str, str]], sentence: str) -> None:
    """Before a picture is opened."""
    with pytest.raises(PromptError, match=sentence):
        parse_objects(options)


@pytest.mark.parametrize("label", ["", "  ", "a\0b", 3, b"mug"])
def test_values_that_are_no_label(label: Any) -> None:
    with pytest.raises(PromptError, match="A label is a name"):
        VisualPrompt(box=(1, 2, 3, 4), label=label)
