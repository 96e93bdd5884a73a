"""``--track``: the flags, and trackers for as long as a command runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.configuration import default_trackers
from limner.cli.console import say
from limner.home import WORKING_FOLDER

if TYPE_CHECKING:
    from limner.trackers.protocol import Tracker

Command = TypeVar("Command", bound=Callable[..., Any])


def _names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Refuse what can't be tracked with now, before anything is opened or loaded."""
    if not value:
        return ()
    from limner.trackers import parse_names

    return parse_names(value)


def tracking_options(command: Command) -> Command:
    """Adds where runs are recorded besides."""
    for option in (
        click.option(
            "--track-to",
            type=click.Path(path_type=Path),
            default=Path(WORKING_FOLDER),
            envvar="LIMNER_TRACK_TO",
            show_default=True,
            help="Folder of what trackers keep on this machine.",
        ),
        click.option(
            "--track",
            default=default_trackers,
            show_default=False,
            metavar="NAMES",
            envvar="LIMNER_TRACK",
            callback=_names,
            help="Also tell comet, trackio, tensorboard (with commas between); offline "
            "unless the tracker has a key. LIMNER_TRACK says the same.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def tracking(names: Sequence[str], folder: Path) -> Iterator[Sequence[Tracker]]:
    """Recorders that are ended, and said where they are, however the command ends."""
    if not names:
        yield ()
        return
    from limner.session.track import end_all
    from limner.trackers import open_trackers

    recorders = open_trackers(names, folder, lambda sentence: say(f"limner: {sentence}", err=True))
    try:
        yield recorders
    finally:
        for place in end_all(recorders):
            say(f"limner: tracked in {place}", err=True)
