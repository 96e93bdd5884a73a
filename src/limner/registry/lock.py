"""The lock of the model folder: ``models.lock.json``, with a hash for every file.

A hash is only ever recorded from the file itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from limner.errors import FileError, FileMissing, ModelError
from limner.home import home as home
from limner.registry import weight_files
from limner.untrusted.json_toml import read_json_object

LOCK = "models.lock.json"
RECORD = "limner.json"
"""A model's lock entry, kept in its own folder too, so that a copied folder can be checked."""


@dataclass(frozen=True)
class FileHash:
    """What a file was when it was recorded."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class LockEntry:
    """A model's entry in the lock."""

    repo: str | None
    commit: str | None
    """None: the files were copied here by hand and say nothing of their commit."""
    pulled_at: str
    files: Mapping[str, FileHash]
    """By path in the model's folder, with forward slashes."""
    checked_ns: int = 0
    """When the files were last read and hashed here, in ns since 1970; 0: not known."""

    @property
    def digest(self) -> str:
        """SHA-256 over the names and hashes of all files: equal digests are equal models."""
        files = {path: mark.sha256 for path, mark in self.files.items()}
        return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()

    @property
    def sizes(self) -> dict[str, int]:
        return {path: mark.bytes for path, mark in self.files.items()}

    def to_dict(self) -> dict[str, Any]:
        return {
            "repo": self.repo,
            "commit": self.commit,
            "pulled_at": self.pulled_at,
            "checked_ns": self.checked_ns,
            "files": {
                path: {"sha256": mark.sha256, "bytes": mark.bytes}
                for path, mark in sorted(self.files.items())
            },
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any], source: Path) -> LockEntry:
        """The entry in parsed JSON; ``source`` is the file that a complaint names."""
        try:
            files = {path: FileHash(m["sha256"], m["bytes"]) for path, m in data["files"].items()}
            # An older lock has no checked_ns.
            checked = int(data.get("checked_ns") or _end_of_second(data["pulled_at"]))
            return LockEntry(data["repo"], data["commit"], data["pulled_at"], files, checked)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ModelError(f"{source} was not written by limner; move it away.") from error


def read(name: str) -> LockEntry | None:
    """A model's entry in the lock."""
    data = _read_all().get(name)
    return None if data is None else LockEntry.from_dict(data, home() / LOCK)


def write(name: str, entry: LockEntry) -> None:
    """Add or replace one entry; other threads and processes lose none of theirs."""
    _change(lambda models: models | {name: entry.to_dict()})


def remove(name: str) -> None:
    """Take one entry out, if it is there."""
    if name in _read_all():
        _change(lambda models: {key: value for key, value in models.items() if key != name})


def _change(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path = home() / LOCK
    with exclusive(path.with_name(f"{LOCK}.lock")):
        models = change(_read_all())
        text = json.dumps({"version": 1, "models": dict(sorted(models.items()))}, indent=2)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{LOCK}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _read_all() -> dict[str, Any]:
    data = read_json(home() / LOCK) or {"version": 1, "models": {}}
    if data.get("version") != 1 or not isinstance(data.get("models"), dict):
        raise ModelError(f"{home() / LOCK} was not written by this limner; move it away.")
    return dict(data["models"])


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; another process or thread waits."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file that makes up a model, by its path in the folder."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in _paths(folder)}


def newest_ns(folder: Path) -> int:
    """When the latest of a model's files was changed, in ns since 1970."""
    return max((path.stat().st_mtime_ns for path in _paths(folder)), default=0)


def fingerprint(folder: Path) -> str:
    """SHA-256 over the names, sizes and times of a model's files; reads none of them."""
    seen = [
        (path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for path in _paths(folder)
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def marks(folder: Path) -> dict[str, FileHash]:
    """Hash and size of each file that makes up a model. Reads all of them."""
    hashes = {}
    for path in _paths(folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        hashes[path.relative_to(folder).as_posix()] = FileHash(digest, path.stat().st_size)
    return hashes


def _paths(folder: Path) -> Iterator[Path]:
    """All files but our record and what is hidden."""
    for path in sorted(weight_files.walk(folder)):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not hidden and inside.as_posix() != RECORD:
            yield path


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None when there is no such file."""
    try:
        return read_json_object(path)
    except FileMissing:
        return None
    except FileError as error:
        raise ModelError(str(error)) from None


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def checked_now(folder: Path) -> int:
    """``checked_ns`` for files about to be hashed; a file from the future is not younger."""
    return max(time.time_ns(), newest_ns(folder))


def _end_of_second(written: str) -> int:
    """The last moment that ``now`` writes like this, in ns since 1970."""
    return (int(datetime.fromisoformat(written).timestamp()) + 1) * 10**9
