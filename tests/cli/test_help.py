"""``--help``: what is asked first, in view at once; click's errors in limner's words.

Examples are run as they stand: tests/cli/test_examples.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from limner.cli.app import COMMANDS
from limner.cli.app import limner as program
from limner.cli.help_groups import FILES, HEADINGS, KEEPING, MODELS, PROMPTS, grouped
from limner.cli.help_page import HelpCommand, HelpGroup, HelpText

from .command import Command

WIDTH, HEIGHT = 80, 24


def leaves() -> Iterator[click.Context]:
    """Every command that does something, in its context."""

    def below(command: click.Command, name: str, parent: click.Context) -> Iterator[click.Context]:
        context = click.Context(command, parent, name, terminal_width=WIDTH)
        if not isinstance(command, click.Group):
            yield context
            return
        for child in command.list_commands(context):
            inner = command.get_command(context, child)
            assert inner is not None
            yield from below(inner, child, context)

    top = click.Context(program, info_name="limner", **program.context_settings)
    for name in COMMANDS:
        command = program.get_command(top, name)
        assert command is not None
        yield from below(command, name, top)


LEAVES = {context.command_path: context for context in leaves()}


def test_all_commands_are_looked_at() -> None:
    assert len(LEAVES) > 40
    assert {path.split()[1] for path in LEAVES} == set(COMMANDS)
    assert all(isinstance(context.command, HelpCommand) for context in LEAVES.values())


@pytest.mark.parametrize("path", LEAVES)
def test_prompts_are_on_the_first_screen(path: str) -> None:
    """A terminal of 80 x 24 shows every flag that says what is meant, after the two examples."""
    context = LEAVES[path]
    lines = context.command.get_help(context).splitlines()
    assert max(map(len, lines)) <= WIDTH
    prompts = grouped(context.command.params).get(PROMPTS, [])
    screen = "\n".join(lines[:HEIGHT])
    flags = [max(option.opts, key=len) for option in prompts]
    hidden = [flag for flag in flags if not re.search(f"^  .*{flag}[ ,]", screen, re.MULTILINE)]
    assert hidden == []


@pytest.mark.parametrize("path", LEAVES)
def test_flags_stand_under_headings_in_one_order(path: str) -> None:
    """Prompts, files, models, keeping, then settings; no flag is lost or shown twice."""
    context = LEAVES[path]
    groups = grouped(context.command.params)
    shown = [option for options in groups.values() for option in options]
    flags = [each for each in context.command.params if isinstance(each, click.Option)]
    assert sorted(map(id, shown)) == sorted(map(id, flags))
    order = [heading for heading in groups if heading in HEADINGS]
    assert order == [heading for heading in HEADINGS if heading in order]
    headings = [f"{heading}:" for heading in groups]
    lines = context.command.get_help(context).splitlines()
    assert [line for line in lines if line in headings] == headings


def test_the_headings_know_no_flag_that_isnt_there() -> None:
    """A flag that was renamed would fall among the others."""
    names = {each.name for context in LEAVES.values() for each in context.command.params}
    assert [name for row in HEADINGS.values() for name in row if name not in names] == []


def test_a_verbs_headings(limner: Command) -> None:
    text = limner("segment", "--help").stdout
    places = [text.index(f"\n{heading}:") for heading in (PROMPTS, FILES, MODELS, KEEPING)]
    assert places == sorted(places)
    assert places[-1] < text.index("--threshold ")
    assert text.index("--threshold ") < text.index("Classes are numbered")


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_two_examples_that_fit(path: str) -> None:
    text = HelpText.of(LEAVES[path].command.help)
    assert len(text.commands) == 2, text.commands
    assert all(" ".join(words).removeprefix("cat $(").startswith(path) for words in text.commands)
    assert all(len(line) <= WIDTH - 2 for each in text.examples for line in each.splitlines())


def test_a_group_says_its_commands_whole_sentences() -> None:
    """click cut them after 45 letters, with dots."""
    groups = [name for name in COMMANDS if isinstance(_command(name), HelpGroup)]
    assert len(groups) >= 4
    for name in groups:
        command = _command(name)
        assert "..." not in command.get_help(
            click.Context(command, terminal_width=WIDTH, **program.context_settings)
        ).replace("[ARGS]...", "")


def _command(name: str) -> click.Command:
    command = program.get_command(click.Context(program, **program.context_settings), name)
    assert command is not None
    return command


REFUSED = {
    "segment": "IMAGE is missing. For example: limner segment cup.jpg --point 300,110",
    "edit im.png": "--paint is missing. For example: limner edit ",
    "segment --nosuch x": "limner segment has no option --nosuch: did you mean --no-cache, --not",
    "segment im.png -z": "limner segment has no option -z: limner segment --help lists those",
    "segment im.png --text": "--text takes TEXT after it: A phrase",
    "segment im.png --json=3": "--json takes no value",
    "segment im.png --threshold abc": "--threshold: expected a number, got 'abc'.",
    "segment im.png --max-detections 2.5": "--max-detections: expected a whole number, got '2.5'.",
    "segment im.png --max-pixels 0": "--max-pixels: expected a whole number from 1 up, got '0'.",
    "tune data --least-iou 2": "--least-iou: expected a number from 0.01 to 1, got '2'.",
    "detect im.png --look no": "--look: expected whole, tiles, zoom or turned, got 'no'.",
    "runs show a b": "limner runs show takes RUN and no more; got 'b' too. For example: limner",
    "runs list x": "limner runs list takes flags alone; got 'x' too.",
}


@pytest.mark.parametrize("line", REFUSED)
def test_clicks_errors_are_said_as_limners(limner: Command, line: str) -> None:
    """One line: no usage, no "Invalid value for", no "Try --help for help"."""
    answer = limner.run(*line.split())
    assert (answer.code, answer.stdout) == (2, "")
    (sentence,) = answer.stderr.splitlines()
    assert sentence.startswith(f"limner: {REFUSED[line]}")


COMPLETED = {
    "limner seg": ["segment"],
    "limner segment --prof": ["--profile"],
    "limner segment im.png --look ": ["whole", "tiles", "zoom", "turned"],
    "limner models inf": ["info"],
    "limner teach mer": ["merge"],
    "limner config se": ["set"],
    "limner segmnt --prof": [],
}
"""What stands before the cursor -> what the shell is offered."""


@pytest.mark.parametrize("line", COMPLETED)
def test_the_shell_completes(limner: Command, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """click exits by itself when it has answered: that was called a bug, at each tab."""
    monkeypatch.setenv("_LIMNER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    answer = limner.run()
    assert answer.stderr == ""
    offered = [row.partition(",")[2] for row in answer.stdout.split()]
    assert offered == COMPLETED[line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shells_script_is_printed(
    limner: Command, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """docs/configuration.md names the line that takes it in."""
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    assert f"_LIMNER_COMPLETE={shell}_source limner" in page
    monkeypatch.setenv("_LIMNER_COMPLETE", f"{shell}_source")
    answer = limner()
    assert f"_LIMNER_COMPLETE={shell}_complete" in answer.stdout
    assert answer.stderr == ""
