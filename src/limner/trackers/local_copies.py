"""Removing what trackers keep of a picture on this machine.

An experiment is removed whole: its file can't be cut. What was sent to a server stays there.
"""

from __future__ import annotations

import mmap
import shutil
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from limner import trackers
from limner.errors import StoreError


def forget(folder: Path, needles: Collection[bytes]) -> list[Path]:
    """Remove the experiments in ``folder`` that hold one of the needles.

    Args:
        folder: as ``open_trackers`` took it.
        needles: digests, ids and paths that only this picture's records have.

    Returns:
        What was removed: files and folders.

    Raises:
        StoreError: one can't be removed.
    """
    removed = []
    try:
        for parts in (*_comet(folder / "comet"), *_tensorboard(folder / "tensorboard")):
            removed += _removed(parts, needles)
        removed += _removed(_trackio(folder / "trackio"), needles)
    except OSError as error:
        raise StoreError(f"{folder} can't be looked through: {error.strerror or error}.") from error
    return removed


def _comet(folder: Path) -> Iterator[list[Path]]:
    for path in sorted(folder.glob("*.zip")):
        yield [path]


def _tensorboard(folder: Path) -> Iterator[list[Path]]:
    for path in sorted(folder.glob("*")):
        if path.is_dir():
            yield [path]


def _trackio(folder: Path) -> list[Path]:
    """limner's project, which Trackio keeps in one database; other projects' stay."""
    return [
        *sorted(folder.glob(f"{trackers.PROJECT}.db*")),
        *sorted(folder.glob(f"*/{trackers.PROJECT}")),
    ]


def _removed(parts: list[Path], needles: Collection[bytes]) -> list[Path]:
    if not any(_holds(path, needles) for path in parts):
        return []
    for path in parts:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return parts


def _holds(path: Path, needles: Collection[bytes]) -> bool:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return any(_file_holds(file, needles) for file in files)


def _file_holds(path: Path, needles: Collection[bytes]) -> bool:
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return any(
                    needle in archive.read(name)
                    for name in archive.namelist()
                    for needle in needles
                )
        except (zipfile.BadZipFile, EOFError, RuntimeError):
            pass  # cut off: what it holds may still be read by somebody
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(needle) >= 0 for needle in needles)
