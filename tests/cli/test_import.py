"""``runs export`` and ``runs import``: what is taken out goes into another store, and no more."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.runs.entries import Labels
from limner.runs.store import Store
from tests.runs.conftest import beginning, ending

from .command import Command


@pytest.fixture
def exported(limner: Command) -> Path:
    """A store ``one`` with a done run and one that goes on, as a zip."""
    store = Store.open("one")
    picture = store.keep("picture", b"pixels", ".png")
    labels = Labels(("a", "b"), sweep="s", cell="c")
    run_id = store.begin(beginning(store, labels=labels))
    store.finish(run_id, ending(seed=5, files=(picture,)))
    store.note(run_id, "good")
    store.rate(run_id, 4)
    store.begin(beginning())
    store.close()
    limner("runs", "export", "--all", "--store", "one", "-o", "runs.zip")
    return Path("runs.zip")


def entries(place: str) -> list[dict[str, Any]]:
    store = Store.open(place)
    found = [entry.to_dict() for entry in store.entries()]
    store.close()
    return found


def test_what_is_exported_is_imported_as_it_was(limner: Command, exported: Path) -> None:
    """Every value and every file; a run that went on elsewhere counts as failed here."""
    assert "2 runs taken in" in limner("runs", "import", exported, "--store", "two").stdout
    done, going = entries("two")
    before, _ = entries("one")
    assert {**done, "pid": before["pid"]} == before
    assert (going["status"], going["error"]) == (
        "failed",
        "It was still going on when it was exported.",
    )
    store = Store.open("two")
    assert {store.files.load(file["name"]) for file in done["files"]} == {b"an input", b"pixels"}
    store.close()
    again = limner("runs", "import", exported, "--store", "two")
    assert again.stderr.count("is here already and stays as it is") == 2
    assert len(entries("two")) == 2


def test_an_incomplete_store_is_exported_with_exit_code_1(limner: Command, exported: Path) -> None:
    """The zip holds the rest, and taking it in says what lacks."""
    next(path for path in Path("one/files").rglob("*.png")).unlink()
    answer = limner.run("runs", "export", "--all", "--store", "one", "-o", "less.zip")
    assert (answer.code, "1 files missing" in answer.stdout) == (1, True)
    assert "can't be read" in answer.stderr
    answer = limner.run("runs", "import", "less.zip", "--store", "two")
    assert (answer.code, answer.stderr.count("less.zip lacks")) == (1, 1)
    assert len(entries("two")) == 2


Change = Callable[[dict[str, Any]], Any]
BAD: dict[str, Change] = {
    "an id": lambda run: run.update(id="../../x"),
    "a path as a file's name": lambda run: run["files"][0].update(name="../../../etc/passwd"),
    "a verb of millions": lambda run: run.update(verb="x" * 1000),
    "no status": lambda run: run.update(status="lost"),
    "a number too large": lambda run: run.update(seed=2**70),
    "text for a number": lambda run: run.update(seconds="long"),
    "a list for a record": lambda run: run.update(record=[1]),
    "tags of numbers": lambda run: run.update(tags=[1]),
    "notes of nothing": lambda run: run.update(notes=[3]),
    "a rating": lambda run: run.update(rating=9),
    "a size below the content's": lambda run: run["files"][0].update(size=1),
    "files of text": lambda run: run.update(files="abc"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_strangers_record_is_refused_and_nothing_is_kept(
    case: str, limner: Command, exported: Path
) -> None:
    with zipfile.ZipFile(exported) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    first, *others = members["runs.jsonl"].decode().splitlines()
    run = json.loads(first)
    BAD[case](run)
    members["runs.jsonl"] = "\n".join([json.dumps(run), *others]).encode()
    _refused(limner, members)


@pytest.mark.parametrize("case", ["changed", "no records", "twice", "nested", "no zip", "cut"])
def test_a_strangers_archive_is_refused_and_nothing_is_kept(
    case: str, limner: Command, exported: Path
) -> None:
    with zipfile.ZipFile(exported) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if case == "changed":
        name = f"files/{hashlib.sha256(b'pixels').hexdigest()}.png"
        members[name] = b"pixelz"
    elif case == "no records":
        del members["runs.jsonl"]
    elif case == "twice":
        members["runs.jsonl"] += members["runs.jsonl"]
    elif case == "nested":
        members["runs.jsonl"] = b"[" * 100_000
    _refused(limner, members, cut=case == "cut", no_zip=case == "no zip")


def _refused(
    limner: Command, members: dict[str, bytes], *, cut: bool = False, no_zip: bool = False
) -> None:
    with zipfile.ZipFile("bad.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    if cut:
        Path("bad.zip").write_bytes(Path("bad.zip").read_bytes()[:300])
    if no_zip:
        Path("bad.zip").write_text("a letter")
    answer = limner.run("runs", "import", "bad.zip", "--store", "two")
    assert answer.code == 2, answer
    assert len(answer.stderr.splitlines()) == 1
    assert "bug in limner" not in answer.stderr
    assert entries("two") == []
    assert not list(Path("two").rglob("*.png"))
