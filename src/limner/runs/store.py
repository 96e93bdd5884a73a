"""A store of runs: they are started, finished, listed, looked up, rated and deleted in it.

A run is a row from the moment it starts. It says which process does it, so that one whose process
is gone is seen to have died, with all that it had.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from limner.errors import StoreError
from limner.runs import files as stored_files
from limner.runs.database import BUSY_SECONDS, Database
from limner.runs.entries import (
    DONE,
    FAILED,
    RATINGS,
    RUNNING,
    KeptFile,
    Row,
    RunEnd,
    RunEntry,
    RunStart,
    Wanted,
)
from limner.runs.garbage import Collecting
from limner.runs.location import Location, locate
from limner.runs.owned import Owned, open_owned
from limner.runs.process import this_process
from limner.runs.queries import listed, status_of
from limner.runs.rows import entries_of, executing, rows_of
from limner.runs.schema import identity, run_files, run_models, run_notes, run_tags, runs

LARGEST_INPUT = 64_000_000
"""Bytes: a larger input isn't copied, and replay reads it from where it lay."""

LATEST = re.compile(r"latest(?:~(\d{1,6}))?")


class Store:
    """A place of runs: a database, and the files that they name.

    Threads and processes may share one place; every call is a transaction of its own.
    """

    def __init__(
        self, database: Database, files: Owned, *, largest_input: int = LARGEST_INPUT
    ) -> None:
        self.database = database
        self.files = files
        self.largest_input = largest_input

    @classmethod
    def open(
        cls,
        store: str | Path | None = None,
        files: str | Path | None = None,
        *,
        create: bool = True,
        busy_seconds: float = BUSY_SECONDS,
        largest_input: int = LARGEST_INPUT,
    ) -> Store:
        """Open a store by the name that a person gives it; see ``location.locate``.

        Args:
            create: make it if there is none.
            largest_input: bytes above which an input isn't copied; 0 copies none.

        Raises:
            StoreError, MissingExtra: see ``database.Database``.
        """
        location = locate(store, files)
        database = Database(location, create=create, busy_seconds=busy_seconds)
        with database.reading() as connection:
            owner = str(connection.scalar(sa.select(identity.c.id)))
        return cls(database, open_owned(location.files, owner), largest_input=largest_input)

    @property
    def location(self) -> Location:
        return self.database.location

    def close(self) -> None:
        self.database.close()

    # --- a run's life -----------------------------------------------------------------------------

    def keep(self, role: str, data: bytes, suffix: str, position: int = 0) -> KeptFile:
        """Keep bytes for a run that is going to name them."""
        return KeptFile(role, self.files.save(data, suffix), len(data), position)

    def begin(self, beginning: RunStart) -> str:
        """A new running run; returns its id."""
        run_id = secrets.token_hex(8)
        process = this_process()
        labels = beginning.labels
        values = {
            "id": run_id,
            "verb": beginning.verb,
            "status": RUNNING,
            "started": now(),
            "words": plain(beginning.words),
            "job": beginning.job,
            "input_digest": beginning.input_digest,
            "input_path": plain(beginning.input_path),
            "host": process.host,
            "pid": process.pid,
            "process_started": process.started,
            "parent_id": labels.parent,
            "sweep_id": labels.sweep,
            "suite_id": labels.suite,
            "cell": labels.cell,
            "asked": json.dumps(beginning.asked),
        }
        with self.database.writing() as connection:
            connection.execute(sa.insert(runs).values(values))
            _add_models(connection, run_id, dict.fromkeys(beginning.models.values()))
            _add_files(connection, run_id, beginning.files)
            _add_tags(connection, run_id, labels.tags)
        return run_id

    def finish(self, run_id: str, ending: RunEnd) -> bool:
        """A run is done. One that was deleted meanwhile stays so. Returns whether it's there."""
        values = {
            "status": DONE,
            "finished": now(),
            "seconds": ending.seconds,
            "peak_bytes": ending.peak_bytes,
            "device_peak_bytes": ending.device_peak_bytes,
            "seed": ending.seed,
            "record": json.dumps(ending.record),
        }
        with self.database.writing() as connection:
            if not connection.execute(_change(run_id, values)).rowcount:
                return False
            _replace_cell(connection, run_id)
            connection.execute(sa.delete(run_models).where(run_models.c.run_id == run_id))
            _add_models(connection, run_id, ending.models)
            _add_files(connection, run_id, ending.files)
        return True

    def fail(self, run_id: str, error: str, seconds: float) -> bool:
        """A run ended with an error. Returns whether it is still there."""
        values = {"status": FAILED, "finished": now(), "seconds": seconds, "error": plain(error)}
        return self._changed(run_id, values)

    def place(self, run_id: str, paths: Sequence[Path]) -> bool:
        """Where a run's results were written outside the store. Returns whether it's there."""
        return self._changed(
            run_id, {"places": json.dumps([str(path.absolute()) for path in paths])}
        )

    def track(self, run_id: str, names: Sequence[str], folder: Path) -> bool:
        """Which trackers were told of a run, and where they keep it. Returns whether it's there."""
        tracked = {"names": list(names), "folder": str(folder.absolute())}
        return self._changed(run_id, {"tracked": json.dumps(tracked)})

    def _changed(self, run_id: str, values: Mapping[str, Any]) -> bool:
        with self.database.writing() as connection:
            return bool(connection.execute(_change(run_id, values)).rowcount)

    # --- looking ----------------------------------------------------------------------------------

    def rows(self, wanted: Wanted | None = None) -> list[Row]:
        """Rows of the runs that are wanted, newest first."""
        with self.database.reading() as connection:
            return listed(executing(connection), wanted or Wanted())

    def get(self, name: str) -> RunEntry:
        """One run by its id, the beginning of its id, or ``latest``, ``latest~1``, …

        Raises:
            StoreError: none, or more than one, is meant.
        """
        with self.database.reading() as connection:
            return entries_of(connection, [self._id(connection, name)])[0]

    def find_by_record(self, record: Mapping[str, Any]) -> RunEntry | None:
        """The run that a result's record comes from: by its id, else the last one that was asked
        for the same; None where this store hasn't got it."""
        same_job = sa.select(runs.c.id).where(
            runs.c.job == str(record.get("job")), runs.c.status == DONE
        )
        with self.database.reading() as connection:
            by_id = entries_of(connection, [str(record.get("run"))])
            if by_id:
                return by_id[0]
            latest = connection.scalar(same_job.order_by(runs.c.started.desc()).limit(1))
            return entries_of(connection, [latest])[0] if latest else None

    def entries(self) -> list[RunEntry]:
        """Every run, oldest first."""
        with self.database.reading() as connection:
            ids = connection.scalars(sa.select(runs.c.id).order_by(runs.c.started, runs.c.id))
            return entries_of(connection, list(ids))

    def _id(self, connection: sa.Connection, name: str) -> str:
        newest = sa.select(runs.c.id).order_by(runs.c.started.desc(), runs.c.id.desc())
        if back := LATEST.fullmatch(name):
            steps = int(back[1] or 0)
            ids = list(connection.scalars(newest.offset(steps).limit(1)))
            if not ids:
                raise StoreError(
                    f"There is no run {name}: {self.location.shown} holds "
                    f"{connection.scalar(sa.select(sa.func.count()).select_from(runs))}."
                )
            return str(ids[0])
        if not re.fullmatch(r"[0-9a-f]{1,16}", name):
            raise StoreError(
                "A run is named by its id or the beginning of it, latest, or latest~1; got "
                f"{name!r}."
            )
        ids = list(connection.scalars(newest.where(runs.c.id.startswith(name)).limit(6)))
        if len(ids) == 1:
            return str(ids[0])
        if ids:
            several = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
            raise StoreError(f"{name} begins the ids of several runs: {several}; type more of it.")
        raise StoreError(
            f"No run's id begins with {name} in {self.location.shown}: limner runs list shows them."
        )

    # --- opinions ---------------------------------------------------------------------------------

    def rate(self, name: str, rating: int | None) -> str:
        """Give a run 1 (bad) to 5 (good), or take its rating back; returns its id."""
        if rating is not None and rating not in RATINGS:
            raise StoreError(f"A rating is a whole number from 1 to 5, got {rating}.")
        with self.database.writing() as connection:
            run_id = self._id(connection, name)
            connection.execute(_change(run_id, {"rating": rating}))
        return run_id

    def note(self, name: str, text: str) -> str:
        """Write something about a run; returns its id."""
        if not text.strip():
            raise StoreError("A note holds words, got nothing.")
        with self.database.writing() as connection:
            run_id = self._id(connection, name)
            values = {"run_id": run_id, "written": now(), "text": plain(text)}
            connection.execute(sa.insert(run_notes).values(values))
        return run_id

    # --- removing ---------------------------------------------------------------------------------

    def delete(self, names: Iterable[str]) -> list[str]:
        """Forget runs; their files stay until ``collect``. Returns the ids. All or none.

        Raises:
            StoreError: a run that isn't there, or one that is still going on.
        """
        with self.database.writing() as connection:
            ids = list(dict.fromkeys(self._id(connection, name) for name in names))
            for row in rows_of(connection, ids):
                if status_of(row) == RUNNING:
                    raise StoreError(
                        f"Run {row['id']} is still going on (process {row['pid']} on "
                        f"{row['host']}): stop it first."
                    )
            connection.execute(sa.delete(runs).where(runs.c.id.in_(ids)))
        return ids

    def collect(
        self, *, grace: float = stored_files.GRACE, remove: bool = True
    ) -> tuple[tuple[stored_files.StoredFile, ...], int]:
        """Remove this store's own files that no run names; see ``garbage.Collecting.own``.

        Returns:
            The files, and how many files stay.
        """
        collection = self.collecting().own(grace=grace, remove=remove)
        return collection.idle, collection.staying

    def collecting(self) -> Collecting:
        if self.location.database is not None:
            return Collecting(self.location)
        return Collecting(self.location, self._named)

    def _named(self) -> tuple[str, frozenset[str]]:
        with self.database.reading() as connection:
            owner = str(connection.scalar(sa.select(identity.c.id)))
            names = connection.scalars(sa.select(run_files.c.name).distinct())
            return owner, frozenset(names)


def now() -> str:
    """UTC with microseconds, always equally long: sorts as text."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def plain(text: str | None) -> str | None:
    """Text that every database takes: file names can hold what is no Unicode, and PostgreSQL takes
    no NUL."""
    if text is None:
        return None
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def _change(run_id: str, values: Mapping[str, Any]) -> sa.Update:
    return sa.update(runs).where(runs.c.id == run_id).values(**values)


def _replace_cell(connection: sa.Connection, run_id: str) -> None:
    """A cell of a sweep or a suite has one run that is done: the last one."""
    own = sa.select(runs.c.cell, runs.c.sweep_id, runs.c.suite_id).where(runs.c.id == run_id)
    cell, sweep, suite = connection.execute(own).one()
    if cell is None:
        return
    connection.execute(
        sa.delete(runs).where(
            runs.c.cell == cell,
            runs.c.sweep_id.is_not_distinct_from(sweep),
            runs.c.suite_id.is_not_distinct_from(suite),
            runs.c.status == DONE,
            runs.c.id != run_id,
        )
    )


def _add_models(connection: sa.Connection, run_id: str, names: Iterable[str]) -> None:
    rows = [
        {"run_id": run_id, "name": (plain(name) or "")[:512], "position": k}
        for k, name in enumerate(names)
    ]
    if rows:
        connection.execute(sa.insert(run_models), rows)


def _add_files(connection: sa.Connection, run_id: str, files: Iterable[KeptFile]) -> None:
    rows = [{"run_id": run_id, **file.to_dict()} for file in files]
    if rows:
        connection.execute(sa.insert(run_files), rows)


def _add_tags(connection: sa.Connection, run_id: str, tags: Iterable[str]) -> None:
    rows = [{"run_id": run_id, "tag": plain(tag)} for tag in dict.fromkeys(tags)]
    if rows:
        connection.execute(sa.insert(run_tags), rows)
