"""The prompt options of a command, kept in the order they were typed.

Order matters: ``--object`` starts the next object and ``--not`` narrows the phrase before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.say import say
from limner.grammar import SYNTAX, BoxDraft, Draft, parse_objects

if TYPE_CHECKING:
    from limner.images import Opened
    from limner.prompts import Exemplar, Mask, VisualPrompt

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


@dataclass
class Opener:
    """Opens the pictures that options name, by the limits of the input; says each note once."""

    max_pixels: int
    said: set[str] = field(default_factory=set)

    def open(self, path: str | Path) -> Opened:
        return self._noted(self._opened(path))

    def mask(self, path: str) -> Mask:
        """A mask picture; see ``mask_pictures`` for which of its pixels it means."""
        from limner.mask_pictures import mask_of
        from limner.prompts import Mask

        opened = self._opened(path)
        mask, sentence = mask_of(opened)
        notes = [note for note in opened.notes if "transparent" not in note]
        self._noted(replace(opened, notes=(*notes, *([sentence] if sentence else []))))
        return Mask(mask)

    def exemplar(self, path: str, box: BoxDraft | None) -> Exemplar:
        """An example picture with the thing's box in it."""
        import numpy as np

        from limner.prompts import Exemplar

        picture = self.open(path).image
        return Exemplar(np.asarray(picture), box.resolve(picture.size) if box else None)

    def _opened(self, path: str | Path) -> Opened:
        from limner import images

        return images.open_image(path, max_pixels=self.max_pixels)

    def _noted(self, opened: Opened) -> Opened:
        for note in opened.notes:
            sentence = f"limner: {opened.path}: {note}"
            if sentence not in self.said:
                say(sentence, err=True)
            self.said.add(sentence)
        return opened


def resolve(
    objects: tuple[Draft, ...], size_wh: tuple[int, int], opener: Opener
) -> list[VisualPrompt]:
    """The prompts for an image of ``size_wh``."""
    return [draft.resolve(size_wh, opener.mask, opener.exemplar) for draft in objects]
