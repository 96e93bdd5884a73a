"""Files kept by content: the name is the SHA-256 of the bytes, so that nothing is kept twice.

A file is written to a temporary name and then renamed: under its own name it is always whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from limner.errors import LimnerError, MissingExtra, StoreError
from limner.home import HIDDEN, temporary_name

GRACE = 3600.0
"""Seconds for which a file that no run names is left alone: its run may be about to name it."""


@dataclass(frozen=True)
class StoredFile:
    """A file in the store. ``modified`` in seconds since 1970, None where it isn't known."""

    name: str
    size: int
    modified: float | None


class Files(Protocol):
    """A place of files; what fails is a ``StoreError``."""

    @property
    def place(self) -> str: ...

    def save(self, data: bytes, suffix: str) -> str:
        """Keep bytes; returns the name. What is there already isn't written again."""
        ...

    def load(self, name: str) -> bytes:
        """The bytes of a file, which are what its name says."""
        ...

    def path(self, name: str) -> Path | None:
        """Where a file lies on this machine; None if it doesn't."""
        ...

    def scan(self) -> Iterator[StoredFile]: ...

    def remove(self, name: str) -> None: ...


def open_files(place: str) -> Files:
    """The files of a folder or an fsspec URL; nothing is made yet.

    Raises:
        StoreError, MissingExtra: no such kind of URL, or its driver isn't installed.
    """
    if "://" not in place:
        return Folder(place)
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise MissingExtra(f"Files at {place} need a package that isn't here: {error}.") from None
    except (ValueError, OSError) as error:
        raise StoreError(f"{place} can't hold a store's files: {error}.") from None
    return Remote(place, system, root)


NAME = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,8})?")
"""What a file is called: anything else may come from a stranger, and lead out of the folder."""


def checked_name(name: str) -> str:
    """The name, if it is one.

    Raises:
        StoreError: it isn't what ``name_of`` makes.
    """
    if not NAME.fullmatch(name):
        raise StoreError(
            f"A file of a run is named by its SHA-256 and a suffix; got {name[:80]!r}."
        )
    return name


def name_of(data: bytes, suffix: str) -> str:
    """The name under which bytes are kept. One content always has one suffix, which its writer
    takes from the bytes themselves."""
    return hashlib.sha256(data).hexdigest() + suffix


def _checked(data: bytes, name: str, place: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
        raise StoreError(f"{name} in {place} was changed or damaged: its content isn't its name's.")
    return data


@dataclass(frozen=True)
class Folder:
    """Files in a folder of this machine: ``ab/abcd….png``."""

    place: str

    def save(self, data: bytes, suffix: str) -> str:
        from limner.io.save import write_atomic  # which loads Pillow: a list of runs needs none

        name = name_of(data, suffix)
        path = self._path(name)
        try:
            if path.exists():
                os.utime(path)  # young again, so that a collection going on leaves it alone
            else:
                write_atomic(path, data, overwrite=True)
        except OSError as error:
            raise StoreError(f"{path} can't be written: {error.strerror or error}.") from error
        except LimnerError as error:
            raise StoreError(str(error)) from error
        return name

    def load(self, name: str) -> bytes:
        path = self._path(name)
        try:
            return _checked(path.read_bytes(), name, self.place)
        except OSError as error:
            raise StoreError(f"{path} can't be read: {error.strerror or error}.") from error

    def path(self, name: str) -> Path | None:
        path = self._path(name)
        return path if path.is_file() else None

    def scan(self) -> Iterator[StoredFile]:
        try:
            for path in sorted(Path(self.place).glob("??/*")):
                status = path.stat()
                yield StoredFile(path.name, status.st_size, status.st_mtime)
        except OSError as error:
            raise StoreError(f"{self.place} can't be read: {error.strerror or error}.") from error

    def remove(self, name: str) -> None:
        if name.startswith(HIDDEN):  # what a killed writer left lies beside the others
            paths = list(Path(self.place).glob(f"??/{name}"))
        else:
            paths = [self._path(name)]
        path = Path(self.place)
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} can't be removed: {error.strerror or error}.") from error

    def _path(self, name: str) -> Path:
        return Path(self.place) / name[:2] / checked_name(name)


@dataclass(frozen=True)
class Remote:
    """Files anywhere that fsspec reaches."""

    place: str
    system: Any
    root: str

    def save(self, data: bytes, suffix: str) -> str:
        name = name_of(data, suffix)
        with self._said("written"):
            if not self.system.exists(self._path(name)):
                self.system.makedirs(f"{self.root}/{name[:2]}", exist_ok=True)
                temporary = f"{self.root}/{name[:2]}/{temporary_name()}"
                self.system.pipe_file(temporary, data)
                self.system.mv(temporary, self._path(name))
        return name

    def load(self, name: str) -> bytes:
        with self._said("read"):
            data: bytes = self.system.cat_file(self._path(name))
        return _checked(data, name, self.place)

    def path(self, name: str) -> Path | None:
        return None

    def scan(self) -> Iterator[StoredFile]:
        with self._said("read"):
            if not self.system.exists(self.root):
                return
            listing = self.system.find(self.root, detail=True)
        for path, facts in sorted(listing.items()):
            if len(path.split("/")[-2]) != 2:
                continue  # of another store, whose folder lies here too
            modified = facts.get("mtime") or facts.get("LastModified") or facts.get("created")
            stamp = getattr(modified, "timestamp", None)
            yield StoredFile(
                path.rpartition("/")[2], int(facts["size"] or 0), stamp() if stamp else modified
            )

    def remove(self, name: str) -> None:
        path = f"{self.root}/??/{name}" if name.startswith(HIDDEN) else self._path(name)
        with self._said("written"):
            for match in self.system.glob(path):
                self.system.rm_file(match)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name[:2]}/{checked_name(name)}"

    @contextlib.contextmanager
    def _said(self, verb: str) -> Iterator[None]:
        """A driver may raise anything: what it says becomes one sentence."""
        try:
            yield
        except LimnerError:
            raise
        except Exception as error:
            message = str(error) or type(error).__name__
            raise StoreError(f"{self.place} can't be {verb}: {message}.") from error


def is_old(file: StoredFile, grace: float = GRACE) -> bool:
    """Whether a file that no run names may be removed."""
    return file.modified is None or time.time() - file.modified > grace
