"""The prompt options of a command, kept in the order they were typed.

Order matters: ``--object`` starts the next object and ``--not`` narrows the phrase before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from limner.prompts.syntax import SYNTAX, Draft, parse_objects

Command = TypeVar("Command", bound=Callable[..., Any])

_TYPED = "limner.typed"

_FLAGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--point", "-p"), "point"),
    (("--box", "-b"), "box"),
    (("--mask", "-m"), "mask"),
    (("--text", "--find", "-t"), "text"),
    (("--not",), "not"),
    (("--exemplar", "-e"), "exemplar"),
    (("--like",), "like"),
    (("--not-like",), "not_like"),
    (("--label",), "label"),
)
_METAVARS = {"not": "TEXT", "like": "BOX", "not_like": "BOX", "label": "NAME"}


class ObjectCommand(click.Command):
    """A command that remembers its prompt options in their typed order."""

    def make_parser(self, ctx: click.Context) -> Any:
        """click's parser, which also tells the order: click itself keeps it by option alone."""
        parser: Any = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_in_order(args: list[str]) -> Any:
            values, rest, order = parse(args=args)
            ctx.meta[_TYPED] = tuple(_in_typed_order(values, order))
            return values, rest, order

        parser.parse_args = parse_in_order
        return parser


def _in_typed_order(
    values: Mapping[str, Any], order: Sequence[click.Parameter]
) -> Iterator[tuple[str, str]]:
    """``(name, value)`` of each prompt option, as often as it was typed."""
    names = {name for _, name in _FLAGS} | {"object"}
    left = {name: list(values[name]) for name in names if isinstance(values.get(name), list)}
    for parameter in order:
        if parameter.name == "object":
            yield "object", ""
        elif parameter.name in left:
            yield parameter.name, left[parameter.name].pop(0)


def object_options(command: Command) -> Command:
    """Adds ``--point --box --mask --text --not --exemplar --like --not-like --label --object``."""
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
    return parse_objects(ctx.meta[_TYPED])
