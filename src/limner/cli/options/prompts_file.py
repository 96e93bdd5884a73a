"""``--prompts FILE``: what is asked of each picture stands in a file instead of on the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.batch.output_paths import places
from limner.cli.batch.settings import Settings
from limner.cli.console import say_note
from limner.cli.options.prompt_flags import drafts
from limner.errors import OptionError, PromptError
from limner.prompts.syntax import Draft
from limner.session.prompt_files import Opener, resolve

if TYPE_CHECKING:
    from limner.prompts import VisualPrompt
    from limner.session import Source
    from limner.session.labelling.prompt_table import PromptTable

Command = TypeVar("Command", bound=Callable[..., Any])

MOST_NAMES = 3
"""Pictures that are named in a sentence about many."""


def prompts_option(command: Command) -> Command:
    """Adds the file of prompts."""
    return click.option(
        "--prompts",
        "prompts_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Each picture's own prompts: boxes or points (.csv, COCO, YOLO, VOC), or phrases of "
        "classes (.yaml).",
    )(command)


@dataclass(frozen=True)
class AskedPrompts:
    """What a command asks of its pictures: all the same, as typed, or each its own, by a file."""

    typed: tuple[Draft, ...] = ()
    table: PromptTable | None = None

    def __bool__(self) -> bool:
        return bool(self.typed) or self.table is not None

    @property
    def phrases(self) -> Sequence[str]:
        """Of the file, for all pictures."""
        return self.table.phrases if self.table else ()

    @property
    def classes(self) -> list[str]:
        """The file's, in its order."""
        return list(self.table.classes) if self.table else []

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """As typed, or what stands for a file's prompts where no picture is open."""
        return self.table.stand_ins() if self.table else self.typed

    def for_source(self, source: Source, opener: Opener) -> list[VisualPrompt]:
        """The prompts of an opened picture.

        Raises:
            PromptError, InputError: nothing is asked of it, or a prompt lies outside it.
        """
        if self.table is None:
            return resolve(self.typed, source.image.size, opener)
        return self.table.prompts_for(Path(str(source.path)), source.image.size)


def asked_prompts(ctx: click.Context, given: dict[str, Any], settings: Settings) -> AskedPrompts:
    """What was typed, or the file that was named, which is for some of the inputs at least.

    Raises:
        OptionError: both.
        PromptError, InputError: the file can't be meant, or holds nothing for these pictures.
    """
    typed, file = drafts(ctx), given.get("prompts_file")
    if file is None:
        return AskedPrompts(typed)
    if typed:
        raise OptionError(
            "--prompts says what is asked of each picture: give it, or --point, --box, --mask, "
            "--text, --exemplar and --like."
        )
    from limner.session.labelling.read_prompts import read_prompts

    table = read_prompts(file, settings.image if settings.only_folder else None)
    for note in table.notes:
        say_note(note)
    if not table.everywhere:
        _check_for_these(table, [path for path, _ in places(settings)])
    return AskedPrompts(table=table)


def _check_for_these(table: PromptTable, inputs: Sequence[Path]) -> None:
    """Refuse prompts for other pictures alone; of some others say that they weren't used."""
    names = [table.names.find(path.absolute().as_posix()) for path in inputs]
    if not any(name is not None and table.of_picture[name] for name in names):
        these = str(inputs[0]) if len(inputs) == 1 else f"any of these {len(inputs)} pictures"
        raise PromptError(
            f"{table.source} holds no prompt for {these}: it is for {_listed(table.of_picture)}."
        )
    used = set(names)
    if others := [name for name in table.of_picture if name not in used]:
        say_note(f"{table.source} is also for pictures that aren't among these: {_listed(others)}.")


def _listed(names: Any) -> str:
    each = list(names)
    return ", ".join(each[:MOST_NAMES]) + (", …" if len(each) > MOST_NAMES else "")
