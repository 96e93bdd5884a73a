"""Results as they come, a line each, so that a killed run loses nothing and repeats nothing.

A line is written whole and reaches the disk before the next cell is counted done. What a kill cuts
off is the last line: it is known by its missing end, and taken away before the next is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from limner.errors import FileError, OutputError
from limner.evaluation.cells.results import CellResult
from limner.evaluation.suites.baseline import MOST_BYTES
from limner.home import TEMPORARIES
from limner.io.save import write_atomic
from limner.untrusted.json_toml import parse_json
from limner.untrusted.regular_files import read_bytes, read_text

CELLS = "cells.jsonl"
PICTURES = "pictures"
LOCK = "lock"
BEGUN = "begun"
"""The file that holds the id of the eval that was begun last."""


class Journal:
    """A folder with ``cells.jsonl`` and the pictures that its lines name.

    Args:
        folder: made if need be.
        keep: go on from what stands there; otherwise that is removed.
        eval_id: of the eval that begins; empty: it has none.

    Raises:
        OutputError: the folder can't be written.
    """

    def __init__(self, folder: Path, *, keep: bool, eval_id: str = "") -> None:
        self.folder = folder
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = folder / CELLS
        for remains in self.pictures.glob(TEMPORARIES):  # of a run that was killed
            remains.unlink(missing_ok=True)
        if not keep:
            for old in (path, *self.pictures.glob("*.jpg"), *self.pictures.glob("*.png")):
                old.unlink(missing_ok=True)
        write_atomic(folder / BEGUN, eval_id, overwrite=True)
        content = read_bytes(path, limit=MOST_BYTES, what="journal") if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        self.results = results_in(whole)
        """By key of the cell, those that stood there."""
        self._file: IO[bytes] = path.open("ab")
        self._file.truncate(len(whole))

    @property
    def pictures(self) -> Path:
        return self.folder / PICTURES

    def write(self, result: CellResult) -> None:
        line = json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


@contextmanager
def journal(
    folder: Path, *, keep: bool, eval_id: str = "", verb: str = "eval"
) -> Iterator[Journal]:
    """An open journal that nobody else writes to.

    Args:
        verb: of the command, for the sentence about another one.

    Raises:
        OutputError: the folder can't be written, or another process works on it.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        with lock:
            opened = Journal(folder, keep=keep, eval_id=eval_id)
            try:
                yield opened
            finally:
                opened.close()
    except Timeout:
        raise OutputError(
            f"Another limner {verb} is at work in {folder}: wait for it, or run this one elsewhere."
        ) from None
    except OSError as error:
        raise OutputError(f"{folder} can't be written: {error.strerror or error}.") from error


def begun(folder: Path) -> str:
    """The id of the eval that was begun last in a folder; empty where none was."""
    try:
        return read_text(folder / BEGUN, limit=100)
    except FileError:
        return ""


def results_in(lines: bytes) -> dict[str, CellResult]:
    """The results by key; of two with one key the later. A line that is none of ours is passed
    over, and its cell is done again."""
    results: dict[str, CellResult] = {}
    for line in lines.split(b"\n"):
        try:
            result = CellResult.from_dict(parse_json(line, CELLS, ours=True))
        except (FileError, ValueError, TypeError, KeyError, AttributeError):
            continue
        results[result.key] = result
    return results
