"""``models rm``, ``models profiles``, and ``models list`` at a narrow terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from safetensors.numpy import save

from limner.cli.commands.models.profiles import cannot
from limner.cli.commands.models.tables import models_table
from limner.registry import catalog, lock, store

from .command import Command

FILES = {
    "config.json": b'{"model_type": "sam"}',
    "model.safetensors": save({"w": np.zeros(300_000, np.float32)}),
}


@pytest.fixture
def home(tmp_path: Path, limner: Command) -> Path:
    return tmp_path / ".home"


def bring(home: Path, name: str) -> Path:
    """A model's folder as a pull leaves it, and its lock entry."""
    folder = home / "models" / name
    folder.mkdir(parents=True)
    for file, data in FILES.items():
        (folder / file).write_bytes(data)
    store.find(name)
    assert lock.read(name) is not None
    return folder


def test_rm_removes_the_files_and_says_how_much(limner: Command, home: Path) -> None:
    """The folder, its lock entry, and what an unfinished download left; other models stay."""
    folder, other = bring(home, "slimsam-77"), bring(home, "slimsam-50")
    unfinished = home / "models" / ".pulling" / "slimsam-77"
    unfinished.mkdir(parents=True)
    (unfinished / "part").write_bytes(bytes(500_000))
    answer = limner("models", "rm", "slimsam-77")
    assert answer.stdout == "slimsam-77  1.7 MB removed\n"
    assert not folder.exists()
    assert not unfinished.exists()
    assert lock.read("slimsam-77") is None
    assert sorted(path.name for path in other.iterdir()) == sorted(FILES)
    assert lock.read("slimsam-50") is not None
    assert [path.name for path in (home / "models" / ".pulling").iterdir()] == ["slimsam-77.lock"]
    assert "isn't here" in limner.run("models", "rm", "slimsam-77").stderr
    limner("models", "rm", "slimsam-50", "slimsam-50", "--yes")
    assert not other.exists()


def test_rm_of_a_name_that_died_removes_its_successor(limner: Command, home: Path) -> None:
    folder = bring(home, "slimsam-77")
    limner("models", "rm", "Zigeng/SlimSAM-uniform-77")
    assert not folder.exists()


REFUSED = {
    "not here": ("slimsam-50", "slimsam-50 isn't here"),
    "ships": ("mini-sam", "mini-sam ships with limner"),
    "an algorithm": ("haar", "haar has no files here"),
    "a user's folder": ("./mine", "./mine is a folder of yours"),
    "a way out": ("../..", "../.. is a folder of yours"),
    "an absolute path": ("/", "/ is a folder of yours"),
    "an endpoint": ("vlm:x", "There is no endpoint 'x'"),
    "no model": ("slimsm-77", "Did you mean slimsam-77"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rm_refuses_all_when_it_refuses_one(
    limner: Command, home: Path, tmp_path: Path, case: str
) -> None:
    """Nothing goes, not even what was named before it."""
    name, sentence = REFUSED[case]
    folder = bring(home, "slimsam-77")
    (tmp_path / "mine").mkdir()
    answer = limner.run("models", "rm", "slimsam-77", name)
    assert answer.code == 2
    assert sentence in answer.stderr
    assert "removed" not in answer.stdout
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert (tmp_path / "mine").is_dir()


def test_rm_follows_no_link_out_of_limners_folder(
    limner: Command, home: Path, tmp_path: Path
) -> None:
    """A model's folder that is a link, and a link inside of one."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    (home / "models").mkdir(parents=True)
    (home / "models" / "slimsam-50").symlink_to(outside)
    refused = limner.run("models", "rm", "slimsam-50")
    assert (refused.code, "is a link to" in refused.stderr) == (2, True)
    folder = bring(home, "slimsam-77")
    (folder / "more").symlink_to(outside)
    limner("models", "rm", "slimsam-77")
    assert not folder.exists()
    assert (outside / "precious").read_bytes() == b"1"


def test_rm_asks_at_a_terminal(
    limner: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And Enter alone means no."""
    folder = bring(home, "slimsam-77")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert limner.run("models", "rm", "slimsam-77").code == 130
    assert folder.is_dir()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    limner("models", "rm", "slimsam-77")
    assert not folder.exists()


def test_list_keeps_licence_and_here_at_80_columns() -> None:
    """rich cut the last columns: "here" was gone, and licences were a letter a line."""
    entries = list(catalog.catalog().values())
    console = Console(width=80, file=io.StringIO(), markup=False)
    console.print(models_table(entries, narrow=True))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    head, *rows = [line for line in lines if line.strip() and "─" not in line]
    at = {name: head.index(name) for name in ("name", "task", "size", "here", "licence")}
    blocks: dict[str, list[str]] = {}
    for row in rows:
        name = row[: at["task"]].strip()
        current = blocks.setdefault(name, []) if name else list(blocks.values())[-1]
        current.append(row)
    assert list(blocks) == [entry.name for entry in entries]
    for entry in entries:
        block = blocks[entry.name]
        licence = " ".join(" ".join(row[at["licence"] :] for row in block).split())
        limit = "" if entry.commercial == "yes" else f" (commercial: {entry.commercial})"
        assert licence == entry.licence + limit
        here = block[0][at["here"] : at["licence"]].strip()
        assert here == ("yes" if store.is_here(entry) else "")


def test_profiles_fit_80_columns_and_name_every_model(limner: Command) -> None:
    lines = limner("models", "profiles").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for profile, models in catalog.profiles().items():
        begin = lines.index(profile)
        block = lines[begin + 2 : begin + 2 + len(models)]
        assert [line.split()[:2] for line in block] == [list(pair) for pair in models.items()]


def test_profiles_as_json(limner: Command) -> None:
    listed = limner.json("models", "profiles")
    assert list(listed) == list(catalog.profiles())
    rows = [row for profile in listed.values() for row in profile["models"]]
    assert all(row["memory_gb"] > 0 and row["seconds"] >= 0 for row in rows)
    assert {row["model"]: row["here"] for row in rows}["haar"] is True
    assert {row["model"]: row["here"] for row in rows}["sd15"] is False


CLASSICAL = {
    "find other words": "detect im.png --text cup",
    "find by an example": "detect im.png --like 2,2,20,20",
    "outline without a prompt": "segment im.png --everything",
    "paint what words say": "edit im.png --box 2,2,20,20 --paint cup",
    "make pictures from words": "generate cup",
    "say what is in a picture": "caption im.png",
    "score pictures against words": "score edit im.png im.png --mask im.png --paint cup",
}


def test_what_the_classical_profile_cant_do_it_refuses(limner: Command) -> None:
    """Each sentence of the table, attacked; what it doesn't list works (all other tests)."""
    sentences = cannot("classical")
    assert len(sentences) == len(CLASSICAL) + 1  # and whole sentences
    Image.new("RGB", (32, 32), "white").save("im.png")
    for begin, line in CLASSICAL.items():
        assert any(sentence.startswith(begin) for sentence in sentences), begin
        assert limner.run(*line.split()).code == 2, line


def test_what_other_profiles_have_they_dont_lack() -> None:
    for profile in ("small", "base", "large"):
        (sentence,) = cannot(profile)
        assert "whole sentences" in sentence
    assert any("photographs" in sentence for sentence in cannot("mini"))
