"""Runs taken into a store from what ``export_zip.write_zip`` wrote, perhaps by a stranger.

Everything is read and checked before anything is kept: records by their types and lengths, files by
the SHA-256 that is their name. No name of the archive becomes a path.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from limner.errors import FileError, StoreError
from limner.runs.entries import DIED, DONE, FAILED, RATINGS, RUNNING, KeptFile
from limner.runs.export_zip import RECORDS
from limner.runs.files import checked_name, name_of
from limner.runs.schema import run_files, run_models, run_notes, run_tags, runs
from limner.untrusted.json_toml import parse_json

if TYPE_CHECKING:
    from limner.runs.store import Store

MOST_RECORDS = 256_000_000
"""Bytes of all records together, unpacked."""
MOST_RUNS = 100_000
LARGEST_FILE = 2_000_000_000
"""Bytes of one file, unpacked."""

_ENDED = {RUNNING: "was still going on", DIED: "had died"}
_TEXTS = {"verb": 32, "started": 32, "words": 100_000, "job": 64, "input_digest": 64, "host": 1000}
_OPTIONAL = {"finished": 32, "input_path": 10_000, "error": 100_000, "parent": 16, "sweep": 32,
             "suite": 32, "cell": 64}  # fmt: skip
_NUMBERS = {"seconds": float, "peak_bytes": int, "device_peak_bytes": int, "seed": int}


@dataclass(frozen=True)
class Imported:
    """What came of an import: ids that were taken in, ids that were there already, and names of
    files that the archive lacks."""

    ids: tuple[str, ...]
    known: tuple[str, ...]
    missing: tuple[str, ...]


def import_zip(store: Store, path: Path) -> Imported:
    """Take the runs of an archive into a store; those whose id is there already stay as they are.

    Raises:
        StoreError: it is no such archive, or something in it is damaged; then nothing was kept.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = list(_records(archive, path))
            return _import(store, path, archive, records)
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{path} can't be read as what runs export writes: {reason}.") from None


def _import(
    store: Store, path: Path, archive: zipfile.ZipFile, records: list[Mapping[str, Any]]
) -> Imported:
    rows = [_row(record, path) for record in records]
    files = [_files(record, path) for record in records]
    with store.database.reading() as connection:
        stored_ids = set(connection.scalars(sa.select(runs.c.id)))
    new_rows = [k for k, row in enumerate(rows) if row["id"] not in stored_ids]
    sizes = {file.name: file.size for k in new_rows for file in files[k]}
    missing = []
    for name, size in sizes.items():  # all are whole before the first is kept
        if _load(archive, name, size, path) is None:
            missing.append(name)
    for name, size in sizes.items():
        data = _load(archive, name, size, path)
        if data is not None:
            store.files.save(data, Path(name).suffix)
    with store.database.writing() as connection:
        for k in new_rows:
            _insert(connection, rows[k], files[k], records[k])
    ids = tuple(str(rows[k]["id"]) for k in new_rows)
    known_ids = tuple(str(row["id"]) for row in rows if row["id"] in stored_ids)
    return Imported(ids, known_ids, tuple(missing))


def _records(archive: zipfile.ZipFile, path: Path) -> Iterator[Mapping[str, Any]]:
    if RECORDS not in archive.namelist():
        raise StoreError(f"{path} holds no {RECORDS}: it isn't what limner runs export writes.")
    text = _bounded(archive, RECORDS, MOST_RECORDS, path)
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) > MOST_RUNS:
        raise StoreError(f"{path} holds {len(lines)} runs; at most {MOST_RUNS} are taken at once.")
    ids = set()
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line, RECORDS, ours=True)
        except FileError:
            record = None
        if not isinstance(record, dict) or not re.fullmatch(r"[0-9a-f]{16}", str(record.get("id"))):
            raise StoreError(f"{path}: line {number} of {RECORDS} is no run.")
        if record["id"] in ids:
            raise StoreError(f"{path} holds run {record['id']} twice.")
        ids.add(record["id"])
        yield record


def _bounded(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    """A member's bytes: no more than ``most`` are unpacked, whatever its header says."""
    with archive.open(name) as member:
        data = member.read(most + 1)
    if len(data) > most:
        raise StoreError(f"{path}: {name[:80]} is larger than the {most} bytes that it may have.")
    return data


def _load(archive: zipfile.ZipFile, name: str, size: int, path: Path) -> bytes | None:
    """A file's bytes, which are what its name says; None where the archive hasn't got it."""
    member = f"files/{name}"
    if member not in archive.NameToInfo:
        return None
    data = _bounded(archive, member, size, path)
    if name_of(data, Path(name).suffix) != name:
        raise StoreError(f"{path}: {name} was changed or damaged: its content isn't its name's.")
    return data


def _row(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A row of ``runs``.

    Raises:
        StoreError: a value of another kind, or a longer one, than a store holds.
    """

    def refuse(name: str) -> StoreError:
        shown = repr(record.get(name))[:60]
        return StoreError(f"{path}: run {record['id']} has a {name} that can't be one: {shown}.")

    row: dict[str, Any] = {"id": record["id"], "pid": 0, "process_started": 0.0}
    for name, most in {**_TEXTS, **_OPTIONAL}.items():
        text = record.get(name)
        if not (text is None and name in _OPTIONAL) and not (
            isinstance(text, str) and len(text) <= most and "\0" not in text
        ):
            raise refuse(name)
        row[f"{name}_id" if name in ("parent", "sweep", "suite") else name] = text
    for name, kind in _NUMBERS.items():
        value: Any = record.get(name)
        row[name] = value
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refuse(name)
        if (kind is int and isinstance(value, float)) or not -(2**63) <= value < 2**63:
            raise refuse(name)
    status = record.get("status")
    if status in _ENDED:  # its process isn't here: nobody could say that it ended
        status, row["error"] = FAILED, f"It {_ENDED[status]} when it was exported."
    if status not in (DONE, FAILED):
        raise refuse("status")
    row["status"] = status
    for name in ("asked", "record", "tracked"):
        nested = record.get(name) or {}
        if not isinstance(nested, dict):
            raise refuse(name)
        row[name] = json.dumps(nested)
    if record.get("rating") not in (None, *RATINGS):
        raise refuse("rating")
    row["rating"] = record.get("rating")
    row["places"] = json.dumps(_texts(record, "places", 10_000, refuse))
    for name in ("models", "tags"):
        _texts(record, name, 512, refuse)
    if not all(
        isinstance(note, dict) and {type(note.get("text")), type(note.get("written"))} == {str}
        for note in record.get("notes", [])
    ):
        raise refuse("notes")
    return row


def _texts(record: Mapping[str, Any], name: str, most: int, refuse: Any) -> list[str]:
    value = record.get(name, [])
    if not isinstance(value, list) or not all(
        isinstance(text, str) and len(text) <= most and "\0" not in text for text in value
    ):
        raise refuse(name)
    return list(dict.fromkeys(value))


def _files(record: Mapping[str, Any], path: Path) -> list[KeptFile]:
    files = []
    try:
        for entry in record.get("files", []):
            role, size, position = (
                str(entry["role"])[:16],
                int(entry["size"]),
                int(entry["position"]),
            )
            if not 0 <= size <= LARGEST_FILE or not 0 <= position < 10_000_000:
                raise ValueError
            files.append(KeptFile(role, checked_name(entry["name"]), size, position))
        if len({(file.role, file.position) for file in files}) < len(files):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StoreError(
            f"{path}: the files of run {record['id']} aren't a list of files."
        ) from None
    return files


def _insert(
    connection: sa.Connection,
    row: Mapping[str, Any],
    files: list[KeptFile],
    record: Mapping[str, Any],
) -> None:
    own = {"run_id": row["id"]}
    connection.execute(sa.insert(runs).values(dict(row)))
    models = [
        {**own, "name": name, "position": k}
        for k, name in enumerate(dict.fromkeys(record.get("models", [])))
    ]
    tags = [{**own, "tag": tag[:256]} for tag in dict.fromkeys(record.get("tags", []))]
    notes = [
        {**own, "written": note["written"][:32], "text": note["text"].replace("\0", "")}
        for note in record.get("notes", [])
    ]
    for table, values in (
        (run_models, models),
        (run_tags, tags),
        (run_notes, notes),
        (run_files, [{**own, **file.to_dict()} for file in files]),
    ):
        if values:
            connection.execute(sa.insert(table), values)
