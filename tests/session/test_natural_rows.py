"""Calls that people write, a row each, on the demo's scene with the minis: what comes of each, and
the one sentence that bad input gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
import torch
from PIL import Image

from limner import Box, LimnerError, Run, Session, VisualPrompt
from limner.errors import ImageError, OptionError, PromptError
from limner.prompts import Like
from tests.conftest import need_minis

LAWN = Path(__file__).parents[2] / "examples" / "scenes" / "lawn.png"
PIXELS = np.asarray(Image.open(LAWN).convert("RGB"))
BOX = (150, 50, 240, 120)
APPLE = (194, 88)


@pytest.fixture(scope="module")
def session() -> Session:
    need_minis("mini-sam", "mini-owlvit", "mini-sd-inpaint")
    return Session(profile="mini")


ONE: dict[str, Callable[[Session], Run]] = {
    "a phrase": lambda s: s.segment(LAWN, "apple"),
    "a prompt of a phrase": lambda s: s.segment(LAWN, VisualPrompt(text="apple")),
    "a prompt of a box": lambda s: s.segment(LAWN, VisualPrompt(box=[150, 50, 240, 120])),
    "a prompt of a click": lambda s: s.segment(LAWN, VisualPrompt(points=[APPLE])),
    "all in one prompt": lambda s: s.segment(
        LAWN, VisualPrompt(text="apple", box=[150, 50, 240, 120], points=[APPLE])
    ),
    "a box": lambda s: s.segment(LAWN, BOX),
    "clicks, one negative": lambda s: s.segment(LAWN, points=[APPLE, (122, 226)], labels=[1, 0]),
    "an array": lambda s: s.segment(PIXELS, "apple"),
    "with alpha": lambda s: s.segment(
        np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)]), "apple"
    ),
    "grey": lambda s: s.segment(PIXELS[..., 0], BOX),
    "a tensor": lambda s: s.segment(torch.tensor(PIXELS.transpose(2, 0, 1).copy()), "apple"),
    "bytes": lambda s: s.segment(LAWN.read_bytes(), "apple"),
}


@pytest.mark.parametrize("name", ONE)
def test_one_object_at_the_apple(name: str, session: Session) -> None:
    """Whatever says it: one object, and the apple's middle lies in it."""
    run = ONE[name](session)
    assert len(run.boxes) == 1
    assert run.mask[APPLE[1], APPLE[0]]


def test_two_of_each(session: Session) -> None:
    run = session.segment(LAWN, ["apple", "rabbit"])
    assert set(run.detections.data["class_name"]) == {"apple", "rabbit"}
    assert len(session.segment(LAWN, boxes=[BOX, (20, 90, 70, 150)]).boxes) == 2


def test_settings_are_honoured_and_recorded(session: Session) -> None:
    run = session.detect(LAWN, "apple", threshold=0.3)
    assert run.record.job.options["finding"]["detect"]["threshold"] == 0.3
    assert (np.asarray(run.detections.confidence) >= 0.3).all()
    edit = session.edit(LAWN, "apple", "a red car", guidance_scale=7, seed=3, num_inference_steps=1)
    assert edit.record.job.options["inpaint"]["guidance_scale"] == 7
    assert edit.edits[0].seed == 3
    assert "\n" not in repr(edit)


def test_an_example_in_the_picture_finds_all_of_its_kind(session: Session) -> None:
    """Three sunflowers and nothing else, and a threshold above a score that is shown cuts it: the
    apple came along, and scores were shown relative to the best."""
    like = VisualPrompt(likes=(Like(Box(15, 85, 71, 159)),))
    run = session.detect(LAWN, like)
    truth = json.loads(LAWN.with_suffix(".json").read_text())
    (flower,) = (row["id"] for row in truth["categories"] if row["name"] == "sunflower")
    boxes = np.array([r["bbox"] for r in truth["annotations"] if r["category_id"] == flower])
    boxes[:, 2:] += boxes[:, :2]
    overlap = sv.box_iou_batch(boxes, np.asarray(run.boxes))
    assert overlap.shape == (3, 3)
    assert (overlap.max(axis=0) > 0.4).all()
    assert (overlap.max(axis=1) > 0.4).all()
    best, *_, last = np.asarray(run.detections.confidence).tolist()
    assert len(session.detect(LAWN, like, threshold=(best + last) / 2).boxes) < 3


NOTHING = r"^Nothing was asked for: give [^.]*\.$"
BAD: dict[str, tuple[Callable[[Session], Any], type[LimnerError], str]] = {
    "no prompts to segment": (lambda s: s.segment(LAWN, []), OptionError, NOTHING),
    "no prompts to detect": (lambda s: s.detect(LAWN, []), OptionError, NOTHING),
    "no prompts to edit": (lambda s: s.edit(LAWN, [], "a car"), OptionError, NOTHING),
    "no prompts to remove": (lambda s: s.remove(LAWN, []), OptionError, NOTHING),
    "no prompts to redact": (lambda s: s.redact(LAWN, []), OptionError, NOTHING),
    "no prompts to cut out": (lambda s: s.cutout(LAWN, []), OptionError, NOTHING),
    "more labels than points": (
        lambda s: s.segment(LAWN, points=[APPLE], labels=[1, 0]),
        PromptError,
        "got 1 points and 2 labels",
    ),
    "labels alone": (lambda s: s.segment(LAWN, labels=[1]), PromptError, "give points"),
    "a label of 2": (
        lambda s: s.segment(LAWN, points=[APPLE], labels=[2]),
        PromptError,
        r"1 \(the object\) or 0",
    ),
    "two channels": (
        lambda s: s.segment(np.zeros((5, 5, 2), np.uint8), "apple"),
        ImageError,
        r"RGB in this order.*got shape \(5, 5, 2\)",
    ),
    "floats to 255": (lambda s: s.segment(PIXELS * 1.0, "apple"), ImageError, "0 to 1; got 0 to"),
    "bfloat16": (
        lambda s: s.segment(torch.zeros(3, 8, 8, dtype=torch.bfloat16), BOX),
        ImageError,
        "NumPy can't read",
    ),
    "guidance": (
        lambda s: s.edit(LAWN, "apple", "a red car", guidance=7),
        OptionError,
        "did you mean guidance_scale",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(name: str, session: Session) -> None:
    ask, error, says = BAD[name]
    with pytest.raises(error, match=says) as caught:
        ask(session)
    assert "\n" not in str(caught.value)
