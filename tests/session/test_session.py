"""A session from pictures to results: what it takes, what it does once, what redaction covers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import (
    ImageError,
    OptionError,
)
from limner.io import images
from limner.models.classical.adapters import GrabCut
from limner.options import (
    DetectOptions,
    RedactOptions,
)
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.registry import pool
from limner.session import FindOptions, Session, Source
from limner.session.cache.stages import EMBEDDINGS_KEPT
from tests.models.tiny_owlvit import noise, save_tiny_owlvit
from tests.models.tiny_sam import save_tiny_sam
from tests.session.doubles import (
    BOXED,
    CLICKED,
    HEIGHT,
    PATCH,
    RED,
    WIDTH,
    masked,
    picture,
)

# --- inputs -----------------------------------------------------------------------------


MODES = [
    "1",
    "L",
    "LA",
    "La",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "RGBa",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "I;16",
    "I;16B",
]


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_in_memory_may_have_any_mode(doubles: dict[str, Any], mode: str) -> None:
    if mode.startswith(("I", "F")):
        ramp = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) % 251
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16, "I;16B": ">u2"}[mode]
        given = Image.fromarray(ramp.astype(kind))
        assert given.mode == mode
    elif mode in ("RGBa", "La", "PA"):
        given = picture().convert({"RGBa": "RGBA", "La": "LA", "PA": "P"}[mode]).convert(mode)
    elif mode == "LAB":
        given = Image.new("LAB", (WIDTH, HEIGHT), (120, 10, 10))
    else:
        given = picture().convert(mode)
    source = Source.open(given)
    assert (source.image.mode, source.image.size) == ("RGB", (WIDTH, HEIGHT))
    run = Session().segment(given, [BOXED])
    assert run.record.input["digest"] == source.digest == images.digest(source.image)
    assert run.grounding.mask.shape == (HEIGHT, WIDTH)


def test_a_picture_in_memory_becomes_rgb_as_its_file_would(tmp_path: Path) -> None:
    """Transparent parts on white, not on whatever colour lies below them."""
    pixels = np.dstack([np.asarray(picture()), np.zeros((HEIGHT, WIDTH), np.uint8)])
    clear = Image.fromarray(pixels)
    clear.save(tmp_path / "clear.png")
    opened, held = Source.open(tmp_path / "clear.png"), Source.open(clear)
    assert held.image.tobytes() == opened.image.tobytes()
    assert held.image.getcolors() == [(WIDTH * HEIGHT, (255, 255, 255))]
    assert held.notes == opened.notes != ()


def test_nothing_attached_to_a_picture_goes_into_a_result(doubles: dict[str, Any]) -> None:
    """Where it was taken, for one: Pillow would write it into the file."""
    given = picture()
    given.info = {"exif": b"Exif\0\0", "comment": "home"}
    (edit,) = Session().remove(given, [BOXED]).edits
    assert edit.image.info == {}
    assert given.info, "the caller's own keeps it"


def test_a_file_is_known_by_its_bytes(tmp_path: Path, doubles: dict[str, Any]) -> None:
    path = tmp_path / "photo.png"
    picture().save(path)
    run = Session().segment(path, [BOXED])
    assert run.record.input == {
        "path": str(path),
        "digest": images.open_image(path).digest,
        "size_wh": [WIDTH, HEIGHT],
    }
    again = Session().segment(run.source, [BOXED])
    assert again.record.input == run.record.input


def test_no_usable_image_is_an_error_before_anything_is_loaded(tmp_path: Path) -> None:
    session = Session(models={"segment": str(tmp_path / "no such model")})
    with pytest.raises(ImageError):
        session.segment(tmp_path / "none.png", [BOXED])
    with pytest.raises(ImageError, match="nothing to see"):
        session.segment(Image.new("RGB", (0, 5)), [BOXED])


# --- once -------------------------------------------------------------------------------


def test_an_image_is_embedded_once_by_content(doubles: dict[str, Any]) -> None:
    """Whatever lies between, whichever verb asks, and also as another object."""
    session, segmenter = Session(), doubles["segment"]
    session.segment(picture(), [BOXED])
    session.segment(picture(), [CLICKED, RED])
    session.remove(picture(), [BOXED])
    assert len(segmenter.embedded) == 1
    session.segment(picture(1), [BOXED])
    session.cutout(picture(), [CLICKED])
    assert segmenter.embedded == [images.digest(picture()), images.digest(picture(1))]
    assert len(segmenter.asked) == 5


def test_only_the_latest_embeddings_are_kept(doubles: dict[str, Any]) -> None:
    session, segmenter = Session(), doubles["segment"]
    for seed in range(EMBEDDINGS_KEPT):
        session.segment(picture(seed), [BOXED])
    session.segment(picture(0), [CLICKED])  # now the most recently used
    session.segment(picture(99), [BOXED])  # pushes out 1, the least
    before = len(segmenter.embedded)
    assert before == EMBEDDINGS_KEPT + 1
    session.segment(picture(0), [RED])
    assert len(segmenter.embedded) == before
    session.segment(picture(1), [CLICKED])
    assert len(segmenter.embedded) == before + 1
    assert len(session.stages._embeddings) == EMBEDDINGS_KEPT


def test_covering_boxes_takes_no_place_among_the_embeddings(doubles: dict[str, Any]) -> None:
    session = Session()
    session.segment(picture(), [BOXED])
    for seed in range(EMBEDDINGS_KEPT):
        session.redact(picture(seed), [BOXED])
    session.segment(picture(), [BOXED])
    assert len(doubles["segment"].embedded) == 1


def test_a_model_is_loaded_once_and_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = pool.load

    def counting(weights: Any, *rest: Any) -> Any:
        loaded.append(weights.ref.name)
        return load(weights, *rest)

    monkeypatch.setattr(pool, "load", counting)
    embedded: list[Any] = []
    embed = GrabCut.embed
    monkeypatch.setattr(GrabCut, "embed", lambda s, i: embedded.append(i) or embed(s, i))
    session = Session()
    assert loaded == []
    for _ in range(2):
        session.segment(picture(), [BOXED])
        session.cutout(picture(), [CLICKED])
    assert loaded == ["grabcut"]
    session.remove(picture(), [BOXED])
    assert loaded == ["grabcut", "opencv-inpaint"]
    assert len(embedded) == 1


# --- what redaction covers --------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompts", "region", "outlined"),
    [
        ([RED], None, False),
        ([BOXED], None, False),
        ([RED, BOXED], None, False),
        ([CLICKED], None, True),
        ([masked()], None, False),
        ([BOXED, CLICKED], None, True),
        ([VisualPrompt(box=Box(*PATCH), points=(Point(20, 20),))], None, True),
        ([VisualPrompt(text=Text("red"), points=(Point(20, 20),))], None, False),
        ([RED], "outline", True),
        ([BOXED], "outline", True),
        ([BOXED], "box", False),
    ],
    ids=[
        "phrase",
        "box",
        "phrase and box",
        "click",
        "mask, as it was drawn",
        "a box and a click apart",
        "a click within its box",
        "a phrase with a click",
        "phrase, outline wanted",
        "box, outline wanted",
        "box wanted",
    ],
)
def test_boxes_are_covered_where_there_are_any_and_outlines_otherwise(
    doubles: dict[str, Any], prompts: list[VisualPrompt], region: str | None, outlined: bool
) -> None:
    redact = RedactOptions(region=region, style="solid")
    run = Session().redact(picture(), prompts, redact=redact)
    assert bool(doubles["segment"].asked) == outlined
    assert len(run.grounding) == len(prompts)
    assert run.redaction is not None
    words = any(prompt.text for prompt in prompts)
    assert run.redaction.verified is (True if words else None)
    tasks = {model["name"] for model in run.record.models}
    assert tasks == ({"fill"} if outlined else set()) | ({"table"} if words else set())


@pytest.mark.parametrize("prompt", [CLICKED, masked()], ids=["click", "mask"])
def test_a_box_cannot_be_covered_where_none_was_shown(
    doubles: dict[str, Any], prompt: VisualPrompt
) -> None:
    with pytest.raises(OptionError, match="region box needs"):
        Session().redact(picture(), [prompt], redact=RedactOptions(region="box"))


def test_a_redaction_that_failed_says_so(doubles: dict[str, Any]) -> None:
    """Red painted over a red patch; that is for the caller to judge."""
    run = Session().redact(picture(), [RED], redact=RedactOptions(dilate=0, colour="red"))
    assert run.redaction is not None
    assert run.redaction.verified is False
    assert run.record.result["verified"] is False


def test_what_else_must_not_be_seen_is_looked_for_too(doubles: dict[str, Any]) -> None:
    run = Session().redact(
        picture(), [BOXED], redact=RedactOptions(dilate=0, colour="red"), verify=[RED]
    )
    assert run.redaction is not None
    assert run.redaction.verified is False
    assert doubles["detect"].phrases == ["red"]


# --- end to end, from folders of the user's own -----------------------------------------


def test_local_folders_detect_and_segment_end_to_end(tmp_path: Path) -> None:
    """Real classes at tiny size, by path, with nothing in the catalog of them."""
    owl, sam = save_tiny_owlvit(tmp_path / "my-owl"), save_tiny_sam(tmp_path / "my-sam")
    session = Session(models={"detect": str(owl), "segment": str(sam)}, dtype="float32")
    photo = noise(150, 100)
    finding = FindOptions(DetectOptions(threshold=0.0, max_detections=3))
    dog = VisualPrompt(text=Text("dog"))
    run = session.segment(photo, [dog, VisualPrompt(points=(Point(40, 50),))], finding=finding)
    rows = run.grounding.detections
    assert list(rows.data["prompt_index"]) == [0, 0, 0, 1]
    assert list(rows.data["class_name"]) == ["dog", "dog", "dog", "point"]
    assert rows.mask is not None
    assert rows.mask.shape == (4, 100, 150)
    record = json.loads(json.dumps(run.record.to_dict()))
    assert [model["name"] for model in record["models"]] == ["my-owl", "my-sam"]
    assert [model["family"] for model in record["models"]] == ["owlvit", "sam"]
    assert all(len(digest) == 64 for m in record["models"] for digest in m["files"].values())
    assert run.record.job == session.job(
        "segment", [dog, VisualPrompt(points=(Point(40, 50),))], finding=finding
    )
    alone = session.detect(photo, [dog], finding=finding)
    assert list(alone.grounding.detections.data["class_name"]) == ["dog"] * 3
    assert alone.grounding.detections.mask is None
    assert [model["name"] for model in alone.record.models] == ["my-owl"]
