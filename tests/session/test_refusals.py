"""What a session refuses, before anything is loaded, and what it says to do instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import (
    LicenceRefused,
    ModelError,
    OptionError,
    PromptError,
    UnknownModel,
    UnsupportedPrompt,
    WeightsMissing,
)
from limner.models.classical.adapters import GrabCut
from limner.options import (
    EditOptions,
    EverythingOptions,
    InpaintOptions,
)
from limner.pipeline import background
from limner.prompts import Box, Exemplar, Point, PromptKind, Text, VisualPrompt
from limner.protocols import ModelRef, check_accepts
from limner.session import Run, Session
from tests.models.tiny_sam import save_tiny_sam
from tests.session.doubles import (
    BOXED,
    FINDING,
    HEIGHT,
    INPAINT,
    RED,
    WIDTH,
    picture,
)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Session(models={"paint": "x"}),
            OptionError,
            "segment, inpaint, remove, generate, refine, encode, caption, matte; got paint",
        ),
        (lambda: Session(profile="tiny"), UnknownModel, "no profile 'tiny'.*classical"),
        (lambda: Session(models={"segment": "grabcat"}), UnknownModel, "grabcut"),
        (lambda: Session(models={"segment": "haar"}), ModelError, "one to segment is needed"),
        (lambda: Session(models={"segment": "./none"}), WeightsMissing, "no folder"),
    ],
    ids=["task", "profile", "misspelt", "a detector", "no such folder"],
)
def test_a_model_that_cannot_answer_is_refused_with_a_way_on(
    make: Callable[[], Session], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make().segment(picture(), [BOXED])


def test_a_profile_says_what_it_lacks_and_which_has_it() -> None:
    models = Session().models
    with pytest.raises(UnknownModel, match="classical has no model to encode") as caught:
        models.encoder.encode_images([picture()])
    assert "take --profile mini (nothing to fetch), --profile small," in str(caught.value)
    assert "clip-vit-base-patch32" in str(caught.value)
    with pytest.raises(UnknownModel, match="no model to caption; take --profile mini"):
        models.captioner.caption([picture()])


def test_commercial_safe_refuses_before_anything_is_fetched() -> None:
    named = {"inpaint": "sd15-inpaint"}
    assert Session(models=named).models.entry("inpaint") is not None
    with pytest.raises(LicenceRefused, match="--commercial-safe refuses sd15-inpaint"):
        Session(models=named, commercial_safe=True).remove(picture(), [BOXED])
    Session(commercial_safe=True).remove(picture(), [BOXED])


def test_commercial_safe_refuses_a_folder_whose_licence_nobody_knows(tmp_path: Path) -> None:
    session = Session(models={"segment": str(save_tiny_sam(tmp_path))}, commercial_safe=True)
    with pytest.raises(LicenceRefused, match=r"a local folder is unknown.*grabcut"):
        session.segment(picture(), [BOXED])


def test_models_that_can_take_a_prompt_are_named() -> None:
    models = Session().models
    said = models.others.able([PromptKind.EXEMPLAR], "detect")
    assert said.startswith("Models that can: owlvit-base-patch32, ")
    assert said.endswith(".")
    assert "haar" not in said
    assert "haar" in models.others.able(iter([PromptKind.TEXT]), "detect")
    assert "haar" not in models.others.able([PromptKind.TEXT, PromptKind.EXEMPLAR], "detect")
    assert models.others.able([PromptKind.EXEMPLAR], "segment") == ""
    safe = Session(commercial_safe=True).models.others.able([PromptKind.TEXT], "inpaint")
    assert "sd15-inpaint" in models.others.able([PromptKind.TEXT], "inpaint")
    assert "sd15-inpaint" not in safe


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (VisualPrompt(exemplar=Exemplar(np.zeros((4, 4, 3), np.uint8))), "can't take an exemplar "),
        (RED, "can't take a text "),
    ],
    ids=["an", "a"],
)
def test_a_prompt_is_refused_in_good_english(prompt: VisualPrompt, said: str) -> None:
    with pytest.raises(UnsupportedPrompt, match=said):
        check_accepts(GrabCut(ModelRef("grabcut", "grabcut", "MIT")), [prompt])


SAME = (picture(), [BOXED])


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda s: s.segment(picture(), []), OptionError, "Nothing was asked"),
        (lambda s: s.detect(picture(), []), OptionError, "Nothing was asked"),
        (lambda s: s.redact(picture(), []), OptionError, "Nothing was asked"),
        (lambda s: s.cutout(picture(), []), OptionError, "leave the list out for the main thing"),
        (lambda s: s.cutout(picture(), threshold=0.5), OptionError, "no effect without a prompt"),
        (lambda s: s.cutout(picture(), select="largest"), OptionError, "no effect without a"),
        (lambda s: s.cutout(picture(), context=2.0), OptionError, "context has no effect"),
        (
            lambda s: s.segment(*SAME, everything=EverythingOptions()),
            OptionError,
            "takes no prompts",
        ),
        (
            lambda s: s.segment(picture(), [], everything=EverythingOptions(), finding=FINDING),
            OptionError,
            "no effect on everything",
        ),
        (
            lambda s: s.background(*SAME, background.Blur(3), inpaint=INPAINT),
            OptionError,
            "seed have no effect on this background",
        ),
        (
            lambda s: s.background(*SAME, background.Blur(3), edit=EditOptions(context=2)),
            OptionError,
            "context has no effect",
        ),
        (
            lambda s: s.background(*SAME, Text("sea"), edit=EditOptions(dilate=2)),
            OptionError,
            "dilate has no effect.*eat the subject",
        ),
        (
            lambda s: s.cutout(*SAME, edit=EditOptions(context=2)),
            OptionError,
            "context has no effect on a cut-out",
        ),
        (
            lambda s: s.remove(*SAME, inpaint=InpaintOptions(guidance_scale=3)),
            OptionError,
            "guidance_scale has no effect on flood",
        ),
        (
            lambda s: s.segment(picture(), [VisualPrompt(points=(Point(WIDTH, 1),))]),
            PromptError,
            "outside",
        ),
        (
            lambda s: s.detect(picture(), [VisualPrompt(text=Text("red"), box=Box(0, 0, 99, 9))]),
            PromptError,
            "leaves the image",
        ),
        (
            lambda s: s.background(
                picture(), [VisualPrompt(box=Box(0, 0, WIDTH, HEIGHT))], Text("sea")
            ),
            PromptError,
            "no background",
        ),
    ],
    ids=[
        "nothing asked",
        "nothing to detect",
        "nothing to redact",
        "no prompts in the list",
        "a score without a prompt",
        "a choice without a prompt",
        "context without a prompt",
        "everything and a prompt",
        "everything and a selection",
        "painting settings for a blur",
        "context for a blur",
        "growing a background",
        "context of a cut-out",
        "a setting the painter ignores",
        "a click outside",
        "a box outside, with words",
        "all of it subject",
    ],
)
def test_what_cannot_be_done_is_said_not_ignored(
    doubles: dict[str, Any], ask: Callable[[Session], Run], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ask(Session())
    assert doubles["inpaint"].sizes == []


def test_a_background_may_say_that_it_does_not_grow(doubles: dict[str, Any]) -> None:
    run = Session().background(*SAME, background.Colour("white"), edit=EditOptions(dilate=0))
    assert len(run.edits) == 1


def test_words_need_a_model_that_follows_them() -> None:
    """Said before the image is opened, naming what to use instead."""
    with pytest.raises(
        UnsupportedPrompt, match=r"--profile mini \(nothing .*small.* or use remove"
    ):
        Session().edit("none.png", [BOXED], Text("a cat"))
    with pytest.raises(UnsupportedPrompt) as caught:
        Session(commercial_safe=True).edit("none.png", [BOXED], Text("a cat"))
    assert "take --profile mini (nothing to fetch), or use remove" in str(caught.value)
    with pytest.raises(UnsupportedPrompt, match="a blur, a colour or a picture"):
        Session().background(picture(), [BOXED], Text("a beach"))
