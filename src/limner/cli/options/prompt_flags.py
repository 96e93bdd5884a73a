"""The prompt options of a command, kept in the order they were typed.

Order matters: ``--object`` starts the next object and ``--not`` narrows the phrase before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.prompts.syntax import SYNTAX, Draft, parse_objects

if TYPE_CHECKING:
    pass

Command = TypeVar("Command", bound=Callable[..., Any])

_SAID = "limner.said"

_FLAGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--point", "-p"), "point"),
    (("--box", "-b"), "box"),
    (("--mask", "-m"), "mask"),
    (("--text", "--find", "-t"), "text"),
    (("--not",), "not"),
    (("--exemplar", "-e"), "exemplar"),
    (("--like",), "like"),
    (("--not-like",), "not_like"),
)
_METAVARS = {"not": "TEXT", "like": "BOX", "not_like": "BOX"}


class ObjectCommand(click.Command):
    """A command that remembers its prompt options in their typed order."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        names = {name for _, name in _FLAGS} | {"object"}
        left = {name: list(values[name]) for name in names if isinstance(values.get(name), list)}
        said = []
        for parameter in order:
            if parameter.name == "object":
                said.append(("object", ""))
            elif parameter.name in left:
                said.append((parameter.name, left[parameter.name].pop(0)))
        ctx.meta[_SAID] = tuple(said)
        return super().parse_args(ctx, args)


def object_options(command: Command) -> Command:
    """Adds ``--point --box --mask --text --not --exemplar --like --not-like --object``."""
    command = click.option(
        "--object", "object", count=True, help="Start the next object.", expose_value=False
    )(command)
    for names, name in reversed(_FLAGS):
        command = click.option(
            *names,
            name,
            multiple=True,
            metavar=_METAVARS.get(name, name.upper()),
            help=SYNTAX[name][0].upper() + SYNTAX[name][1:] + ".",
            expose_value=False,
        )(command)
    return command


def drafts(ctx: click.Context) -> tuple[Draft, ...]:
    """What was asked for, as typed.

    Raises:
        PromptError: not the grammar.
    """
    return parse_objects(ctx.meta[_SAID])
