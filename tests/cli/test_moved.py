"""A project that was moved is replayed: its inputs are found by their content."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .command import Command

BOX = "10,8,34,30"


@pytest.fixture
def project(limner: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A redaction, whose input is in no store, in a folder that was moved meanwhile."""
    monkeypatch.delenv("LIMNER_STORE", raising=False)
    before = tmp_path / "before"
    (before / "in").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(before / "in" / "photo.png")
    monkeypatch.chdir(before)
    limner("redact", "in/photo.png", "--box", BOX, "-o", "r.png")
    monkeypatch.chdir(tmp_path)
    before.rename(tmp_path / "after")
    monkeypatch.chdir(tmp_path / "after")
    return tmp_path / "after"


def test_a_moved_project_is_replayed(limner: Command, project: Path) -> None:
    """Also from elsewhere, by the store's place; the new place is said."""
    said = limner("runs", "replay", "latest", "--no-record")
    assert "0 pixels differ" in said.stdout
    assert "photo.png by now" in said.stderr


def test_an_input_that_was_renamed_is_found(limner: Command, project: Path) -> None:
    Path("in/photo.png").rename("in/other name.png")
    assert "0 pixels differ" in limner("runs", "replay", "latest", "--no-record").stdout


def test_inputs_names_where_it_lies_now(limner: Command, project: Path, tmp_path: Path) -> None:
    """A file or a folder; another picture of the same name isn't taken."""
    (tmp_path / "archive" / "2026").mkdir(parents=True)
    shutil.move("in/photo.png", tmp_path / "archive" / "2026" / "p.png")
    Image.new("RGB", (64, 48), "red").save("in/photo.png")
    answer = limner.run("runs", "replay", "latest")
    assert (answer.code, "--inputs" in answer.stderr) == (2, True)
    for place in (tmp_path / "archive", tmp_path / "archive" / "2026" / "p.png"):
        said = limner("runs", "replay", "latest", "--inputs", place, "--no-record")
        assert "0 pixels differ" in said.stdout


def test_a_copy_that_is_missing_in_the_store_is_no_end(limner: Command, project: Path) -> None:
    limner("cutout", "in/photo.png", "--box", BOX, "-o", "c.png")
    limner("runs", "open", "latest", "--role", "input", "-o", "copy.png")
    kept = limner("runs", "open", "latest", "--role", "input").stdout.strip()
    Path(kept).unlink()
    assert "0 pixels differ" in limner("runs", "replay", "latest", "--no-record").stdout


def test_a_result_names_its_run(limner: Command, project: Path) -> None:
    """A picture with its record, moved and renamed; one without a record says so."""
    limner("cutout", "in/photo.png", "--box", BOX, "-o", "c.png")
    Path("r.png").rename("in/published.png")
    assert "redact: 0 pixels" in limner("runs", "replay", "in/published.png", "--no-record").stdout
    assert "cutout: box" in limner("runs", "show", "c.png").stdout
    limner("cutout", "in/photo.png", "--box", BOX, "--no-store", "-o", "d.png")
    assert "cutout: box" in limner("runs", "show", "d.png").stdout, "the same was asked for"
    for name, said in (("in/photo.png", "carries no record"), ("none.png", "named by its id")):
        answer = limner.run("runs", "replay", name)
        assert (answer.code, said in answer.stderr) == (2, True), answer
    answer = limner.run("runs", "show", "c.png", "--store", "other")
    assert answer.code == 2
