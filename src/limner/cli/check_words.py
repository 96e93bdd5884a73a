"""Refusals that all commands share: text that is no UTF-8, and ``-`` for a file."""

from __future__ import annotations

from typing import Any

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
        return super().convert(value, param, ctx)


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
    return command
