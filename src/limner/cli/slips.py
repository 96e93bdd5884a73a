"""What a slip of the pen on the command line was meant to be, said before click complains of it."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

PHRASES = frozenset("text not paint negative_prompt verify label".split())
"""Options that take words of a sentence."""
COORDINATES = {"point": 2, "box": 4, "like": 4, "not_like": 4}
"""Options that take numbers with commas between them, and how many."""
_NUMBERS = re.compile(r"[\d.,%+]*\d[\d.,%+]*(:\w+)?")
_FILE = re.compile(r"\.\w{2,4}$")


@dataclass(frozen=True)
class _Value:
    """An option's value as typed, and the words between it and the next option."""

    option: click.Option
    flag: str
    value: str
    after: tuple[str, ...]


def check_command(group: click.Group, ctx: click.Context, words: Sequence[str]) -> None:
    """Refuse a word that is no command of the group, with what was probably meant.

    Raises:
        click.UsageError: it is none.
    """
    names = group.list_commands(ctx)
    if not words or words[0].startswith("-") or words[0] in names:
        return
    first, *others = words
    later = next((word for word in others if word in names), None)
    if later and (_is_file(first) or not difflib.get_close_matches(first, names, n=1)):
        left = [first, *others]
        left.remove(later)
        meant = shlex.join([*ctx.command_path.split(), later, *left])
        raise click.UsageError(f"The command comes first: {meant}", ctx)
    near = difflib.get_close_matches(first.lower(), names, n=1)
    meant = (
        f"did you mean {ctx.command_path} {near[0]}?" if near else f"there is {', '.join(names)}."
    )
    raise click.UsageError(f"There is no command {first!r}: {meant}", ctx)


def check_values(command: click.Command, ctx: click.Context, words: Sequence[str]) -> None:
    """Refuse a phrase without quotes and coordinates without commas, saying how they are written.

    Raises:
        click.UsageError: such words follow an option.
    """
    values, positional = _read(command, words)
    for value in values:
        if value.option.name in COORDINATES:
            _check_coordinates(value, ctx)
        elif value.option.name in PHRASES:
            _check_phrase(value, positional, ctx)


def _check_coordinates(value: _Value, ctx: click.Context) -> None:
    numbers = [value.value]
    for word in value.after:
        if not _NUMBERS.fullmatch(word) or Path(word).exists():
            break
        numbers.append(word)
    if len(numbers) == 1 or not _NUMBERS.fullmatch(value.value):
        return
    parts = [part for part in ",".join(numbers).split(",") if part]
    count = COORDINATES[value.option.name or ""]
    if len(parts) % count:
        meant = f"{count} numbers with commas between them, no spaces"
    else:
        meant = " ".join(
            f"{value.flag} {','.join(parts[k : k + count])}" for k in range(0, len(parts), count)
        )
    raise click.UsageError(f"{value.flag} {' '.join(numbers)} is written {meant}", ctx)


def _check_phrase(value: _Value, positional: Sequence[str], ctx: click.Context) -> None:
    strays: list[str] = []
    for word in value.after:
        if _is_file(word):
            break
        strays.append(word)
    # A lone word is the input, though there be no such file.
    if strays and len(strays) < len(positional):
        phrase = " ".join([value.value, *strays])
        raise click.UsageError(
            f"There is no file {strays[0]!r}. Words of one phrase stand in quotes: "
            f'{value.flag} "{phrase}"',
            ctx,
        )


def _is_file(word: str) -> bool:
    """Whether a word is meant as a file or folder, there or not."""
    return os.path.sep in word or bool(_FILE.search(word)) or os.path.lexists(word)


def _read(command: click.Command, words: Sequence[str]) -> tuple[Sequence[_Value], Sequence[str]]:
    """The options that have a value of their own word, and all words that belong to no option."""
    takes_value = {
        name: option
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag and not option.count
        for name in option.opts
    }
    values: list[_Value] = []
    positional: list[str] = []
    end = words.index("--") if "--" in words else len(words)
    left = iter(range(end))
    for k in left:
        option = takes_value.get(words[k])
        if option is not None and k + 1 < end:
            next(left)
            after = tuple(_until_option(words[k + 2 : end]))
            values.append(_Value(option, words[k], words[k + 1], after))
        elif not words[k].startswith("-") or words[k] == "-":
            positional.append(words[k])
    return values, [*positional, *words[end + 1 :]]


def _until_option(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word.startswith("-"):
            return
        yield word
