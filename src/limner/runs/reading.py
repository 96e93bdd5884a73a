"""Rows of the database as values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, cast

import sqlalchemy as sa

from limner.runs.entries import DIED, RUNNING, Entry, KeptFile, Labels, Note, Row, Wanted
from limner.runs.process import Process, has_died
from limner.runs.schema import run_files, run_models, run_notes, run_tags, runs

CHUNK = 500
"""Ids asked for at once: databases limit the values of one statement."""

_LISTED = tuple(
    runs.c[name]
    for name in (
        "id", "started", "verb", "status", "words", "input_path", "seconds", "seed", "rating",
        "host", "pid", "process_started",
    )
)  # fmt: skip


def listed(connection: sa.Connection, wanted: Wanted) -> list[Row]:
    """The runs that are wanted, newest first."""
    query = sa.select(*_LISTED).order_by(runs.c.started.desc(), runs.c.id.desc())
    if wanted.verb is not None:
        query = query.where(runs.c.verb == wanted.verb)
    if wanted.status is not None:
        stored = RUNNING if wanted.status == DIED else wanted.status
        query = query.where(runs.c.status == stored)
    if wanted.since is not None:
        query = query.where(runs.c.started >= wanted.since)
    for label, begins in (("sweep_id", wanted.sweep), ("suite_id", wanted.suite)):
        if begins is not None:
            query = query.where(runs.c[label].startswith(begins, autoescape=True))
    for table, column, value in (
        (run_models, "name", wanted.model),
        (run_tags, "tag", wanted.tag),
    ):
        if value is not None:
            query = query.where(
                sa.exists().where(table.c.run_id == runs.c.id, table.c[column] == value)
            )
    # Only this machine knows whether a run going on has died: there the limit counts afterwards.
    counts_here = wanted.status in (RUNNING, DIED)
    if wanted.limit is not None and not counts_here:
        query = query.limit(wanted.limit)
    found = list(connection.execute(query).mappings())
    if counts_here:
        found = [row for row in found if _status(row) == wanted.status][: wanted.limit]
    models = _grouped(connection, run_models, "name", [row["id"] for row in found], "position")
    tags = _grouped(connection, run_tags, "tag", [row["id"] for row in found], "tag")
    return [_row(row, models, tags) for row in found]


def entries_of(connection: sa.Connection, ids: Sequence[str]) -> list[Entry]:
    """Everything known of these runs, in this order; what isn't there is left out."""
    found: dict[str, Entry] = {}
    for first in range(0, len(ids), CHUNK):
        some = ids[first : first + CHUNK]
        models = _grouped(connection, run_models, "name", some, "position")
        tags = _grouped(connection, run_tags, "tag", some, "tag")
        files: dict[str, list[KeptFile]] = defaultdict(list)
        for row in _of(connection, run_files, some, "role", "position"):
            file = KeptFile(row["role"], row["name"], row["size"], row["position"])
            files[row["run_id"]].append(file)
        notes: dict[str, list[Note]] = defaultdict(list)
        for row in _of(connection, run_notes, some, "id"):
            notes[row["run_id"]].append(Note(row["written"], row["text"]))
        for row in connection.execute(sa.select(runs).where(runs.c.id.in_(some))).mappings():
            run_id = row["id"]
            found[run_id] = _entry(row, models, tags, tuple(files[run_id]), tuple(notes[run_id]))
    return [found[run_id] for run_id in ids if run_id in found]


def _entry(
    row: Any,
    models: dict[str, tuple[str, ...]],
    tags: dict[str, tuple[str, ...]],
    files: tuple[KeptFile, ...],
    notes: tuple[Note, ...],
) -> Entry:
    return Entry(
        row=_row(row, models, tags),
        job=row["job"],
        asked=json.loads(row["asked"]),
        record=json.loads(row["record"]) if row["record"] else {},
        input_digest=row["input_digest"],
        finished=row["finished"],
        error=row["error"],
        host=row["host"],
        pid=row["pid"],
        peak_bytes=row["peak_bytes"],
        device_peak_bytes=row["device_peak_bytes"],
        labels=Labels(tags.get(row["id"], ()), row["parent_id"], row["sweep_id"], row["suite_id"]),
        files=files,
        places=tuple(json.loads(row["places"] or "[]")),
        notes=notes,
    )


def _row(row: Any, models: dict[str, tuple[str, ...]], tags: dict[str, tuple[str, ...]]) -> Row:
    return Row(
        id=row["id"],
        started=row["started"],
        verb=row["verb"],
        status=_status(row),
        words=row["words"],
        input_path=row["input_path"],
        seconds=row["seconds"],
        seed=row["seed"],
        rating=row["rating"],
        models=models.get(row["id"], ()),
        tags=tags.get(row["id"], ()),
    )


def _status(row: Any) -> str:
    if row["status"] != RUNNING:
        return cast(str, row["status"])
    process = Process(row["host"], row["pid"], row["process_started"])
    return DIED if has_died(process) else RUNNING


def _of(
    connection: sa.Connection, table: sa.Table, ids: Sequence[str], *order: str
) -> Iterable[Any]:
    columns = [table.c[name] for name in order]
    query = sa.select(table).where(table.c.run_id.in_(ids)).order_by(*columns)
    return connection.execute(query).mappings()


def _grouped(
    connection: sa.Connection, table: sa.Table, column: str, ids: Sequence[str], order: str
) -> dict[str, tuple[str, ...]]:
    """Run -> the values of a column of its rows in another table."""
    found: dict[str, tuple[str, ...]] = {}
    for first in range(0, len(ids), CHUNK):
        for row in _of(connection, table, ids[first : first + CHUNK], order):
            found[row["run_id"]] = (*found.get(row["run_id"], ()), row[column])
    return found
