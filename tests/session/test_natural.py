"""Calls as people write them ask the same as the strict ones; what comes back can be looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from limner import (
    Box,
    Colour,
    DetectOptions,
    EditOptions,
    FindOptions,
    InpaintOptions,
    LimnerError,
    Point,
    Redaction,
    RedactOptions,
    Run,
    SegmentOptions,
    Session,
    Text,
    Verdict,
    VisualPrompt,
)
from limner.errors import ImageError, OptionError, OutputError, StillVisible
from limner.io.images import open_image
from limner.io.save import read_record
from limner.session import call
from tests.conftest import need_minis

ASTRONAUT = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.png"
PATCH = (60.0, 40.0, 130.0, 120.0)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.full((160, 200, 3), (40, 90, 160), np.uint8)
    pixels[50:110, 70:120] = (220, 60, 30)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


BOXED = VisualPrompt(box=Box(*PATCH))
SAME: dict[str, tuple[Callable[[Session, Any], Run], Callable[[Session, Any], Run]]] = {
    "a box": (lambda s, i: s.segment(i, PATCH), lambda s, i: s.segment(i, [BOXED])),
    "boxes": (
        lambda s, i: s.segment(i, boxes=[PATCH, (0, 0, 40, 40)]),
        lambda s, i: s.segment(i, [BOXED, VisualPrompt(box=Box(0, 0, 40, 40))]),
    ),
    "clicks": (
        lambda s, i: s.segment(i, points=[[95, 80], [10, 10]], labels=[1, 0]),
        lambda s, i: s.segment(
            i, [VisualPrompt(points=(Point(95, 80), Point(10, 10, foreground=False)))]
        ),
    ),
    "an array": (lambda s, i: s.segment(np.asarray(i), PATCH), lambda s, i: s.segment(i, [BOXED])),
    "floats": (
        lambda s, i: s.segment(np.asarray(i) / 255.0, PATCH),
        lambda s, i: s.segment(i, [BOXED]),
    ),
    "settings by name": (
        lambda s, i: s.segment(i, PATCH, iterations=2, select="largest"),
        lambda s, i: s.segment(
            i,
            [BOXED],
            finding=FindOptions(
                segment=SegmentOptions(iterations=2),
                select=call._selections("largest"),
            ),
        ),
    ),
    "a hole": (
        lambda s, i: s.remove(i, PATCH, dilate=3, method="telea"),
        lambda s, i: s.remove(
            i, [BOXED], edit=EditOptions(dilate=3), inpaint=InpaintOptions(method="telea")
        ),
    ),
    "a redaction": (
        lambda s, i: s.redact(i, PATCH, style="solid", colour="black", region="box"),
        lambda s, i: s.redact(
            i, [BOXED], redact=RedactOptions(style="solid", colour="black", region="box")
        ),
    ),
    "a background": (
        lambda s, i: s.background(i, PATCH, Colour("red"), feather=2),
        lambda s, i: s.background(i, [BOXED], Colour("red"), edit=EditOptions(feather=2)),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_loose_and_strict_calls_are_one_job(
    name: str, session: Session, picture: Image.Image
) -> None:
    """The same job, so that a store and a folder know them as the same; the same pixels."""
    loose, strict = (ask(session, picture) for ask in SAME[name])
    assert loose.record.job == strict.record.job
    assert len(loose.grounding) == len(strict.grounding) > 0
    assert np.array_equal(np.asarray(loose.image), np.asarray(strict.image))


def test_words_to_paint_are_a_text(session: Session) -> None:
    asked = call.strict("edit", "apple", {"guidance_scale": 7, "seed": 3}, paint="a red car")
    assert asked.prompts == (VisualPrompt(text=Text("apple")),)
    assert asked.settings["paint"] == Text("a red car")
    assert asked.settings["inpaint"] == InpaintOptions(guidance_scale=7, seed=3)
    both = call.strict(
        "edit", "a", {"seed": 3}, paint="b", inpaint=InpaintOptions(seed=1, strength=0.5)
    )
    assert both.settings["inpaint"] == InpaintOptions(seed=3, strength=0.5)


REFUSED: dict[str, tuple[Callable[[Session, Any], Any], type[LimnerError], str]] = {
    "guidance": (
        lambda s, i: s.edit(i, "apple", "a car", guidance=7),
        OptionError,
        "guidance_scale",
    ),
    "a seed to find with": (
        lambda s, i: s.detect(i, "face", seed=3),
        OptionError,
        "no setting 'seed'",
    ),
    "a misspelt one": (lambda s, i: s.segment(i, PATCH, treshold=0.3), OptionError, "threshold"),
    "out of range": (lambda s, i: s.detect(i, "face", threshold=7), OptionError, "threshold"),
    "nothing to paint": (lambda s, i: s.edit(i, PATCH), LimnerError, "words to paint"),
    "channels first": (
        lambda s, i: s.segment(np.zeros((3, 20, 30), np.uint8), PATCH),
        ImageError,
        "Channels come last",
    ),
    "floats to 255": (
        lambda s, i: s.segment(np.asarray(i).astype(float), PATCH),
        ImageError,
        "0 to 1; got 30 to 220",
    ),
    "no number": (
        lambda s, i: s.segment(np.full((4, 4), np.nan), PATCH),
        ImageError,
        "0 to 1",
    ),
    "a batch": (
        lambda s, i: s.segment(np.zeros((1, 4, 4, 3), np.uint8), PATCH),
        ImageError,
        "One picture at a time",
    ),
    "integers": (lambda s, i: s.segment(np.zeros((4, 4), int), PATCH), ImageError, "int64"),
    "no image at all": (lambda s, i: s.segment(7, PATCH), ImageError, "got int"),
    "a session's typo": (lambda s, i: Session(detct="haar"), OptionError, "mean detect"),
    "a mask of boxes": (
        lambda s, i: (
            s.detect(Path(__file__).parents[2] / "examples/photos/astronaut.png", "face").mask
        ),
        OptionError,
        "segment outlines",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_says_what_is(
    name: str, session: Session, picture: Image.Image
) -> None:
    ask, error, says = REFUSED[name]
    with pytest.raises(error, match=says):
        ask(session, picture)


def test_settings_by_name_are_all_fields_of_the_options() -> None:
    """What type checkers are told is what the options have: names and types."""
    told = get_type_hints(call.PaintSettings) | get_type_hints(call.RedactSettings)
    told |= get_type_hints(call.OutlineSettings) | get_type_hints(call.CutoutSettings)
    fields = {}
    for kind in (DetectOptions, SegmentOptions, *call.OPTIONS.values()):
        hints = get_type_hints(kind)
        fields |= {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    assert {name: told[name] for name in fields} == fields
    assert set(told) - set(fields) == {"points", "labels", "boxes", "select", "finding"}


def test_a_run_is_looked_at(session: Session, picture: Image.Image, tmp_path: Path) -> None:
    """A line, a picture, a table, arrays, a file with its record."""
    run = session.segment(picture, PATCH)
    assert repr(run) == "Run(segment of 200x160: 1 object)"
    assert run.mask.shape == (160, 200)
    assert run.masks.shape == (1, 160, 200)
    assert np.array_equal(run.masks[0], run.mask)
    assert run.boxes.shape == (1, 4)
    assert run.detections is run.grounding.detections
    html = run._repr_html_()
    assert html.count("<img") == 1
    assert f"<td>{int(run.mask.sum())}</td>" in html
    png = run._repr_png_()
    assert png is not None
    assert png.startswith(b"\x89PNG")
    removed = session.remove(picture, PATCH)
    assert "0 pixels changed outside" in repr(removed)
    assert removed._repr_html_().count("<img") == 2, "before and after"
    path = removed.save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_image(path).image), np.asarray(removed.image))
    record = read_record(path)
    assert record is not None
    assert record["verb"] == "remove"
    with pytest.raises(OutputError, match=r"a\.png"):
        removed.save(path)
    nothing = session.segment(picture, points=[[0, 0]], labels=[1], select="largest")
    assert nothing.masks.shape[1:] == (160, 200)


def test_groundings_and_edits_are_looked_at(
    session: Session, picture: Image.Image, tmp_path: Path
) -> None:
    """As runs are: one line, a picture, a table, a file that replaces nothing."""
    run = session.remove(picture, PATCH)
    grounding, edit = run.grounding, run.edits[0]
    assert repr(grounding) == "Grounding(1 object in 200x160)"
    assert "0 pixels changed outside" in repr(edit)
    assert "\n" not in repr(edit)
    area = int(grounding.mask.sum())
    assert f"<td>{area}</td>" in grounding._repr_html_()
    for value in (grounding, edit):
        assert value._repr_png_().startswith(b"\x89PNG")
        path = value.save(tmp_path / f"{type(value).__name__}.png")
        assert np.array_equal(np.asarray(open_image(path).image), np.asarray(value.image))
        with pytest.raises(OutputError, match="png"):
            value.save(path)
    drawn = np.asarray(grounding.image).astype(int)
    assert (np.ptp(drawn, axis=2)[grounding.mask] > 0).any(), "tinted where something is"
    nothing = dataclasses.replace(grounding, detections=sv.Detections.empty())
    assert repr(nothing) == "Grounding(0 objects in 200x160)"
    assert "<td>" not in nothing._repr_html_()


def test_labels_are_words_and_no_markup(session: Session, picture: Image.Image) -> None:
    named = session.segment(picture, PATCH)
    named.grounding.detections.data["class_name"] = np.array(["<script>alert(1)</script>"])
    assert "<script>" not in named._repr_html_()


def replaced(redaction: Redaction) -> Redaction:
    """The same, as if its check had found what was to be hidden."""
    seen = sv.Detections(np.array([[1.0, 1, 5, 5]]), data={"class_name": np.array(["face"])})
    return dataclasses.replace(redaction, verdict=Verdict(seen, sv.Detections.empty()))


def test_a_refused_redaction_shows_and_saves_nothing(
    session: Session, picture: Image.Image, tmp_path: Path
) -> None:
    run = session.redact(picture, PATCH)
    assert run.redaction is not None
    refused = dataclasses.replace(run, redaction=replaced(run.redaction))
    assert refused._repr_png_() is None
    assert "<img" not in refused._repr_html_()
    for look in (lambda: refused.image, lambda: refused.save(tmp_path / "x.png")):
        with pytest.raises(StillVisible):
            look()
    assert list(tmp_path.iterdir()) == []
    assert run._repr_html_().count("<img") == 1, "never what was there before"


def test_a_caption_is_a_sentence(picture: Image.Image) -> None:
    """Of any image that verbs take."""
    need_minis("mini-blip")
    sentence = Session(profile="mini").caption(np.asarray(picture))
    assert sentence == Session(profile="mini").caption(picture)
    assert len(sentence.split()) > 1


def test_models_by_name() -> None:
    by_name = Session(detect="haar", segment="grabcut").models.names
    assert by_name == Session(models={"detect": "haar", "segment": "grabcut"}).models.names
