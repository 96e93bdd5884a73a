"""Flags of how things are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from limner.cli.help_groups import SETTINGS, GroupedOption
from limner.cli.options.flags import flags
from limner.cli.options.prompt_flags import object_options
from limner.ops.selection import SELECT_SYNTAX
from limner.options import DetectOptions, SegmentOptions

Command = TypeVar("Command", bound=Callable[..., Any])


def finding_options(command: Command) -> Command:
    """Adds what every verb that looks for things takes."""
    for decorate in (
        flags(SegmentOptions),
        click.option("--segmenter", help="Model that outlines: a name, or a folder (./my-sam)."),
        detecting_options,
        object_options,
    ):
        command = decorate(command)
    return command


def detecting_options(command: Command) -> Command:
    """Adds what turns words and examples into boxes."""
    for decorate in (
        click.option(
            "--select",
            cls=GroupedOption,
            heading=SETTINGS["DetectOptions"],
            multiple=True,
            metavar="WHICH",
            help=f"Keep of each prompt's finds: {SELECT_SYNTAX}.",
        ),
        click.option(
            "--threshold-for",
            cls=GroupedOption,
            heading=SETTINGS["DetectOptions"],
            multiple=True,
            metavar="PHRASE=SCORE",
            help="Least score for one phrase's boxes, such as dog=0.3.",
        ),
        flags(DetectOptions, leave_out=frozenset({"phrase_thresholds"})),
        click.option(
            "--detector",
            help="Model that turns words into boxes: a name, or a folder; several with + between "
            "them answer together (haar+mini-owlvit).",
        ),
    ):
        command = decorate(command)
    return command


def captioning_options(command: Command) -> Command:
    """Adds what lets a captioner say what is to be found."""
    for decorate in (
        click.option(
            "--captioner", help="Model that says what is here: a name, or a folder (./my-blip)."
        ),
        click.option(
            "--what-is-here",
            is_flag=True,
            help="Find each thing that a caption of it names.",
        ),
    ):
        command = decorate(command)
    return command
