"""Refusals that all commands share: text that is no UTF-8, ``-`` for a file, what is no number."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from limner.untrusted.plain_text import visible

MAY_BE_PATHS = frozenset(
    "image images mask exemplar detector segmenter inpainter refiner encoder captioner dino store "
    "subjects adapters baseline filter_failing model models name names track".split()
)
"""Parameters of text that also take a file: names of files are bytes, whatever the encoding."""


class Words(click.types.StringParamType):
    """Text that can be written down: the command line may hold bytes that are no UTF-8."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = super().convert(value, param, ctx)
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            self.fail(f"expected text in UTF-8, got {visible(text)}.", param, ctx)
        return text


class FilePath(click.Path):
    """A path; ``-`` isn't one: only a verb's ``--out`` may be a stream."""

    def __init__(self, path: click.Path) -> None:
        self.__dict__.update(path.__dict__)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-":
            self.fail("- is no file: give it a name (./- for one that is called so).", param, ctx)
        if "\0" in os.fsdecode(value):
            self.fail(f"{visible(os.fsdecode(value))} can't be a file's name.", param, ctx)
        return super().convert(value, param, ctx)


if TYPE_CHECKING:  # click before 8.4 has no types of types
    AnyType = click.ParamType[Any]
    AnyChoice = click.Choice[Any]
else:
    AnyType, AnyChoice = click.ParamType, click.Choice


class Voiced(AnyType):
    """A type of click's whose refusal is said as limner says it."""

    def expected(self) -> str:
        """What is expected, as in "expected a number"."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"expected {self.expected()}, got {str(value)!r}.", param, ctx)


class Whole(Voiced, click.types.IntParamType):
    name = "number"

    def expected(self) -> str:
        return "a whole number"


class Number(Voiced, click.types.FloatParamType):
    name = "number"

    def expected(self) -> str:
        return "a number"


class WholeRange(Voiced, click.IntRange):
    name = "number"

    def expected(self) -> str:
        return f"a whole number{_between(self.min, self.max)}"


class NumberRange(Voiced, click.FloatRange):
    name = "number"

    def expected(self) -> str:
        return f"a number{_between(self.min, self.max)}"


class OneOf(Voiced, AnyChoice):
    def expected(self) -> str:
        *others, last = map(str, self.choices)
        return f"{', '.join(others)} or {last}" if others else last


def _between(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f" from {low:g} up" if low is not None else f" up to {high:g}"


def voiced(kind: AnyType) -> AnyType:
    """The same type, in limner's voice where click has one of its own."""
    match kind:
        case Voiced():
            return kind
        case click.Choice():
            return OneOf(kind.choices, kind.case_sensitive)
        case click.IntRange():
            return WholeRange(kind.min, kind.max, kind.min_open, kind.max_open, kind.clamp)
        case click.FloatRange():
            return NumberRange(kind.min, kind.max, kind.min_open, kind.max_open, kind.clamp)
        case click.types.IntParamType():
            return Whole()
        case click.types.FloatParamType():
            return Number()
    return kind


def check_words(command: click.Command) -> click.Command:
    """The same command, whose parameters refuse such words; those of a group's commands too."""
    if isinstance(command, click.Group):
        for part in command.commands.values():
            check_words(part)
    for parameter in command.params:
        kind = parameter.type
        if type(kind) is click.types.StringParamType and parameter.name not in MAY_BE_PATHS:
            parameter.type = Words()
        elif type(kind) is click.Path and not kind.allow_dash:
            parameter.type = FilePath(kind)
        else:
            parameter.type = voiced(kind)
    return command
