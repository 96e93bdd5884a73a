"""What a person types by mistake is answered with what was probably meant, before any work."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from PIL import Image

from limner.prompts.syntax import parse_point

from .command import Command

SLIPS = {
    "segmnt im.png --text apple": "limner segment?",
    "help segmnt": "limner segment?",
    "models lst": "limner models list?",
    "im.png segment --text apple": "limner segment im.png --text apple",
    "segment im.png --text coffee cup": '--text "coffee cup"',
    "segment --text red coffee cup im.png": '--text "red coffee cup"',
    "edit im.png --text cup --paint a red car": '--paint "a red car"',
    "redact im.png --text face --verify number plate": '--verify "number plate"',
    "extend im.png --extend left=9 --paint a beach": '--paint "a beach"',
    "segment im.png --point 300 110": "written --point 300,110",
    "segment im.png --point 300, 110:bg": "written --point 300,110:bg",
    "segment im.png --point 3,4 5,6": "written --point 3,4 --point 5,6",
    "segment im.png --box 1% 2% 30 40": "written --box 1%,2%,30,40",
    "detect im.png --like 1 2 3": "4 numbers with commas",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file of a picture's name, which nothing here opens."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "im.png").touch()
    return tmp_path


@pytest.mark.parametrize("line", SLIPS)
def test_a_slip_is_answered_with_what_was_meant(limner: Command, folder: Path, line: str) -> None:
    """click said "Got unexpected extra argument (cup)"."""
    answer = limner.run(*line.split())
    assert answer.code == 2
    assert SLIPS[line] in answer.stderr.splitlines()[-1]
    assert [path.name for path in folder.iterdir()] == ["im.png"]


def test_what_haar_knows_is_said_each_time(limner: Command, folder: Path) -> None:
    """A second try must not be answered otherwise, nor by "exists"."""
    Image.new("RGB", (32, 32)).save("im.png")
    first, second = (limner.run("detect", "im.png", "--text", "cup") for _ in range(2))
    assert first.code == second.code == 2
    assert first.stderr == second.stderr
    assert "haar knows face" in first.stderr
    assert "--profile mini" in first.stderr


def test_a_colour_is_for_solid(limner: Command, folder: Path) -> None:
    Image.new("RGB", (32, 32), "white").save("im.png")
    limner("redact", "im.png", "--box", "4,4,20,20", "--colour", "black")
    with Image.open("im-redact.png") as picture:
        assert picture.convert("RGB").getpixel((12, 12)) == (0, 0, 0)
    refused = limner.run(
        "redact", "im.png", "--box", "4,4,20,20", "--colour", "red", "--style", "blur"
    )
    assert "take solid" in refused.stderr


@pytest.mark.parametrize(
    "line", ["segment --text apple cup", "segment --text apple im.jpg", "detect --text cup a/b"]
)
def test_a_lone_word_is_the_input(limner: Command, folder: Path, line: str) -> None:
    """A missing picture after a phrase is missing, not a part of the phrase."""
    answer = limner.run(*line.split())
    assert answer.code == 2
    assert f"There is no {line.split()[-1]}" in answer.stderr


def test_a_folder_of_photographs_is_no_command(limner: Command, folder: Path) -> None:
    """``limner teach photos`` means ``limner teach run photos``."""
    answer = limner.run("teach", "photos", "--name", "dog")
    assert "There is no command" not in answer.stderr
    assert "--model" in answer.stderr


NAMED = ("--name", "it's")
TAUGHT = ("--model", "m", "--instance-prompt", "a sks dog", "--class-prompt", "a dog")


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        (
            (),
            "--name, --model, --instance-prompt and --class-prompt are missing.",
            '--class-prompt "a photo of a dog"',
        ),
        (TAUGHT, "--name is missing.", "--class-prompt 'a dog'"),
        ((*NAMED, *TAUGHT[:4]), "--class-prompt is missing.", '--class-prompt "a photo of a dog"'),
        ((*NAMED, "--caption"), "--model, --instance-prompt and --class-prompt are", "of a dog"),
    ],
)
def test_all_that_teaching_lacks_is_said_at_once(
    limner: Command, folder: Path, words: tuple[str, ...], start: str, end: str
) -> None:
    """click named one missing option a try; the command that is shown can be pasted."""
    said = limner.run("teach", "run", "photos", *words).stderr.strip()
    assert said.startswith(f"limner: {start}")
    command = said.partition("For example: ")[2]
    assert end in command
    folder_and_flags = shlex.split(command)[2:]
    assert folder_and_flags[0] == "photos"
    assert folder_and_flags[1::2] == ["--name", "--model", "--instance-prompt", "--class-prompt"]


def test_help_is_a_word_too(limner: Command) -> None:
    assert limner("help", "segment").stdout == limner("segment", "--help").stdout
    assert limner("help", "models", "info").stdout == limner("models", "info", "--help").stdout
    assert limner("help").stdout == limner("--help").stdout


def test_a_group_alone_shows_its_help_as_lines(limner: Command) -> None:
    """It was one line with its breaks as "\\n"."""
    answer = limner.run("models")
    assert answer.code == 2
    assert "\n  info " in answer.stderr
    assert "\\n" not in answer.stderr


def test_labels_of_points_are_those_of_sam_too() -> None:
    """The course writes input_labels of 1 and 0."""
    assert parse_point("194,88:1") == parse_point("194,88")
    assert parse_point("122,226:0") == parse_point("122,226:bg")
