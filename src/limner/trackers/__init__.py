"""Experiment trackers by name. One file a tracker; none is imported before it is asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from limner.errors import MissingExtra, OptionError
from limner.protocols import Say
from limner.trackers.protocol import Tracker
from limner.trackers.shielded import Shielded

PROJECT = "limner"
"""Where a tracker puts experiments unless its own settings name a project."""


@dataclass(frozen=True)
class TrackerModule:
    """A row of ``TRACKERS``."""

    module: str
    """Of ours; its ``open_<name>(folder)`` returns the ``Tracker``."""
    package: str
    """What must be installed."""
    extra: str
    """``limner[extra]`` installs it."""


TRACKERS: Mapping[str, TrackerModule] = {
    "comet": TrackerModule("limner.trackers.comet", "comet_ml", "comet"),
    "trackio": TrackerModule("limner.trackers.trackio", "trackio", "trackio"),
    "tensorboard": TrackerModule("limner.trackers.tensorboard", "tensorboard", "tensorboard"),
}


def parse_names(text: str) -> tuple[str, ...]:
    """``comet,trackio`` as names, each once, in order.

    Raises:
        OptionError: no such tracker; the nearest name is in the message.
        MissingExtra: its package isn't installed; what to install is in the message.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in TRACKERS:
            near = difflib.get_close_matches(name, TRACKERS, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}? All" if near else "all"
            raise OptionError(f"There is no tracker {name!r}: {meant} are {', '.join(TRACKERS)}.")
        row = TRACKERS[name]
        if find_spec(row.package) is None:
            raise MissingExtra(
                f"Tracking with {name} needs the package {row.package}: "
                f'pip install "limner[{row.extra}]".'
            )
    return names


def open_trackers(names: Sequence[str], folder: Path, say: Say) -> tuple[Shielded, ...]:
    """A tracker for each name, opened when it first gets something.

    Args:
        names: as ``parse_names`` returned them.
        folder: what is kept on this machine goes to ``folder/<name>``.
        say: gets a sentence when a tracker fails; the run goes on without it.
    """
    return tuple(Shielded(name, _opener(name, folder / name), say) for name in names)


def _opener(name: str, folder: Path) -> Callable[[], Tracker]:
    def opened() -> Tracker:
        module = importlib.import_module(TRACKERS[name].module)
        tracker = getattr(module, f"open_{name}")(folder)
        assert isinstance(tracker, Tracker)
        return tracker

    return opened
