"""Removing files that no run names, and finding the stores that could name them.

A store's own files lie in a folder of its own (``owned``), which only a copy of its database can
name too. What limner kept before version 3 of stores lies where several stores may share it: such
a file is idle only if no database that can be seen names it, and whoever removes it must know that
there is no other one, such as a PostgreSQL store with the same place of files.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from limner.errors import StoreError
from limner.runs.files import GRACE, Files, StoredFile, is_old
from limner.runs.location import SUFFIXES, Location
from limner.runs.owned import open_owned
from limner.runs.reasons import is_of_the_disk, reason_of

_MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True)
class Names:
    """What one SQLite store names; ``owner`` is empty before version 3."""

    database: Path
    owner: str
    files: frozenset[str]


@dataclass(frozen=True)
class Collection:
    """Files that are idle, and how many stay."""

    idle: tuple[StoredFile, ...]
    staying: int

    @property
    def megabytes(self) -> float:
        return sum(file.size for file in self.idle) / 1e6


def collect(
    files: Files,
    named: Callable[[], frozenset[str]],
    *,
    grace: float = GRACE,
    remove: bool = True,
) -> Collection:
    """Remove the files that aren't named.

    Args:
        named: asked after the files were listed: what comes later isn't looked at.
        grace: what is younger, in seconds, stays: its run may be about to name it.
        remove: otherwise they are only listed.
    """
    stored = list(files.scan())
    names = named()
    idle = tuple(f for f in stored if f.name not in names and is_old(f, grace))
    if remove:
        for file in idle:
            files.remove(file.name)
    return Collection(idle, len(stored) - len(idle))


def names_in(database: Path) -> Names:
    """What the runs of a SQLite store name, of any version, on a full or read-only disk as well.

    Raises:
        StoreError: it can't be read.
    """
    error: Exception | None = None
    for alone in (False, True):
        try:
            with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
                connection.execute("PRAGMA busy_timeout = 20000")
                if alone:  # with the index of WAL in memory: on a full disk it can't be a file
                    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                connection.execute("BEGIN")
                return _names(connection, database)
        except (sqlite3.Error, OSError, ValueError, TypeError) as failure:
            error = error or failure
            if not is_of_the_disk(failure):
                break
    raise StoreError(f"The store {database} can't be read: {reason_of(error or OSError())}.")


def _names(connection: sqlite3.Connection, database: Path) -> Names:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "run_files" not in tables:
        return Names(database, "", frozenset())
    owner = ""
    if "identity" in tables:
        (owner,) = connection.execute("SELECT id FROM identity").fetchone()
    rows = connection.execute("SELECT DISTINCT name FROM run_files")
    return Names(database, owner, frozenset(name for (name,) in rows))


def neighbours(folder: Path, but: Path | None = None) -> Iterator[Names]:
    """The other SQLite stores of a folder; a database of something else is none.

    Raises:
        StoreError: one can't be read, so that nobody knows what it names.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if (but and path.samefile(but)) or not _is_store(path):
            continue
        yield names_in(path)


def _is_store(path: Path) -> bool:
    """Whether a file is a store; one that is damaged may be."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return False
        with contextlib.closing(
            sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
        ) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        return not tables or "run_files" in tables  # none yet: they may still be in its WAL
    except (sqlite3.Error, OSError):
        return True


@dataclass(frozen=True)
class Collecting:
    """``runs gc`` of one store, without opening it: that would write, and the disk may be full.

    Args:
        location: of the store; what it names is read here where it is SQLite's.
        names: of any other store: its id and what it names.
    """

    location: Location
    names: Callable[[], tuple[str, frozenset[str]]] | None = None

    def own(self, *, grace: float = GRACE, remove: bool = True) -> Collection:
        """The store's own files that neither it nor a copy of its database beside it names."""
        owner, _ = self._named()
        if not owner:
            return Collection((), 0)
        own = open_owned(self.location.files, owner).own

        def named() -> frozenset[str]:
            copies = [neighbour.files for neighbour in self._beside() if neighbour.owner == owner]
            return self._named()[1].union(*copies)

        return collect(own, named, grace=grace, remove=remove)

    def shared(self, *, grace: float = GRACE, remove: bool = False) -> Collection:
        """What an older limner kept and no store that can be seen from here names."""
        files = open_owned(self.location.files, "").shared

        def named() -> frozenset[str]:
            return self._named()[1].union(*(neighbour.files for neighbour in self._beside()))

        return collect(files, named, grace=grace, remove=remove)

    def _named(self) -> tuple[str, frozenset[str]]:
        if self.names is not None:
            return self.names()
        assert self.location.database is not None
        names = names_in(self.location.database)
        return names.owner, names.files

    def _beside(self) -> Iterator[Names]:
        """Stores beside the database, and beside the place of files, which is theirs by default."""
        database = self.location.database
        folders = [database.parent] if database else []
        if "://" not in self.location.files:
            folders.append(Path(self.location.files).parent)
        for folder in dict.fromkeys(folders):
            yield from neighbours(folder, database)
