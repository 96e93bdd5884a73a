"""The process around a command: closed streams, a deleted folder, what the system refuses."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

import limner as package
from limner.cli.process import sentence_of

from .command import Command

LONG = "x" * 300
HIDE = ("redact", "a.png", "--box", "2,2,12,12", "--no-cache")


@pytest.fixture
def photo(limner: Command) -> Path:
    Image.effect_noise((32, 32), 80).convert("RGB").save("a.png")
    return Path("a.png")


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)], ids=str)
def test_closed_streams_cost_no_result(photo: Path, closed: tuple[int, ...]) -> None:
    """As daemons run: with stderr closed there was no result at all."""

    def close() -> None:
        for number in closed:
            os.close(number)

    words = [sys.executable, "-m", "limner", *HIDE, "-o", "out.png", "--threshold-for", "a=.1"]
    subprocess.run(words, preexec_fn=close, check=False)
    assert not Path("out.png").exists()  # a refusal that nobody can read
    done = subprocess.run(words[:-2], preexec_fn=close, check=False)
    assert done.returncode == 0
    with Image.open("out.png") as made:
        made.load()


def test_a_note_that_cannot_be_said_costs_no_result(
    limner: Command, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``2>/dev/full``: the result is there, so the command has done what it should."""
    full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails too, wherever something is left
    monkeypatch.setattr(sys, "stderr", full)
    limner(*HIDE, "--text", "face", "-o", "out.png")
    with suppress(OSError):
        full.close()
    assert Path("out.png").exists()


def test_a_working_folder_that_was_deleted(
    limner: Command, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    answer = limner.run("redact", tmp_path / "a.png", "--box", "2,2,12,12")
    assert (answer.code, "was deleted" in answer.stderr) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        (*HIDE, "-o", f"{LONG}.png"),
        (*HIDE, "-o", LONG),
        ("redact", f"{LONG}.png", "--box", "2,2,12,12"),
        ("runs", "list", "--store", LONG),
        ("teach", "show", LONG),
        ("detect", "a.png", "--text", "a", "--detector", f"./{LONG}"),
        ("cutout", "a.png", "--mask", f"{LONG}.png"),
        ("score", "edit", "a.png", f"{LONG}.png"),
        ("eval", f"{LONG}.yaml"),
        ("sweep", f"{LONG}.toml"),
    ],
    ids=lambda words: words[0],
)
def test_a_name_that_is_too_long(limner: Command, photo: Path, words: tuple[str, ...]) -> None:
    """``--store`` and ``--model`` ended in "A bug in limner (OSError)"."""
    answer = limner.run(*words)
    assert answer.code == 2
    assert "bug" not in answer.stderr


def test_a_pattern_that_no_machine_can_hold(limner: Command) -> None:
    Path("s.yaml").write_text(json.dumps({"prompts": ["a"], "tests": [{"image": "a.png"}]}))
    answer = limner.run("eval", "s.yaml", "--filter-pattern", "a{99999999999}")
    assert answer.code == 2
    assert "bug" not in answer.stderr


def nested() -> RecursionError:
    try:
        json.loads("[" * 200_000)
    except RecursionError as error:
        return error
    raise AssertionError


def endless() -> RecursionError:
    def again() -> None:
        again()

    try:
        again()
    except RecursionError as error:
        return error
    raise AssertionError


OURS = str(Path(package.__file__).parent / "registry" / "catalog.toml")
CASES: dict[str, tuple[Exception, str | None]] = {
    "memory": (MemoryError(), "Memory ran out"),
    "a file": (PermissionError(errno.EACCES, "Permission denied", "a\x1b.png"), "can't be used"),
    "no space": (OSError(errno.ENOSPC, "No space left on device"), "no space left"),
    "files": (OSError(errno.EMFILE, "Too many open files", "a.png"), "open no more files"),
    "nested": (nested(), "nested too deeply"),
    "endless": (endless(), None),
    "no file named": (OSError(errno.EACCES, "Permission denied"), None),
    "our own file": (FileNotFoundError(errno.ENOENT, "No such file", OURS), None),
    "a mistake of ours": (ValueError("x"), None),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_only_what_is_no_bug_of_ours_becomes_a_sentence(case: str) -> None:
    error, part = CASES[case]
    sentence = sentence_of(error)
    assert sentence is None if part is None else part in str(sentence)


def test_a_device_that_is_not_here_is_refused_for_what_needs_none_too(
    limner: Command, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GrabCut computed on the processor, and the record said cuda."""
    monkeypatch.setattr("limner.registry.device.devices", lambda: ("cpu",))
    for verb in ("segment", "cutout", "remove"):
        answer = limner.run(verb, photo, "--box", "2,2,12,12", "--device", "cuda")
        assert answer.code == 2
        assert "There is no device 'cuda' here" in answer.stderr
    assert "no device" in limner.run(*HIDE, "--device", "mps", "--dry-run").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "list", "--out", "-"),
        ("compare", "a.png", "--text", "a", "--models", "haar", "-o", "-"),
    ],
    ids=lambda words: words[0],
)
def test_a_dash_is_no_file(limner: Command, photo: Path, words: tuple[str, ...]) -> None:
    """``-o -`` made a folder called "-"."""
    assert limner.run(*words).code == 2
    assert not Path("-").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--text", "caf\udce9"),
        ("--box", "2,2,12,12", "--tag", "caf\udce9"),
        ("--text", "a", "--not", "caf\udce9"),
        ("--text", "a", "--threshold-for", "caf\udce9=0.3"),
        ("--text", "a", "--select", "caf\udce9"),
    ],
    ids=lambda words: words[-2],
)
def test_words_that_are_no_utf8(limner: Command, photo: Path, words: tuple[str, ...]) -> None:
    """``--text $'caf\\xe9'`` ended in "A bug in limner (UnicodeEncodeError)"."""
    answer = limner.run("segment", photo, *words)
    assert answer.code == 2
    assert r"caf\xe9" in answer.stderr


def test_names_of_files_may_be_any_bytes(limner: Command, photo: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    photo.rename(name)
    made = limner("redact", name, "--box", "2,2,12,12", "-o", os.fsdecode(b"\xe9.png"))
    assert made.stdout.startswith(r"\xe9.png  1 object")
    assert Path(os.fsdecode(b"\xe9.png")).exists()


def test_only_a_closed_pipe_is_141(limner: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails is 1, code that asks to exit is a bug; both were "the reader went away",
    which a pipeline's ``|| true`` passes over."""
    from limner.cli.commands.models import check

    words = ("models", "check", "slimsam-77")
    monkeypatch.setattr(check, "check", lambda *_: False)
    assert limner.run(*words).code == 1
    monkeypatch.setattr(check, "check", lambda *_: sys.exit(3))
    answer = limner.run(*words)
    assert answer.code == 70
    assert "SystemExit" in answer.stderr
    reader, writer = os.pipe()
    os.close(reader)
    gone = [sys.executable, "-m", "limner", "models", "list", "--json"]
    assert subprocess.run(gone, stdout=writer, check=False).returncode == 141
    os.close(writer)
