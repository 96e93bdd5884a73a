"""Remove a model's files from limner's own folder, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from limner.errors import ModelError, OptionError, OutputError, WeightsMissing
from limner.registry import lock, store
from limner.registry.catalog import ModelEntry


def check_removable(entry: ModelEntry) -> None:
    """Refuse a model whose files aren't limner's to remove.

    Raises:
        OptionError: a model without files, or one that ships.
        WeightsMissing: it isn't here.
        ModelError: its folder is a link to elsewhere.
    """
    if entry.shipped:
        raise OptionError(
            f"{entry.name} ships with limner: its {entry.size_mb:g} MB go with the package."
        )
    if entry.weightless or entry.family == "vlm":
        raise OptionError(f"{entry.name} has no files here: there is nothing to remove.")
    folder = store.where(entry)
    if folder.is_symlink():
        raise ModelError(
            f"{folder} is a link to {os.path.realpath(folder)}, which is outside limner's folder: "
            "remove the link by hand."
        )
    if not folder.is_dir() and not _staging(entry).is_dir():
        raise WeightsMissing(f"{entry.name} isn't here: there is nothing at {folder}.")


def size_of(entry: ModelEntry) -> int:
    """Bytes of a model's files here, an unfinished download's included."""
    return sum(map(folder_bytes, (store.where(entry), _staging(entry))))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; links aren't followed, and what can't be seen is left out."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def remove(entry: ModelEntry) -> int:
    """Remove a model that is removable: its folder, what a download left, its lock entry.

    The folder is moved aside first: no process finds half of a model.

    Returns:
        Bytes that were removed.

    Raises:
        OutputError: they can't be removed.
    """
    staging = _staging(entry)
    old = staging.with_name(f"{entry.name}.old")
    try:
        with lock.exclusive(staging.with_name(f"{entry.name}.lock")):
            size = size_of(entry)
            shutil.rmtree(old, ignore_errors=True)
            if store.where(entry).is_dir():
                store.where(entry).rename(old)
            lock.remove(entry.name)
            for folder in (old, staging):
                if folder.is_dir():
                    shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(
            f"{entry.name} can't be removed from {_models()}: {error.strerror or error}."
        ) from error
    return size


def _models() -> Path:
    return store.home() / "models"


def _staging(entry: ModelEntry) -> Path:
    return _models() / ".pulling" / entry.name
