"""What a command keeps: runs in a store, answers of stages in a cache; and the environment.

========================  ===================================================================
``LIMNER_STORE``          where runs are kept, as ``--store`` takes it; ``off``: nowhere
``LIMNER_STORE_FILES``    where their files are: a folder or an fsspec URL
``LIMNER_STORE_INPUTS``   copy inputs of up to so many megabytes (default 64; 0: none)
``LIMNER_CACHE``          a folder for the answers of stages (default: ``cache`` in the store's
                          folder); ``off``: none is kept
``LIMNER_CACHE_SIZE``     keep so many megabytes of them (default 2000)
========================  ===================================================================

Where nothing is typed and ``LIMNER_STORE`` isn't set, the user's configuration names the store.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.configuration import text_of
from limner.errors import OptionError, StoreError

if TYPE_CHECKING:
    from limner.runs.entries import Row, RunEntry, Wanted
    from limner.runs.garbage import Collecting
    from limner.runs.location import Location
    from limner.runs.store import Store
    from limner.session.cache.disk import StageCache

Command = TypeVar("Command", bound=Callable[..., Any])

OFF = ("off", "0", "no", "false", "none")

store_option = click.option(
    "--store",
    metavar="PLACE",
    help="Where runs are kept: a folder, a SQLite file or a database URL "
    "(default: $LIMNER_STORE, or .limner).",
)


no_record_option = click.option(
    "--no-record",
    is_flag=True,
    help="Leave the record of how it was made out of the result, which then can't be found done "
    "already, nor replayed from.",
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


def caching_option(command: Command) -> Command:
    """Adds what every command takes that could find an answer at hand."""
    return click.option(
        "--no-cache",
        is_flag=True,
        help="Compute every stage anew: detections, embeddings and masks of earlier runs don't "
        "count.",
    )(command)


def stage_cache(given: Mapping[str, Any]) -> StageCache | None:
    """Where a command finds and keeps the answers of stages; None: nowhere on disk.

    Who keeps no runs keeps no answers either, unless a folder is named for them.

    Raises:
        OptionError: a size that is none.
    """
    from limner.session.cache.disk import MOST_BYTES, StageCache

    place = os.environ.get("LIMNER_CACHE") or ""
    store = given["store"] or text_of("store") or ""
    unkept = given["no_store"] or store.lower() in OFF
    if given["no_cache"] or place.lower() in OFF or (unkept and not place):
        return None
    folder = Path(place).expanduser() if place else _folder_of(store) / "cache"
    size = os.environ.get("LIMNER_CACHE_SIZE") or str(MOST_BYTES / 1e6)
    megabytes = _number(size)
    if not 0 < megabytes < 1e9:
        raise OptionError(f"LIMNER_CACHE_SIZE is a number of megabytes above 0, got {size!r}.")
    return StageCache(folder.absolute(), round(megabytes * 1e6))


def _folder_of(store: str) -> Path:
    """The folder of a store; the usual one for a database that lies elsewhere."""
    from limner.runs.location import DEFAULT, locate

    if not store or "://" in store:
        return Path(DEFAULT)
    database = locate(store).database
    return database.parent if database else Path(DEFAULT)


def recording_store(given: Mapping[str, Any]) -> Callable[[], Store] | None:
    """What opens the store of a verb; None where runs aren't to be recorded.

    Raises:
        OptionError: options that exclude each other, or a tag of nothing.
    """
    if given["no_store"] and given["store"]:
        raise OptionError("--store and --no-store exclude each other: give one of them.")
    if not all(tag.strip() and len(tag) <= 256 for tag in given["tags"]):
        raise OptionError("--tag takes a word of up to 256 letters.")
    place = given["store"] or text_of("store")
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


def entry_of(store: Store, name: str) -> RunEntry:
    """A run by its id, or by a result that carries its record.

    Raises:
        StoreError: no run is meant, or the record's isn't here.
    """
    from limner.cli.batch.output_paths import os_errors
    from limner.cli.batch.resume import stored

    path = Path(name)
    with os_errors(path, StoreError):
        is_result = bool(path.suffix) and path.is_file()
    if not is_result:
        return store.get(name)
    result = stored(path)
    if result is None:
        raise StoreError(f"{name} carries no record of limner's: name its run by its id.")
    entry = store.find_by_record(result.record)
    if entry is None:
        raise StoreError(
            f"The run that made {name} isn't in {store.location.shown}: name its store with "
            "--store."
        )
    return entry


def new_store(place: str | None) -> Store:
    """The store that a command writes into, made if there is none.

    Raises:
        StoreError: it can't be opened, or stores are off.
    """
    return _open(_looked_into(place), create=True)


def listed_rows(place: str | None, wanted: Wanted) -> list[Row]:
    """The runs that are wanted, of the store that a command looks into.

    Raises:
        StoreError: as ``opened_store``.
    """
    from limner.runs.location import locate
    from limner.runs.queries import quick_rows

    place = _looked_into(place)
    database = locate(place).database
    rows = quick_rows(database, wanted) if database else None
    return _open(place, create=False).rows(wanted) if rows is None else rows


def collecting_of(place: str | None) -> Collecting:
    """What collects the files of the store that a command looks into; SQLite's isn't opened.

    Raises:
        StoreError: as ``opened_store``.
    """
    from limner.runs.garbage import Collecting
    from limner.runs.location import locate

    place = _looked_into(place)
    location = locate(place, os.environ.get("LIMNER_STORE_FILES") or None)
    if location.database is not None and is_there(location):
        return Collecting(location)
    return _open(place, create=False).collecting()


def originals_kept(given: Mapping[str, Any], digest: str) -> tuple[str, ...]:
    """Ids of the runs by which a store keeps the picture with this digest, newest first.

    Where there is no store, or it can't be read, nobody knows: none.
    """
    from limner.errors import LimnerError
    from limner.runs.forget import holding
    from limner.runs.location import locate

    place = given["store"] or text_of("store")
    if place and place.lower() in OFF:
        place = None  # what was recorded before is still there
    try:
        location = locate(place)
        if location.database is not None and not is_there(location):
            return ()
        store = _open(place, create=False)
    except LimnerError:
        return ()
    try:
        return tuple(holding(store, digest))
    except LimnerError:
        return ()
    finally:
        store.close()


def is_there(location: Location) -> bool:
    """Whether a SQLite store can be seen; a name that no file can have is none."""
    try:
        return location.database is not None and location.database.exists()
    except OSError:
        return False


def _looked_into(place: str | None) -> str | None:
    place = place or text_of("store")
    if place and place.lower() in OFF:
        raise StoreError(f"Stores are off ({place}): name one with --store.")
    return place


def _open(place: str | None, *, create: bool) -> Store:
    from limner.runs.store import Store

    files = os.environ.get("LIMNER_STORE_FILES") or None
    return Store.open(place, files, create=create, largest_input=_largest_input())


def _largest_input() -> int:
    text = os.environ.get("LIMNER_STORE_INPUTS") or "64"
    megabytes = _number(text)
    if not 0 <= megabytes < 1e9:
        raise StoreError(f"LIMNER_STORE_INPUTS is a number of megabytes from 0 up, got {text!r}.")
    return round(megabytes * 1e6)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
