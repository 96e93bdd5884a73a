"""An input that lies elsewhere by now, found again by its SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from limner.io.images import SUFFIXES

MOST_LOOKED_AT = 2_000
"""Pictures of a folder that nobody named."""
MOST_ASKED_FOR = 100_000
"""Pictures of a folder that was named."""
_CHUNK = 1 << 20


def find_moved(
    digest: str, recorded: Path, roots: Sequence[Path], given: Sequence[Path] = ()
) -> Path | None:
    """Where the file with this digest lies; None where it isn't found.

    Args:
        recorded: where it lay.
        roots: folders to look in: first where the end of the recorded path leads in them, then all
            pictures below, those of the same name first, at most ``MOST_LOOKED_AT``.
        given: files, or folders to look through before.
    """
    looked: set[Path] = set()
    for path in _candidates(recorded, roots, given):
        if path in looked:
            continue
        looked.add(path)
        if _digest(path) == digest:
            return path
    return None


def _candidates(recorded: Path, roots: Sequence[Path], given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from _below(path, recorded.name, MOST_ASKED_FOR)
        else:
            yield path
    yield recorded
    parts = recorded.parts[1:] if recorded.is_absolute() else recorded.parts
    for root in roots:
        for first in range(len(parts)):  # the longest end first
            yield root.joinpath(*parts[first:])
    for root in roots:
        yield from _below(root, recorded.name, MOST_LOOKED_AT)


def _below(folder: Path, name: str, most: int) -> Iterator[Path]:
    """Pictures below a folder, outside hidden ones: those of the same name first."""
    pictures: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        pictures += [
            Path(place, each) for each in sorted(files) if Path(each).suffix.lower() in SUFFIXES
        ]
        if len(pictures) >= most:
            break
    yield from sorted(pictures[:most], key=lambda path: path.name != name)


def _digest(path: Path) -> str | None:
    """Of a regular file; None of anything else."""
    try:
        if not path.is_file():
            return None
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except (OSError, ValueError):
        return None
    return digest.hexdigest()
