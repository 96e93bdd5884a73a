"""A job is the same for the same request only, and a record holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.io import images
from limner.ops.selection import parse_selection
from limner.options import (
    DetectOptions,
    EditOptions,
    InpaintOptions,
    RedactOptions,
)
from limner.pipeline import background
from limner.prompts import Exemplar, Text, VisualPrompt
from limner.session import FindOptions, Run, Session
from tests.session.doubles import (
    BOXED,
    CLICKED,
    EDIT,
    FINDING,
    INPAINT,
    MISSING,
    RED,
    masked,
    picture,
)

VERBS: dict[str, tuple[str, dict[str, Any]]] = {
    "detect": ("detect", {"finding": FINDING}),
    "detect, plainly": ("detect", {}),
    "segment": ("segment", {"finding": FINDING, "everything": None}),
    "segment, plainly": ("segment", {}),
    "edit": (
        "edit",
        {"paint": Text("a cat", "a dog"), "finding": FINDING, "inpaint": INPAINT, "edit": EDIT},
    ),
    "edit, plainly": ("edit", {"paint": Text("a cat")}),
    "remove": ("remove", {"finding": FINDING, "inpaint": INPAINT, "edit": EDIT}),
    "remove, plainly": ("remove", {}),
    "remove, the defaults said": ("remove", {"inpaint": InpaintOptions(), "edit": EditOptions()}),
    "cutout": ("cutout", {"finding": FINDING, "edit": EditOptions(dilate=0, feather=1)}),
    "cutout, plainly": ("cutout", {}),
    "background, painted": (
        "background",
        {"behind": Text("a beach"), "inpaint": INPAINT, "edit": EditOptions(feather=2, context=1)},
    ),
    "background, blurred": (
        "background",
        {"behind": background.Blur(3), "inpaint": InpaintOptions(), "edit": EditOptions(feather=2)},
    ),
    "background, coloured": ("background", {"behind": background.Colour("white")}),
    "background, a picture": (
        "background",
        {"behind": background.Picture(Image.new("RGB", (5, 5)), "d1")},
    ),
    "redact": (
        "redact",
        {
            "finding": FINDING,
            "redact": RedactOptions(style="solid", region="box"),
            "verify": (VisualPrompt(text=Text("blue")),),
        },
    ),
    "redact, plainly": ("redact", {}),
    "redact, nothing more to verify": ("redact", {"verify": ()}),
    "redact, verify left out": ("redact", {"verify": None}),
}


def run_verb(session: Session, name: str, prompts: list[VisualPrompt]) -> Run:
    verb, asked = VERBS[name]
    run: Run = getattr(session, verb)(
        picture(), prompts, **{key: value for key, value in asked.items() if value is not None}
    )
    return run


@pytest.mark.parametrize("prompts", [[RED], [MISSING]], ids=["found", "nothing found"])
@pytest.mark.parametrize("name", VERBS)
def test_the_record_holds_the_job_that_was_asked(
    doubles: dict[str, Any], name: str, prompts: list[VisualPrompt]
) -> None:
    """The command line resumes by this: the job is known before the work and lies in the result."""
    session = Session()
    verb, asked = VERBS[name]
    job = session.job(verb, prompts, **asked)
    run = run_verb(session, name, prompts)
    assert run.record.job == job
    record = json.loads(json.dumps(run.record.to_dict()))
    assert record["job"] == job.digest(images.digest(picture()))
    assert record["verb"] == verb
    if verb != "redact":  # its record doesn't lead back to its input
        assert record["input"]["digest"] == images.digest(picture())
    assert record["prompts"] == [prompt.to_dict() for prompt in prompts]
    assert {"limner", "format", "created", "versions", "machine", "seconds"} <= set(record)
    assert record["licences"] == ["Apache-2.0"]
    names = {model["name"] for model in record["models"]}
    assert "table" in names
    paints = "painted" in name or verb in ("edit", "remove")
    if prompts == [RED]:
        assert record["result"]["objects"] == 1
        assert ("flood" in names) == paints
        made = run.edits or ([run.cutout] if run.cutout else [])
        assert bool(made) == (verb not in ("detect", "segment"))
        for edit in record["result"].get("edits", []):
            assert edit["outside_changed_pixels"] == 0
    else:
        assert record["result"]["objects"] == 0
        assert (run.edits, run.cutout, run.redaction) == ((), None, None)


@pytest.mark.parametrize("name", [name for name in VERBS if "edit" in name or "painted" in name])
def test_a_record_holds_the_settings_as_the_model_settled_them(
    doubles: dict[str, Any], name: str
) -> None:
    """The seed too, though none was given: without it nothing can be painted again."""
    run = run_verb(Session(), name, [RED])
    asked: InpaintOptions = VERBS[name][1].get("inpaint", InpaintOptions())
    settled = run.record.result["settings"]
    assert settled["seed"] == (asked.seed or 0)
    assert settled["num_images_per_prompt"] == (asked.num_images_per_prompt or 1) == len(run.edits)
    assert [edit.seed for edit in run.edits] == [settled["seed"] + k for k in range(len(run.edits))]


def test_a_job_is_the_same_only_for_the_same_request() -> None:
    session = Session()
    other_models = Session(models={"inpaint": "sd15-inpaint"})
    example = np.zeros((4, 4, 3), np.uint8)
    first, second = (Exemplar(example + k) for k in (0, 1))
    jobs = {
        "plain": session.job("remove", [BOXED]),
        "verb": session.job("cutout", [BOXED]),
        "prompt": session.job("remove", [CLICKED]),
        "two prompts": session.job("remove", [BOXED, CLICKED]),
        "mask": session.job("remove", [masked()]),
        "example": session.job("remove", [VisualPrompt(exemplar=first)]),
        "another example": session.job("remove", [VisualPrompt(exemplar=second)]),
        "setting": session.job("remove", [BOXED], edit=EditOptions(feather=3)),
        "seed": session.job("remove", [BOXED], inpaint=InpaintOptions(seed=1)),
        "threshold": session.job(
            "remove", [BOXED], finding=FindOptions(DetectOptions(threshold=0.5))
        ),
        "selection": session.job(
            "remove", [BOXED], finding=FindOptions(select=(parse_selection("largest"),))
        ),
        "models": other_models.job("remove", [BOXED]),
    }
    digests = {job.digest("input") for job in jobs.values()}
    assert len(digests) == len(jobs)
    assert jobs["plain"].digest("another input") not in digests
    assert Session().job("remove", [BOXED], edit=None).digest("input") in digests
    assert len(json.dumps(jobs["example"].prompts)) < 300, "an example by its digest, not pixels"


def test_a_record_keeps_what_was_said_of_the_input(tmp_path: Path, doubles: dict[str, Any]) -> None:
    path = tmp_path / "photo.jpg"  # a PNG by its bytes
    picture().save(path, format="PNG")
    run = Session().segment(path, [BOXED])
    assert any("PNG" in note for note in run.record.to_dict()["notes"])
