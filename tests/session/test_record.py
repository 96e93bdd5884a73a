"""Every verb of a session with a store leaves a run; what the store can't do fails no verb."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner import pipeline
from limner.errors import ImageError, LimnerError, OptionError, StoreError
from limner.options import EditOptions, RedactOptions
from limner.pipeline import background
from limner.prompts import Box, Point, VisualPrompt
from limner.runs.entries import Labels
from limner.runs.store import Store
from limner.session import Run, Session, record

BOXED = VisualPrompt(box=Box(10, 8, 34, 30))
CLICKED = VisualPrompt(points=(Point(20, 20),))


def picture() -> Image.Image:
    """A red patch on grain, 64 x 48."""
    pixels = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    pixels[8:30, 10:34] = (255, 0, 0)
    return Image.fromarray(pixels)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    picture().save(path)
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "store")
    yield store
    store.close()


VERBS: dict[str, Callable[[Session, Any], Run]] = {
    "segment": lambda session, image: session.segment(image, [CLICKED]),
    "remove": lambda session, image: session.remove(image, [BOXED]),
    "cutout": lambda session, image: session.cutout(image, find=[BOXED]),
    "background": lambda session, image: session.background(image, [BOXED], background.Blur(3)),
    "redact": lambda session, image: session.redact(image, [BOXED], redact=RedactOptions()),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_holds_what_was_asked_what_answered_and_what_came_out(
    verb: str, kept: Store, photo: Path
) -> None:
    run = VERBS[verb](Session(store=kept, labels=Labels(("cup",))), photo)
    assert run.id is not None
    entry = kept.get(run.id)
    assert (entry.row.verb, entry.row.status, entry.row.tags) == (verb, "done", ("cup",))
    assert entry.record == json.loads(json.dumps(run.record.to_dict()))
    assert entry.job == run.record.to_dict()["job"], "known before the run, and the same after it"
    assert entry.row.models == tuple(model["name"] for model in entry.record["models"])
    assert entry.row.input_path == str(photo)
    assert entry.row.seconds is not None
    assert entry.peak_bytes is not None
    assert entry.peak_bytes > 10_000_000
    assert entry.asked["session"]["profile"] == "classical"
    roles = {file.role for file in entry.files}
    assert {"picture", "mask", "coco"} <= roles
    (made,) = entry.of_role("picture")
    path = kept.files.path(made.name)
    assert path is not None
    with Image.open(path) as opened:
        assert opened.size == (64, 48)
        if run.edits:
            assert np.array_equal(np.asarray(opened), np.asarray(run.edits[0].image))


def test_the_input_is_copied_except_a_redactions(kept: Store, photo: Path) -> None:
    """The file byte for byte, once for many runs; what is to be hidden isn't laid elsewhere too."""
    session = Session(store=kept)
    for verb in ("segment", "cutout"):
        VERBS[verb](session, photo)
        (copy,) = kept.get("latest").of_role("input")
        assert kept.files.load(copy.name) == photo.read_bytes()
        assert copy.digest == kept.get("latest").input_digest
    VERBS["redact"](session, photo)
    assert kept.get("latest").of_role("input") == ()


def test_a_picture_in_memory_is_kept_as_its_pixels(kept: Store) -> None:
    VERBS["segment"](Session(store=kept), picture())
    (copy,) = kept.get("latest").of_role("input")
    path = kept.files.path(copy.name)
    assert path is not None
    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(opened), np.asarray(picture()))


def test_large_inputs_are_left_where_they_are(tmp_path: Path, photo: Path) -> None:
    store = Store.open(tmp_path / "small", largest_input=100)
    VERBS["segment"](Session(store=store), photo)
    assert store.get("latest").of_role("input") == ()
    store.close()


def test_a_verb_that_fails_leaves_a_failed_run_with_its_sentence(kept: Store, photo: Path) -> None:
    with pytest.raises(OptionError):
        Session(store=kept).remove(photo, [])
    entry = kept.get("latest")
    assert entry.row.status == "failed"
    assert entry.error is not None
    assert "Nothing was asked for" in entry.error


def test_an_interrupted_verb_leaves_a_failed_run(
    kept: Store, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "cut_out", stop)
    with pytest.raises(KeyboardInterrupt):
        VERBS["cutout"](Session(store=kept), photo)
    assert kept.get("latest").row.status == "failed"
    assert kept.get("latest").error == "KeyboardInterrupt"


def test_what_cannot_be_opened_makes_no_run(kept: Store) -> None:
    with pytest.raises(ImageError):
        VERBS["segment"](Session(store=kept), "none.png")
    assert kept.rows() == []


def test_without_a_store_nothing_is_written(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert VERBS["segment"](Session(), photo).id is None
    assert list(tmp_path.iterdir()) == [photo]


def _newer(folder: Path) -> None:
    store = Store.open(folder)
    store.close()
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    connection.close()


def _not_a_database(folder: Path) -> None:
    folder.mkdir()
    (folder / "runs.db").write_text("a letter, and no database " * 100)


def _no_folder_for_files(folder: Path) -> None:
    folder.mkdir()
    (folder / "files").write_text("a file where the folder should be")


SPOILT = {
    "newer": (_newer, "newer limner"),
    "not a database": (_not_a_database, "another kind"),
    "no place for files": (_no_folder_for_files, "file"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_store_that_fails_is_said_once_and_fails_no_verb(
    spoil: str, tmp_path: Path, photo: Path
) -> None:
    """The result is the same as without a store, over several runs."""
    make, reason = SPOILT[spoil]
    make(tmp_path / "spoilt")
    said: list[str] = []
    session = Session(store=tmp_path / "spoilt", say=said.append)
    for _ in range(record.FAILURES + 1):
        run = VERBS["remove"](session, photo)
        assert run.id is None
        assert run.edits[0].outside_changed_pixels == 0
    (sentence,) = said
    assert sentence.startswith("This run isn't recorded")
    assert reason in sentence
    assert not session.recording.is_on, "each further try might wait for a lock"


def test_a_store_lost_between_start_and_end_is_said_once(
    kept: Store, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk becomes full meanwhile: the verb ends well, and the next one is recorded."""

    def full(*args: object) -> None:
        raise StoreError("The disk is full.")

    said: list[str] = []
    monkeypatch.setattr(Store, "finish", full)
    run = VERBS["cutout"](Session(store=kept, say=said.append), photo)
    assert run.cutout is not None
    assert said == ["This run isn't recorded, the rest of it is unharmed: The disk is full."]
    monkeypatch.undo()
    VERBS["cutout"](Session(store=kept, say=said.append), photo)
    assert kept.get("latest").row.status == "done"


def test_prompts_that_can_be_walked_through_once_are_not_used_up(kept: Store, photo: Path) -> None:
    """A generator: recording looks at the prompts too, and must leave them to the verb."""
    run = Session(store=kept).cutout(photo, (each for each in [BOXED]))  # type: ignore[arg-type]
    assert len(run.grounding) == 1
    assert len(kept.get(str(run.id)).asked["prompts"]) == 1


def test_a_bug_of_recording_costs_the_record_and_not_the_result(
    kept: Store, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise TypeError("no JSON")

    said: list[str] = []
    monkeypatch.setattr(Store, "begin", broken)
    assert VERBS["cutout"](Session(store=kept, say=said.append), photo).cutout is not None
    (sentence,) = said
    assert "TypeError: no JSON" in sentence


def test_a_refused_redaction_keeps_no_picture_of_it(
    kept: Store, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its check still sees must not lie in the store either."""
    from limner.pipeline import Redaction

    monkeypatch.setattr(Redaction, "verified", property(lambda self: False))
    VERBS["redact"](Session(store=kept), photo)
    assert kept.get("latest").of_role("picture") == ()


def test_the_signature_of_a_verb_is_its_own() -> None:
    """Help and editors show the arguments, and wrong ones are refused as ever."""
    import inspect

    assert list(inspect.signature(Session.edit).parameters)[:4] == [
        "self",
        "image",
        "find",
        "paint",
    ]
    with pytest.raises(OptionError, match="colour"):
        Session().cutout("x.png", [BOXED], colour="red")  # type: ignore[call-arg]
    with pytest.raises(LimnerError):
        Session().cutout("none.png", [BOXED], edit=EditOptions(context=0.1))
