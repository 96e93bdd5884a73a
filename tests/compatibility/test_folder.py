"""Results of a folder that an older version wrote are known as done, by the records they carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command

REMOVE = "remove folder/in --box 30,16,40,28 -o folder/removed".split()
REDACT = "redact folder/in --box 10,6,20,18 -o folder/redacted".split()
OUTLINE = "segment folder/in --box 15,3,34,24 -o folder/outlined".split()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_a_folder_goes_on_with_what_is_missing(limner: Command, samples: Path) -> None:
    before = contents(samples / "folder" / "removed")
    assert len(before) == 2
    told = limner(*REMOVE).stdout
    assert "2 done already" in told
    after = contents(samples / "folder" / "removed")
    assert len(after) == 3
    assert before.items() <= after.items()


def test_outlines_are_known_as_done(limner: Command, samples: Path) -> None:
    before = contents(samples / "folder" / "outlined")
    assert "3 done already" in limner(*OUTLINE).stdout
    assert contents(samples / "folder" / "outlined") == before


def test_redactions_are_known_by_the_homes_key(
    limner: Command, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyed, so that nobody else can try which picture it was: with another key it is refused."""
    before = contents(samples / "folder" / "redacted")
    assert "3 done already" in limner(*REDACT).stdout
    assert contents(samples / "folder" / "redacted") == before
    monkeypatch.setenv("LIMNER_HOME", str(samples / "another"))
    answer = limner.run(*REDACT)
    assert (answer.code, "made otherwise" in answer.stderr) == (2, True)


def test_something_else_is_still_told_apart(limner: Command) -> None:
    """A record's job decides: another dilation is another result."""
    answer = limner.run(*REMOVE, "--dilate", 3)
    assert (answer.code, "made otherwise" in answer.stderr) == (2, True)
