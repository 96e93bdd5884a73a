"""How ``--help`` is laid out: one sentence, two examples, flags under headings, then the rest.

A docstring holds all of it: its first paragraph is the sentence, paragraphs that click leaves as
they are (``\\b``) are examples, and what else it says comes below the flags, where a terminal stops
scrolling.
"""

from __future__ import annotations

import inspect
import shlex
from dataclasses import dataclass

import click

from limner.cli.help_groups import grouped

RAW = "\b"
WIDEST_FLAG = 30
"""Columns that a flag may take before its text begins on the next line."""
WIDEST_CHOICES = 48
"""Columns of a flag with its choices between brackets."""


@dataclass(frozen=True)
class HelpText:
    """A docstring's parts; an example may go over several lines, each but the last ends in a
    backslash."""

    summary: str = ""
    examples: tuple[str, ...] = ()
    prose: tuple[str, ...] = ()

    @classmethod
    def of(cls, docstring: str | None) -> HelpText:
        paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
        raw = [part.removeprefix(RAW).strip("\n") for part in paragraphs if part.startswith(RAW)]
        summary, *prose = [part for part in paragraphs if not part.startswith(RAW)]
        return cls(summary, tuple(raw), tuple(prose))

    @property
    def commands(self) -> list[list[str]]:
        """Each example as the words that a shell makes of it."""
        lines = "\n".join(self.examples).replace("\\\n", " ").splitlines()
        return [shlex.split(line) for line in lines if line.strip()]


def _row(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    """A flag and its text; a long list of choices stands in the text, which is broken."""
    flag, text = option.get_help_record(ctx) or ("", "")
    if len(flag) > WIDEST_CHOICES and isinstance(option.type, click.Choice):
        flag = flag.partition("[")[0] + "WHICH"
        text = f"{text} One of {', '.join(map(str, option.type.choices))}."
    return flag, text


class HelpCommand(click.Command):
    """A command whose help is laid out so."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """click's, whose errors all say of which command they are."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        text = HelpText.of(self.help)
        for paragraph in (text.summary, *(f"{RAW}\n{each}" for each in text.examples)):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(paragraph)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, options in grouped(self.get_params(ctx)).items():
            rows = [_row(option, ctx) for option in options]
            with formatter.section(heading):
                formatter.write_dl(rows, col_max=WIDEST_FLAG)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for paragraph in HelpText.of(self.help).prose:
            formatter.write_paragraph()
            formatter.write_text(paragraph)


class HelpGroup(HelpCommand, click.Group):
    """A group, whose own commands say their whole sentence in its help."""

    command_class = HelpCommand

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, " ".join(HelpText.of(command.help).summary.split()))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
