"""Each example in a command's help runs as it stands, in a folder with the files that it names."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click
import pytest
from PIL import Image, ImageDraw

from limner.cli.app import COMMANDS
from limner.cli.app import limner as program
from limner.cli.help_page import HelpText

from .command import Command

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = {"photo.jpg": "astronaut.png", "cup.jpg": "coffee.png", "cat.jpg": "chelsea.png"}

NEEDS_A_HUB = {"limner models pull", "limner models check", "limner models rm"}
"""They fetch, or need what was fetched: here they are parsed, not run."""
SLOW = {"compare", "demo", "eval", "score", "teach", "probe", "label", "sweep"}
"""Commands whose examples take longer than some seconds."""
IN_ORDER = {
    "runs": "list show open rate note compare replay export import gc delete forget",
    "teach": "run list show score export merge",
}
"""A group's commands, where one needs what another left."""


@pytest.fixture
def scene(tmp_path: Path, limner: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the examples name, of the repository's own pictures, suites and recipes."""
    monkeypatch.delenv("LIMNER_STORE", raising=False)
    for name, source in PHOTOS.items():
        with Image.open(EXAMPLES / "photos" / source) as picture:
            picture.convert("RGB").save(tmp_path / name)
    for folder in ("photos", "labelled"):
        shutil.copytree(EXAMPLES / folder, tmp_path / folder)
    for folder in ("portraits", "painted"):
        (tmp_path / folder).mkdir()
        for path in (EXAMPLES / "subject").glob("*.png"):
            shutil.copy(path, tmp_path / folder)
    (tmp_path / "drawings").mkdir()
    shutil.copy(EXAMPLES / "scenes" / "lawn.png", tmp_path / "drawings")
    for name in ("scenes/lawn.png", "scenes/lawn.json", "prompts/boxes.csv"):
        shutil.copy(EXAMPLES / name, tmp_path)
    shutil.copy(EXAMPLES / "prompts" / "classes.yaml", tmp_path)
    suite = (EXAMPLES / "suites" / "photos.yaml").read_text()
    (tmp_path / "suite.yaml").write_text(suite.replace("../photos", "photos"))
    recipe = (EXAMPLES / "sweeps" / "words.toml").read_text()
    (tmp_path / "recipe.toml").write_text(recipe.replace("../scenes/", ""))
    hole = Image.new("L", (512, 512))
    ImageDraw.Draw(hole).rectangle((150, 360, 200, 410), fill=255)
    hole.save(tmp_path / "hole.png")
    return tmp_path


def prepare(name: str, limner: Command) -> None:
    """What the examples of a command take for granted: runs that were made before."""
    if name == "score":
        limner("remove", "photo.jpg", "--mask", "hole.png", "-o", "gone.png", "--no-store")
    if name == "runs":
        for picture, feather in (("cat", 2), ("cat", 4), ("cup", 2), ("cup", 4)):
            limner(
                *f"cutout {picture}.jpg --box 60,40,300,260 --feather {feather}".split(),
                *("-o", f"{picture}-cutout.png", "--overwrite"),
            )


def examples(name: str) -> list[list[str]]:
    """The examples of a command, or of all commands of a group, in an order in which they run."""
    command = program.get_command(click.Context(program, **program.context_settings), name)
    assert command is not None
    if not isinstance(command, click.Group):
        return HelpText.of(command.help).commands
    order = IN_ORDER[name].split() if name in IN_ORDER else list(command.commands)
    assert sorted(order) == sorted(command.commands)
    return [words for part in order for words in HelpText.of(command.commands[part].help).commands]


def test_examples_are_those_of_all_commands() -> None:
    assert sum(len(examples(name)) for name in COMMANDS) >= 80


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in COMMANDS],
)
def test_examples_run(name: str, limner: Command, scene: Path) -> None:
    """Exit code 0, and each file that ``-o`` names is there."""
    prepare(name, limner)
    for words in examples(name):
        if words[0] != "limner":
            assert words == ["cat", "$(limner config path)"]
            continue
        if " ".join(words[:3]) in NEEDS_A_HUB:
            _parse(words)
            continue
        limner(*words[1:])
        for flag, file in pairwise(words):
            if flag in ("-o", "--out"):
                assert (scene / file).exists(), words


def _parse(words: Sequence[str]) -> None:
    """As click reads them: no flag or argument that the command doesn't have."""
    context = click.Context(program, info_name="limner", **program.context_settings)
    command: click.Command | None = program
    for word in words[1:3]:
        assert isinstance(command, click.Group)
        command = command.get_command(context, word)
    assert command is not None
    command.make_context(words[2], list(words[3:]), parent=context)
