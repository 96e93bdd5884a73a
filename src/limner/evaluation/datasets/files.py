"""Which label file belongs to which picture: by their paths below the two folders."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.errors import InputError
from limner.io.images import SUFFIXES

MOST_FILES = 500_000
"""Below one folder: a path of a stranger's may lead to a whole disk."""


@dataclass(frozen=True)
class Pair:
    """A picture, its name within its folder (with slashes), and its label file, if it has one."""

    picture: Path
    name: str
    labels: Path | None


def pairs(photos: Path, labels: Path, suffix: str, not_labels: Sequence[str] = ()) -> list[Pair]:
    """Every picture below a folder with the label file of the same path below the other, sorted.

    Where the folders are laid out differently, a label file belongs to the one picture of its name.
    A picture without a label file shows none of the classes.

    Args:
        suffix: of label files, such as ``.txt``.
        not_labels: stems of files that have the suffix and label nothing.

    Raises:
        InputError: no picture, no label file, one of no picture, or one of two pictures.
    """
    shown = _by_key(photos, SUFFIXES)
    if not shown:
        raise InputError(f"There is no picture in {photos} ({', '.join(SUFFIXES)}).")
    written = {
        key: files[0]
        for key, files in _by_key(labels, (suffix,)).items()
        if key in shown or files[0].stem not in not_labels
    }
    if not written:
        raise InputError(f"There are no labels ({suffix} files) in {labels}.")
    whose = _matched(shown, written, photos)
    return [
        Pair(path, path.relative_to(photos).as_posix(), whose.get(path))
        for path in sorted(path for paths in shown.values() for path in paths)
    ]


def _matched(
    shown: Mapping[str, Sequence[Path]], written: Mapping[str, Path], photos: Path
) -> dict[Path, Path]:
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for paths in shown.values():
        for path in paths:
            by_stem[path.stem].append(path)
    stems = [file.stem for file in written.values()]
    whose: dict[Path, Path] = {}
    for key, file in written.items():
        named = shown.get(key) or (by_stem[file.stem] if stems.count(file.stem) == 1 else [])
        if not named:
            raise InputError(f"{file} labels a picture that isn't in {photos}.")
        if len(named) > 1:
            both = " and ".join(str(path) for path in named[:2])
            raise InputError(f"{file} would label {both}: give pictures names of their own.")
        whose[named[0]] = file
    return whose


def _by_key(folder: Path, suffixes: Sequence[str]) -> dict[str, list[Path]]:
    """Files by their path below a folder, without the ending."""
    by_key: dict[str, list[Path]] = defaultdict(list)
    for path in files_below(folder):
        if path.suffix.lower() in suffixes:
            by_key[path.relative_to(folder).with_suffix("").as_posix()].append(path)
    return by_key


def files_below(folder: Path) -> Iterator[Path]:
    """Files of a folder and its subfolders, sorted; hidden ones and links to folders are left out.

    Raises:
        InputError: a folder that can't be read, or more than ``MOST_FILES``.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} can't be read: {error.strerror}.") from error

    count = 0
    for here, below, names in os.walk(folder, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        count += len(names) + len(below)
        if count > MOST_FILES:
            raise InputError(f"There are more than {MOST_FILES:,} files below {folder}.")
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(here, name)
