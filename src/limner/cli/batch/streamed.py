"""``--out -``: the picture goes to stdout, and what is said to stderr."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from limner.cli.batch.settings import Settings
from limner.cli.console import say_note
from limner.errors import NothingFound, OptionError, OutputError

STDOUT = Path("-")
"""What ``OutPath`` makes of ``-``, told by identity: ``./-`` is a file, and an equal path."""


class OutPath(click.Path):
    """A path to write to, or ``-``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return STDOUT if value == "-" else super().convert(value, param, ctx)


@contextmanager
def streamed(settings: Settings) -> Iterator[Settings]:
    """The settings to work by; where ``--out`` is ``-``, the picture goes to stdout at the end.

    Raises:
        OutputError: there is more than one picture, or stdout is a terminal.
        OptionError: stdout is wanted for JSON too.
        NothingFound: there is no picture to write.
    """
    if settings.out is not STDOUT:
        yield settings
        return
    _check(settings)
    with tempfile.TemporaryDirectory(prefix="limner-") as folder:
        picture = Path(folder) / f"{settings.image.stem}-{settings.verb}{settings.suffix}"
        stdout = sys.stdout
        with redirect_stdout(sys.stderr):
            yield replace(settings, out=picture, is_streamed=True)
        if not picture.is_file():
            raise NothingFound("Nothing was found, so there is no picture to write to stdout.")
        if more := len([*Path(folder).glob(f"{picture.stem}-*{picture.suffix}")]):
            say_note(f"stdout holds one picture; {more} more need --out with a file's name.")
        stdout.buffer.write(picture.read_bytes())
        stdout.flush()


def _check(settings: Settings) -> None:
    if settings.as_json or settings.json_objects:
        raise OptionError("--out - writes the picture to stdout, where JSON would go: give one.")
    if len(settings.images) > 1 or settings.image.is_dir():
        raise OutputError("--out - is for one picture: give one input, or --out with a folder.")
    if sys.stdout.isatty():
        raise OutputError(
            "--out - would write the picture into the terminal: give a file's name, or send it "
            "on (limner … -o - > picture.png)."
        )
