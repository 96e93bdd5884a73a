"""Rows of the database as values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from limner.errors import StoreError
from limner.runs.entries import KeptFile, Labels, Note, RunEntry
from limner.runs.queries import CHUNK, Execute, row_of
from limner.runs.schema import run_files, run_models, run_notes, run_tags, runs


def executing(connection: sa.Connection) -> Execute:
    """What ``queries.listed`` asks, over SQLAlchemy."""

    def execute(query: str, values: Mapping[str, Any]) -> Iterable[Any]:
        return connection.execute(sa.text(query), values).mappings()

    return execute


def entries_of(connection: sa.Connection, ids: Sequence[str]) -> list[RunEntry]:
    """Everything known of these runs, in this order; what isn't there is left out."""
    entries: dict[str, RunEntry] = {}
    for first in range(0, len(ids), CHUNK):
        chunk = ids[first : first + CHUNK]
        models = _grouped(connection, run_models, "name", chunk, "position")
        tags = _grouped(connection, run_tags, "tag", chunk, "tag")
        files: dict[str, list[KeptFile]] = defaultdict(list)
        for row in _of(connection, run_files, chunk, "role", "position"):
            file = KeptFile(row["role"], row["name"], row["size"], row["position"])
            files[row["run_id"]].append(file)
        notes: dict[str, list[Note]] = defaultdict(list)
        for row in _of(connection, run_notes, chunk, "id"):
            notes[row["run_id"]].append(Note(row["written"], row["text"]))
        for row in connection.execute(sa.select(runs).where(runs.c.id.in_(chunk))).mappings():
            run_id = row["id"]
            entries[run_id] = _entry(row, models, tags, tuple(files[run_id]), tuple(notes[run_id]))
    return [entries[run_id] for run_id in ids if run_id in entries]


def rows_of(connection: sa.Connection, ids: Sequence[str]) -> list[Any]:
    """Rows of runs without what belongs to them; a damaged run has one, too."""
    rows: list[Any] = []
    for first in range(0, len(ids), CHUNK):
        query = sa.select(runs).where(runs.c.id.in_(ids[first : first + CHUNK]))
        rows += connection.execute(query).mappings()
    return rows


def _entry(
    row: Any,
    models: dict[str, tuple[str, ...]],
    tags: dict[str, tuple[str, ...]],
    files: tuple[KeptFile, ...],
    notes: tuple[Note, ...],
) -> RunEntry:
    try:
        return _entry_of(row, models, tags, files, notes)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(
            f"Run {row['id']} is damaged in the store ({type(error).__name__}): limner runs delete "
            f"{row['id']} forgets it."
        ) from None


def _entry_of(
    row: Any,
    models: dict[str, tuple[str, ...]],
    tags: dict[str, tuple[str, ...]],
    files: tuple[KeptFile, ...],
    notes: tuple[Note, ...],
) -> RunEntry:
    return RunEntry(
        row=row_of(row, models, tags),
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
        labels=Labels(
            tags.get(row["id"], ()),
            row["parent_id"],
            row["sweep_id"],
            row["suite_id"],
            row["cell"],
        ),
        files=files,
        places=tuple(json.loads(row["places"] or "[]")),
        notes=notes,
        tracked=json.loads(row["tracked"] or "{}"),
    )


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
    groups: dict[str, tuple[str, ...]] = {}
    for first in range(0, len(ids), CHUNK):
        for row in _of(connection, table, ids[first : first + CHUNK], order):
            groups[row["run_id"]] = (*groups.get(row["run_id"], ()), row[column])
    return groups
