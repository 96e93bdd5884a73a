"""Which store a command uses: ``--store``, ``--no-store`` and the environment.

========================  ===================================================================
``LIMNER_STORE``          where runs are kept, as ``--store`` takes it; ``off``: nowhere
``LIMNER_STORE_FILES``    where their files are: a folder or an fsspec URL
``LIMNER_STORE_INPUTS``   copy inputs of up to so many megabytes (default 64; 0: none)
========================  ===================================================================
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.errors import OptionError, StoreError

if TYPE_CHECKING:
    from limner.runs.entries import Row, Wanted
    from limner.runs.store import Store

Command = TypeVar("Command", bound=Callable[..., Any])

OFF = ("off", "0", "no", "false", "none")

store_option = click.option(
    "--store",
    metavar="PLACE",
    help="Where runs are kept: a folder, a SQLite file or a database URL "
    "(default: $LIMNER_STORE, or .limner).",
)


def keeping_options(command: Command) -> Command:
    """Adds what every verb takes that records runs."""
    for decorate in (
        click.option("--tag", "tags", multiple=True, help="A word to find this run by."),
        click.option("--no-store", is_flag=True, help="Don't record this run."),
        store_option,
    ):
        command = decorate(command)
    return command


def recording_store(given: Mapping[str, Any]) -> Callable[[], Store] | None:
    """What opens the store of a verb; None where runs aren't to be recorded.

    Raises:
        OptionError: options that exclude each other, or a tag of nothing.
    """
    if given["no_store"] and given["store"]:
        raise OptionError("--store and --no-store exclude each other: give one of them.")
    if not all(tag.strip() and len(tag) <= 256 for tag in given["tags"]):
        raise OptionError("--tag takes a word of up to 256 letters.")
    place = given["store"] or os.environ.get("LIMNER_STORE") or None
    if given["no_store"] or (place and place.lower() in OFF):
        if given["tags"]:
            raise OptionError("--tag has no effect where runs aren't recorded.")
        return None
    return partial(_open, place, create=True)


def opened_store(place: str | None) -> Store:
    """The store that a command looks into; it must be there.

    Raises:
        StoreError: there is none, it can't be opened, or stores are off.
    """
    return _open(_looked_into(place), create=False)


def listed_rows(place: str | None, wanted: Wanted) -> list[Row]:
    """The runs that are wanted, of the store that a command looks into.

    Raises:
        StoreError: as ``opened_store``.
    """
    from limner.runs.listing import quick_rows
    from limner.runs.location import locate

    place = _looked_into(place)
    database = locate(place).database
    rows = quick_rows(database, wanted) if database else None
    return _open(place, create=False).rows(wanted) if rows is None else rows


def _looked_into(place: str | None) -> str | None:
    place = place or os.environ.get("LIMNER_STORE") or None
    if place and place.lower() in OFF:
        raise StoreError(f"Stores are off ({place}): name one with --store.")
    return place


def _open(place: str | None, *, create: bool) -> Store:
    from limner.runs.store import Store

    files = os.environ.get("LIMNER_STORE_FILES") or None
    return Store.open(place, files, create=create, largest_input=_largest_input())


def _largest_input() -> int:
    said = os.environ.get("LIMNER_STORE_INPUTS") or "64"
    try:
        megabytes = float(said)
    except ValueError:
        megabytes = math.nan
    if not 0 <= megabytes < 1e9:
        raise StoreError(f"LIMNER_STORE_INPUTS is a number of megabytes from 0 up, got {said!r}.")
    return round(megabytes * 1e6)
