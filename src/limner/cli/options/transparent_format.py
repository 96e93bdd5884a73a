"""``--format``: how a picture with transparency is saved where ``--out`` names no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from limner.cli.batch.output_paths import PICTURES
from limner.cli.batch.streamed import STDOUT
from limner.errors import OptionError, OutputError

Command = TypeVar("Command", bound=Callable[..., Any])

OPAQUE = (".jpg", ".jpeg")
"""Endings of formats without transparency."""
TRANSPARENT = tuple(ending for ending in PICTURES if ending not in OPAQUE)


def format_option(command: Command) -> Command:
    """Adds the format."""
    return click.option(
        "--format",
        "image_format",
        metavar="FORMAT",
        help=f"{', '.join(each[1:] for each in TRANSPARENT)}: of the file, where --out doesn't end "
        "in one [default png]",
    )(command)


def suffix_of(image_format: str | None, out: Path | None) -> str:
    """The ending of the file, such as ``.webp``.

    Raises:
        OutputError: a format without transparency, or one that limner doesn't write.
        OptionError: ``out`` ends in another.
    """
    ending = ".png" if image_format is None else f".{image_format.lower().removeprefix('.')}"
    if ending in OPAQUE:
        raise OutputError(
            f"--format {image_format} has no transparency, which a cut-out needs: take "
            f"{', '.join(each[1:] for each in TRANSPARENT)}."
        )
    if ending not in TRANSPARENT:
        raise OutputError(
            f"--format is one of {', '.join(each[1:] for each in TRANSPARENT)}; "
            f"got {image_format!r}."
        )
    named = "" if out is None or out is STDOUT or out.is_dir() else out.suffix.lower()
    if image_format is not None and named in PICTURES and named != ending:
        raise OptionError(f"--format {image_format} and --out {out} name two formats: give one.")
    return ending
