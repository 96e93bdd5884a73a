"""The prompt options of a command, kept in the order they were typed.

Order matters: ``--object`` starts the next object and ``--not`` narrows the phrase before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from limner.cli.help_page import HelpCommand
from limner.prompts.syntax import Draft, parse_objects

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
_METAVARS = {"not": "TEXT", "like": "BOX", "not_like": "BOX", "label": "NAME", "exemplar": "FILE"}
_HELP = {
    "text": 'A phrase, such as "the red cup".',
    "not": "A phrase for what it is not; follows a --text.",
    "box": "Left,top,right,bottom in pixels or percentages.",
    "point": "X,y on the object; x,y:bg (or x,y:0) beside it.",
    "mask": "A picture of its size: bright where the object is, a cut-out of it, or with a hole "
    "erased there.",
    "exemplar": "Example picture, or picture@left,top,right,bottom.",
    "like": "Box of an example in this picture; repeatable.",
    "not_like": "Box of what it isn't like, in this picture.",
    "label": "What the object is called in results.",
}
"""A line each at 80 columns, so that all of them are seen at once; ``SYNTAX`` says more."""


class ObjectCommand(HelpCommand):
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
            help=_HELP[name],
            expose_value=False,
        )(command)
    return command


def drafts(ctx: click.Context) -> tuple[Draft, ...]:
    """What was asked for, as typed.

    Raises:
        PromptError: not the grammar.
    """
    return parse_objects(ctx.meta[_TYPED])
