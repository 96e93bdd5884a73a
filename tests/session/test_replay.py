"""A run done again gives the same pixels, for every verb and kind of prompt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import StoreError
from limner.ops.selection import parse_selection
from limner.options import (
    DetectOptions,
    EditOptions,
    EverythingOptions,
    InpaintOptions,
    RedactOptions,
    SegmentOptions,
)
from limner.pipeline import Extension, background
from limner.prompts import Box, Exemplar, Mask, Point, Text, VisualPrompt
from limner.prompts.syntax import Length
from limner.runs.entries import INPUT
from limner.runs.store import Store
from limner.session import FindOptions, Run, Session
from limner.session.call_json import Call
from limner.session.replay import replay
from tests.models.tiny_sam import save_tiny_sam
from tests.models.tiny_sd import save_tiny_sd
from tests.session.test_record import BOXED, CLICKED, VERBS, kept, photo, picture

__all__ = ["kept", "photo"]

FACE = VisualPrompt(text=Text("face"))
MASKED = VisualPrompt(mask=Mask(np.eye(48, 64, dtype=bool)))
PURPLE = Image.new("RGB", (30, 20), "purple")
FINDING = FindOptions(
    DetectOptions(threshold=0.5, phrase_thresholds=(("face", 0.2),)),
    SegmentOptions(iterations=2),
    (parse_selection("nearest:3,4:2"), parse_selection("largest")),
)

MORE: dict[str, Callable[[Session, Any], Run]] = {
    "two objects": lambda session, image: session.segment(image, [CLICKED, BOXED], finding=FINDING),
    "a mask": lambda session, image: session.cutout(
        image, [MASKED], edit=EditOptions(dilate=2, feather=3)
    ),
    "a trimmed cut-out": lambda session, image: session.cutout(
        image, [MASKED], trim=True, pad="10%", square=True
    ),
    "a colour": lambda session, image: session.background(image, [BOXED], background.Colour("red")),
    "a picture behind": lambda session, image: session.background(
        image, [BOXED], background.Picture(PURPLE, "digest")
    ),
    "a classical fill": lambda session, image: session.remove(
        image, [BOXED], inpaint=InpaintOptions(method="telea", radius=3)
    ),
    "a larger canvas": lambda session, image: session.extend(
        image,
        Extension(left=Length(24), top=Length(25, percent=True)),
        inpaint=InpaintOptions(method="telea"),
        edit=EditOptions(dilate=4, feather=4),
    ),
    "an outline hidden": lambda session, image: session.redact(
        image, [CLICKED], redact=RedactOptions(region="outline", style="solid")
    ),
}


@pytest.mark.parametrize("verb", [*VERBS, *MORE])
def test_a_classical_run_done_again_differs_in_no_pixel(
    verb: str, kept: Store, photo: Path
) -> None:
    run = {**VERBS, **MORE}[verb](Session(store=kept), photo)
    again = replay(kept, str(run.id))
    assert (again.pixels, again.same_finds, again.changed) == (0, True, ())
    assert "picture 0" in again.differing, "a picture was compared"
    second = kept.get(str(again.run.id))
    assert second.labels.parent == run.id
    assert {f.name for f in second.files if f.role != INPUT} == {
        f.name for f in kept.get(str(run.id)).files if f.role != INPUT
    }


@pytest.mark.slow
def test_words_done_again(kept: Store, astronaut: Path) -> None:
    """A face by name: detected, and hidden and looked for again, with settings for its detector."""
    finding = FindOptions(
        DetectOptions(phrase_thresholds=(("face", 0.1),)), select=FINDING.select[1:]
    )
    session = Session(store=kept)
    runs = (
        session.detect(astronaut, [FACE], finding=finding),
        session.redact(astronaut, [FACE], verify=[VisualPrompt(text=Text("eye"))]),
    )
    for run in runs:
        assert len(run.grounding) == 1
        again = replay(kept, str(run.id), record=False)
        assert (again.pixels, again.same_finds) == (0, True)
        assert again.run.id is None


def test_painted_runs_draw_the_same_noise_again(kept: Store, photo: Path, tmp_path: Path) -> None:
    """No seed was given: the one that was drawn is in the record."""
    session = Session(store=kept, models={"inpaint": str(save_tiny_sd(tmp_path / "sd"))})
    settings = InpaintOptions(num_inference_steps=2, num_images_per_prompt=2)
    runs = (
        session.edit(photo, [BOXED], Text("a cat", "a dog"), inpaint=settings),
        session.background(photo, [BOXED], Text("a beach"), inpaint=settings),
    )
    for run in runs:
        again = replay(kept, str(run.id))
        assert set(again.differing) == {"mask 0", "picture 0", "picture 1"}
        assert (again.pixels, again.same_finds, again.changed) == (0, True, ())


def test_everything_mode_done_again(kept: Store, photo: Path, tmp_path: Path) -> None:
    session = Session(store=kept, models={"segment": str(save_tiny_sam(tmp_path / "sam"))})
    options = EverythingOptions(points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    run = session.segment(photo, [], everything=options)
    again = replay(kept, str(run.id))
    assert (again.pixels, again.same_finds) == (0, True)


def test_a_call_comes_back_equal() -> None:
    """Every kind of prompt and setting survives being written down."""
    example = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    prompts = (
        VisualPrompt(text=Text("dog", "cat"), points=(Point(1, 2), Point(3, 4, foreground=False))),
        VisualPrompt(exemplar=Exemplar(example, Box(0, 0, 2, 2))),
        MASKED,
        BOXED,
    )
    settings = {
        "paint": Text("a", "b"),
        "inpaint": InpaintOptions(seed=3),
        "edit": EditOptions(dilate=1),
        "redact": RedactOptions(),
        "everything": EverythingOptions(),
        "verify": (FACE, VisualPrompt(exemplar=Exemplar(example))),
        "behind": background.Blur(3.5),
    }
    call = Call(prompts, FINDING, settings)
    files: dict[str, bytes] = {}

    def keep(role: str, data: bytes) -> str:
        files[f"{role}{len(files)}"] = data
        return list(files)[-1]

    again = Call.from_dict(call.to_dict(keep), files.__getitem__)
    assert again == call
    assert list(files) == ["exemplar0", "exemplar1"]


def test_a_changed_result_is_counted(kept: Store, photo: Path) -> None:
    """If the machine answered otherwise now: the count is of the pixels that differ."""
    run = VERBS["cutout"](Session(store=kept), photo)
    entry = kept.get(str(run.id))
    (old,) = entry.of_role("picture")
    path = kept.files.path(old.name)
    assert path is not None
    with Image.open(path) as opened:
        other = opened.copy()
    for x in range(3):
        other.putpixel((x, 0), (1, 2, 3, 4))
    other.save(tmp := path.parent / "other.png")
    name = kept.files.save(tmp.read_bytes(), ".png")
    with kept.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE run_files SET name = '{name}' WHERE role = 'picture'")
    again = replay(kept, str(run.id))
    assert dict(again.differing) == {"mask 0": 0, "picture 0": 3}


def test_a_redaction_is_replayed_from_where_its_input_lay(kept: Store, photo: Path) -> None:
    run = VERBS["redact"](Session(store=kept), photo)
    assert replay(kept, str(run.id)).pixels == 0
    picture().transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photo)
    with pytest.raises(StoreError, match="another picture by now"):
        replay(kept, str(run.id))
    photo.unlink()
    with pytest.raises(StoreError, match="wasn't copied, and isn't at"):
        replay(kept, str(run.id))


def test_what_was_never_done_is_not_replayed(kept: Store, photo: Path) -> None:
    with pytest.raises(Exception, match="Nothing was asked"):
        Session(store=kept).remove(photo, [])
    with pytest.raises(StoreError, match="failed: only a run that was done"):
        replay(kept, "latest")
