"""Runs of the models that ship, done again: no pixel differs, for every verb and kind of prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from limner.ops.selection import parse_selection
from limner.options import EverythingOptions, InpaintOptions
from limner.pipeline import background
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.runs.store import Store
from limner.session import FindOptions, Run, Session
from limner.session.replay import replay
from tests.conftest import need_minis
from tests.session.test_record import kept

__all__ = ["kept"]

SCENES = Path(__file__).parents[2] / "examples" / "scenes"
FEW = InpaintOptions(num_inference_steps=2)
EVERYTHING = EverythingOptions(points_per_side=6, pred_iou_thresh=0.3, stability_score_thresh=0.3)
BEST = FindOptions(select=(parse_selection("largest"),))


def thing() -> tuple[Box, str]:
    """The first labelled thing of the scene, and its name."""
    content = json.loads((SCENES / "lawn.json").read_text())
    first = content["annotations"][0]
    x, y, width, height = first["bbox"]
    names = {each["id"]: each["name"] for each in content["categories"]}
    return Box(x, y, x + width, y + height), names[first["category_id"]]


BOX, NAME = thing()
BOXED = VisualPrompt(box=BOX)
CLICKED = VisualPrompt(points=(Point((BOX.x0 + BOX.x1) / 2, (BOX.y0 + BOX.y1) / 2),))
SAID = VisualPrompt(text=Text(NAME))
PURPLE = background.Picture(Image.new("RGB", (30, 20), "purple"), "digest")

VERBS: dict[str, Callable[[Session, Any], Run]] = {
    "detect": lambda session, image: session.detect(image, [SAID]),
    "segment by click": lambda session, image: session.segment(image, [CLICKED]),
    "segment by box": lambda session, image: session.segment(image, [BOXED]),
    "segment by words": lambda session, image: session.segment(image, [SAID], finding=BEST),
    "segment everything": lambda session, image: session.segment(image, [], everything=EVERYTHING),
    "edit": lambda session, image: session.edit(image, [SAID], Text("apple"), inpaint=FEW),
    "cutout": lambda session, image: session.cutout(image, [CLICKED]),
    "background in words": lambda session, image: session.background(
        image, [BOXED], Text("a beach"), inpaint=FEW
    ),
    "background blurred": lambda session, image: session.background(
        image, [BOXED], background.Blur(3)
    ),
    "background of a colour": lambda session, image: session.background(
        image, [BOXED], background.Colour("teal")
    ),
    "background a picture": lambda session, image: session.background(image, [BOXED], PURPLE),
    "redact": lambda session, image: session.redact(image, [BOXED, CLICKED]),
}
NEEDED = {
    "detect": ("mini-owlvit",),
    "segment by words": ("mini-owlvit", "mini-sam"),
    "edit": ("mini-owlvit", "mini-sam", "mini-sd-inpaint"),
    "background in words": ("mini-sam", "mini-sd-inpaint"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_of_the_minis_done_again_differs_in_no_pixel(verb: str, kept: Store) -> None:
    """No seed was given: what was drawn is in the record."""
    need_minis(*NEEDED.get(verb, ("mini-sam",)))
    run = VERBS[verb](Session(profile="mini", store=kept), SCENES / "lawn.png")
    assert len(run.grounding) >= 1
    again = replay(kept, str(run.id))
    assert "picture 0" in again.differing, "a picture was compared"
    assert (again.pixels, again.same_finds, again.changed) == (0, True, ())


def test_a_hole_filled_without_weights_around_what_a_mini_outlined(kept: Store) -> None:
    """``remove``: the mini that paints wants words."""
    need_minis("mini-sam")
    session = Session(profile="mini", models={"inpaint": "opencv-inpaint"}, store=kept)
    run = session.remove(SCENES / "lawn.png", [CLICKED])
    again = replay(kept, str(run.id))
    assert [model["name"] for model in again.run.record.models] == ["mini-sam", "opencv-inpaint"]
    assert (again.pixels, again.same_finds, again.changed) == (0, True, ())
