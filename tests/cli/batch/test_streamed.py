"""``--out -``: a picture in a pipe."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from limner.cli import main
from limner.io.save import read_record

from .test_output_paths import picture

BOX = ("--box", "2,2,20,20")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A working folder, and what lies in it before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / ".home"))
    monkeypatch.setenv("LIMNER_STORE", "off")
    picture("p.png")
    picture("in/a.png")
    return names()


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("verb", ["segment", "remove", "cutout"])
def test_the_picture_is_all_that_stdout_holds(
    files: list[str], capsysbinary: pytest.CaptureFixture[bytes], verb: str
) -> None:
    """A folder named "-" was made."""
    assert main([verb, "p.png", *BOX, "-o", "-"]) == 0
    streams = capsysbinary.readouterr()
    assert main([verb, "p.png", *BOX, "-o", "x.png"]) == 0
    Path("piped.png").write_bytes(streams.out)
    with Image.open("piped.png") as piped, Image.open("x.png") as saved:
        assert piped.tobytes() == saved.tobytes()
    assert (read_record("piped.png") or {})["verb"] == verb
    assert b"p.png  1 object" in streams.err
    assert names() != files
    assert not Path("-").exists()


REFUSED = {
    "JSON": (["p.png", "-o", "-", "--json"], "--out - writes the picture"),
    "objects as JSON": (["p.png", "-o", "-", "--json-objects"], "--out - writes the picture"),
    "a folder": (["in", "-o", "-"], "is for one picture"),
    "two inputs": (["p.png", "in/a.png", "-o", "-"], "is for one picture"),
}


@pytest.mark.parametrize(("words", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_stdout_cant_hold(
    files: list[str],
    capsysbinary: pytest.CaptureFixture[bytes],
    words: list[str],
    sentence: str,
) -> None:
    assert main(["segment", *words, *BOX]) == 2
    streams = capsysbinary.readouterr()
    assert sentence in streams.err.decode()
    assert streams.out == b""
    assert names() == files


def test_a_terminal_is_refused(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bytes of a PNG would be typed at whoever watches."""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["segment", "p.png", *BOX, "-o", "-"]) == 2
    assert terminal.getvalue() == ""
    assert "into the terminal" in capfd.readouterr().err
    assert names() == files


def test_nothing_found_is_no_empty_picture(
    files: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The next program in the pipe would read a file of no bytes."""
    assert main(["remove", "p.png", "--text", "face", "-o", "-"]) == 1
    streams = capsysbinary.readouterr()
    assert streams.out == b""
    assert "there is no picture" in streams.err.decode()


def test_a_file_of_that_name_is_a_file(files: list[str]) -> None:
    """``./-`` is how a shell names it."""
    assert main(["remove", "p.png", *BOX, "-o", "./-"]) == 0
    assert [path.name for path in Path("./-").iterdir()] == ["p-remove.png"]
