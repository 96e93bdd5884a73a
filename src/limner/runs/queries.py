"""Which runs a list shows, in SQL that SQLite and PostgreSQL both take, whatever carries it there.

A SQLite store is listed by Python's own ``sqlite3``: importing SQLAlchemy takes three to four times
as long as all the rest of ``limner runs list`` (``benchmarks/runs_store.py`` measures it).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from limner.runs.entries import DIED, RUNNING, VERSIONS, Row, Wanted
from limner.runs.process import Process, has_died

CHUNK = 500
"""Ids asked for at once: databases limit the values of one statement."""

COLUMNS = (
    "id", "started", "verb", "status", "words", "input_path", "seconds", "seed", "rating",
    "host", "pid", "process_started",
)  # fmt: skip

LISTED = VERSIONS[1:]
"""Versions that have all that a list shows: an older store needn't be written to be looked at."""

Execute = Callable[[str, Mapping[str, Any]], Iterable[Any]]
"""SQL with ``:name`` for its values -> rows, which give a column by its name."""


def quick_rows(database: Path, wanted: Wanted) -> list[Row] | None:
    """The runs of a SQLite file, newest first; nothing is written.

    None where this can't be told so: no such file, one of another version, or one that can't be
    read. Opening the store says what is wrong.
    """
    try:
        # In WAL mode a reader writes beside the database.
        if not database.exists() or not os.access(database.parent, os.W_OK):
            return None
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")  # one moment's state, over all statements
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if version not in LISTED:
                return None
            return listed(connection.execute, wanted)
    except (sqlite3.Error, OSError, ValueError, TypeError):  # no version is no pair either
        return None


def listed(execute: Execute, wanted: Wanted) -> list[Row]:
    """The runs that are wanted, newest first."""
    conditions, values = _conditions(wanted)
    # Only this machine knows whether a run going on has died: there the limit counts afterwards.
    counts_here = wanted.status in (RUNNING, DIED)
    query = f"SELECT {', '.join(COLUMNS)} FROM runs"
    if conditions:
        query += f" WHERE {' AND '.join(conditions)}"
    query += " ORDER BY started DESC, id DESC"
    if wanted.limit is not None and not counts_here:
        # A number in the SQL itself would make SQLite sort all runs rather than walk its index.
        query += " LIMIT :limit"
        values["limit"] = wanted.limit
    rows = list(execute(query, values))
    if counts_here:
        rows = [row for row in rows if status_of(row) == wanted.status][: wanted.limit]
    ids = [row["id"] for row in rows]
    models = _grouped(execute, "run_models", "name", "position", ids)
    tags = _grouped(execute, "run_tags", "tag", "tag", ids)
    return [row_of(row, models, tags) for row in rows]


def _conditions(wanted: Wanted) -> tuple[list[str], dict[str, Any]]:
    stored = RUNNING if wanted.status == DIED else wanted.status
    conditions = {
        "verb = :verb": ("verb", wanted.verb),
        "status = :status": ("status", stored),
        "started >= :since": ("since", wanted.since),
        "EXISTS (SELECT 1 FROM run_models WHERE run_id = runs.id AND name = :model)": (
            "model",
            wanted.model,
        ),
        "EXISTS (SELECT 1 FROM run_tags WHERE run_id = runs.id AND tag = :tag)": (
            "tag",
            wanted.tag,
        ),
    }
    for label, begins in (("sweep", wanted.sweep), ("suite", wanted.suite)):
        # No LIKE: SQLite's takes capitals for small letters, and _ and % for any.
        conditions[f"substr({label}_id, 1, {len(begins or '')}) = :{label}"] = (label, begins)
    given = {sql: pair for sql, pair in conditions.items() if pair[1] is not None}
    return list(given), dict(given.values())


def row_of(
    row: Any, models: Mapping[str, tuple[str, ...]], tags: Mapping[str, tuple[str, ...]]
) -> Row:
    """A row of the database as a value.

    Args:
        models, tags: of each run, by its id.
    """
    return Row(
        id=row["id"],
        started=row["started"],
        verb=row["verb"],
        status=status_of(row),
        words=row["words"],
        input_path=row["input_path"],
        seconds=row["seconds"],
        seed=row["seed"],
        rating=row["rating"],
        models=models.get(row["id"], ()),
        tags=tags.get(row["id"], ()),
    )


def status_of(row: Any) -> str:
    if row["status"] != RUNNING:
        return cast(str, row["status"])
    process = Process(row["host"], row["pid"], row["process_started"])
    return DIED if has_died(process) else RUNNING


def _grouped(
    execute: Execute, table: str, column: str, order: str, ids: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Run -> the values of a column of its rows in another table."""
    groups: dict[str, tuple[str, ...]] = {}
    for first in range(0, len(ids), CHUNK):
        values = {f"id{k}": run_id for k, run_id in enumerate(ids[first : first + CHUNK])}
        names = ", ".join(f":{name}" for name in values)
        query = f"SELECT run_id, {column} FROM {table} WHERE run_id IN ({names}) ORDER BY {order}"
        for row in execute(query, values):
            groups[row["run_id"]] = (*groups.get(row["run_id"], ()), row[column])
    return groups
