"""``limner caption`` with the captioner that ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limner import Session
from tests.cli.command import Command
from tests.models.tiny_owlvit import noise


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    for name in ("b.png", "a.png"):
        noise(128, 96, seed=ord(name[0])).save(made / name)
    return made


def test_each_picture_gets_its_captioners_sentence(limner: Command, folder: Path) -> None:
    """As from Python; a line each, the pictures of a folder by name."""
    answer = limner("caption", folder, folder / "b.png", "--profile", "mini")
    captioner = Session(profile="mini").models.captioner
    said = {f: captioner.caption([noise(128, 96, seed=ord(f[0]))])[0] for f in ("a.png", "b.png")}
    lines = [f"{folder / f}: {said[f]}" for f in ("a.png", "b.png", "b.png")]
    assert answer.stdout.splitlines() == lines
    assert all(said.values())
    row = limner.json("caption", folder / "a.png", "--captioner", "mini-blip")
    assert row == {
        "image": str(folder / "a.png"),
        "caption": said["a.png"],
        "model": "mini-blip",
    }


def test_the_metadata_is_what_teach_reads(limner: Command, folder: Path) -> None:
    """And is never overwritten unasked: a person may have edited it."""
    words = ("caption", folder, "--profile", "mini", "--metadata")
    answer = limner(*words)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == ["a.png", "b.png"]
    assert f"{folder / 'a.png'}: {rows[0]['text']}" in answer.stdout
    (folder / "metadata.jsonl").write_text("mine")
    refused = limner.run(*words)
    assert refused.code == 2
    assert "pass --overwrite" in refused.stderr
    assert (folder / "metadata.jsonl").read_text() == "mine"
    limner(*words, "--overwrite")
    assert (folder / "metadata.jsonl").read_text() != "mine"


def test_bad_input_is_one_sentence(limner: Command, folder: Path) -> None:
    """A profile without a captioner names those that have one; a broken picture among others is
    said and the rest is done."""
    cases = {
        ("nowhere.png", "--profile", "mini"): "There is no nowhere.png",
        (folder,): "has no model to caption; take --profile mini",
        (folder, "--captioner", "owlvit-base-patch32"): "is a model to detect",
        (folder / "a.png", "--profile", "mini", "--metadata"): "give one, and no other pictures",
        (folder, "--profile", "mini", "--overwrite"): "no effect without --metadata",
    }
    for words, message in cases.items():
        answer = limner.run("caption", *words)
        assert answer.code == 2
        assert message in answer.stderr
    (folder / "a.png").write_bytes(b"no picture")
    answer = limner.run("caption", folder, "--profile", "mini")
    assert answer.code == 2
    assert "a.png" in answer.stderr
    assert len(answer.stdout.splitlines()) == 1
