"""Models by name, verbs and records: what a session promises to the command line and a notebook."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import (
    ImageError,
    LicenceRefused,
    ModelError,
    OptionError,
    PromptError,
    UnknownModel,
    UnsupportedPrompt,
    WeightsMissing,
)
from limner.io import images
from limner.models.classical.adapters import GrabCut
from limner.ops.selection import parse_selection
from limner.options import (
    DetectOptions,
    EditOptions,
    EverythingOptions,
    InpaintOptions,
    RedactOptions,
    SegmentOptions,
)
from limner.pipeline import background
from limner.prompts import Box, Exemplar, Mask, Point, PromptKind, Text, VisualPrompt
from limner.protocols import ModelRef, check_accepts
from limner.registry import lock, pool, store
from limner.session import FindOptions, Run, Session, Source
from limner.session.cache.stages import EMBEDDINGS_KEPT
from limner.session.model_slots import Models
from tests.models.tiny_owlvit import noise, save_tiny_owlvit
from tests.models.tiny_sam import save_tiny_sam
from tests.pipeline.doubles import ColourDetector, FillSegmenter, FloodInpainter

WIDTH, HEIGHT = 64, 48
PATCH = (10, 8, 34, 30)
RED = VisualPrompt(text=Text("red"))
BOXED = VisualPrompt(box=Box(*PATCH))
CLICKED = VisualPrompt(points=(Point(20, 20),))
MISSING = VisualPrompt(text=Text("lime"))


def picture(seed: int = 0) -> Image.Image:
    """A red patch on grain."""
    pixels = np.random.default_rng(seed).integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    x0, y0, x1, y1 = PATCH
    pixels[y0:y1, x0:x1] = (255, 0, 0)
    return Image.fromarray(pixels)


def masked() -> VisualPrompt:
    array = np.zeros((HEIGHT, WIDTH), dtype=bool)
    array[20:30, 20:40] = True
    return VisualPrompt(mask=Mask(array))


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand-ins by task that answer in the place of whatever a session names."""
    made = {"detect": ColourDetector(), "segment": FillSegmenter(), "inpaint": FloodInpainter()}

    def load(self: Models, task: str, kind: type) -> Any:
        assert isinstance(made[task], kind)
        self.answered[task] = made[task].ref
        return made[task]

    def answering(self: Models, task: str) -> ModelRef:
        self.answered[task] = made[task].ref
        return self.answered[task]

    monkeypatch.setattr(Models, "_load", load)
    monkeypatch.setattr(Models, "answering", answering)
    return made


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


# --- jobs and records -------------------------------------------------------------------

FINDING = FindOptions(
    DetectOptions(threshold=0.2, phrase_thresholds=(("red", 0.3),)),
    SegmentOptions(),
    (parse_selection("largest"), parse_selection("nearest:3,4:2")),
)
EDIT = EditOptions(feather=2, dilate=1, context=1)
INPAINT = InpaintOptions(seed=5, num_images_per_prompt=2)
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


# --- refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Session(models={"paint": "x"}),
            OptionError,
            "segment, inpaint, remove, refine, encode, caption; got paint",
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


# --- which models are meant -------------------------------------------------------------


def copied(home: Path, name: str, weights: bytes = b"weights") -> Path:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam"}')
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def identity(segment: str, **how: Any) -> str:
    return Session(models={"segment": segment}, **how).models.identities()["segment"]


def test_models_are_known_by_task_and_only_those_asked_for() -> None:
    models = Session().models
    known = {"segment": "grabcut", "detect": "haar", "inpaint": "opencv-inpaint"}
    assert models.identities() == known
    assert models.identities(["detect", "caption"]) == {"detect": "haar"}


def test_a_pulled_model_is_known_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = set()
    for weights in (b"weights", b"others!"):
        home = tmp_path / weights.decode()
        monkeypatch.setenv("LIMNER_HOME", str(home))
        assert identity("sam-vit-base") == "sam-vit-base", "nothing pulled"
        copied(home, "sam-vit-base", weights)
        store.find("sam-vit-base")
        with monkeypatch.context() as patch:
            patch.setattr(lock, "marks", lambda folder: pytest.fail("hashed"))
            known.add(identity("sam-vit-base"))
            assert identity("facebook/sam-vit-base") in known, "another name of the same"
    assert len(known) == 2
    assert all(text.startswith("sam-vit-base@") for text in known)


def test_a_copied_model_is_known_by_its_record_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    folder = copied(tmp_path, "sam-vit-base")
    unused = identity("sam-vit-base")
    assert unused.startswith("sam-vit-base@")
    (folder / "model.safetensors").write_bytes(b"more weights")
    assert identity("sam-vit-base") != unused
    made = lock.LockEntry("facebook/sam-vit-base", "c0ffee", lock.now(), lock.marks(folder))
    (folder / lock.RECORD).write_text(json.dumps(made.to_dict()))
    recorded = identity("sam-vit-base")
    store.find("sam-vit-base")
    assert identity("sam-vit-base") == recorded


@pytest.mark.parametrize("part", ["model.safetensors", "config.json"])
def test_a_local_folder_is_known_by_its_files(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(tmp_path, "mine")
    before = identity(str(folder))
    assert before.startswith(f"{folder}@")
    assert identity(str(folder)) == before
    monkeypatch.chdir(folder.parent)
    assert identity("./mine") == before, "the same folder by another path"
    os.utime(folder / part, ns=(1, 1))
    touched = identity(str(folder))
    (folder / part).write_bytes(b"more")
    os.utime(folder / part, ns=(1, 1))
    assert len({before, touched, identity(str(folder))}) == 3


def test_a_chosen_device_or_format_is_part_of_it(tmp_path: Path) -> None:
    folder = str(copied(tmp_path, "mine"))
    plain = identity(folder)
    assert identity(folder, device="cpu") == f"{plain} cpu"
    assert identity(folder, device="cpu", dtype="bf16") == f"{plain} cpu bfloat16"
    assert identity(folder, dtype="bfloat16") == identity(folder, dtype="bf16")
    assert identity("grabcut", device="cpu") == "grabcut", "no torch, no device"


@pytest.mark.parametrize(
    "name", ["", "/", "no-such-model", "./" + "x" * 300, "~nobody-here/sam", "./a\0b", "./none"]
)
def test_what_models_are_meant_is_never_refused(name: str) -> None:
    assert isinstance(identity(name), str)


def test_a_broken_lock_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path))
    copied(tmp_path, "sam-vit-base")
    (tmp_path / lock.LOCK).write_text("{")
    assert identity("sam-vit-base") == "sam-vit-base"


SAME = (picture(), [BOXED])


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda s: s.segment(picture(), []), OptionError, "Nothing was asked"),
        (lambda s: s.detect(picture(), []), OptionError, "Nothing was asked"),
        (lambda s: s.redact(picture(), []), OptionError, "Nothing was asked"),
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
