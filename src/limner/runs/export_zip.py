"""Runs taken out of a store: JSON lines, or one zip with the files as well."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from limner.errors import OutputError, StoreError
from limner.home import temporary_name
from limner.runs.entries import RunEntry
from limner.runs.files import Files

RECORDS = "runs.jsonl"
"""The file of a zip that holds the records; the others lie in ``files/`` under their own names."""


def as_lines(entries: Sequence[RunEntry]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(entry.to_dict()) + "\n" for entry in entries)


def write_zip(
    entries: Sequence[RunEntry], files: Files, path: Path, *, overwrite: bool
) -> list[str]:
    """Write runs with every file that they name.

    Returns:
        Sentences about files that couldn't be read; the zip holds all others.

    Raises:
        OutputError: the place is taken or can't be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: pass --overwrite or another --out.")
    temporary = path.with_name(temporary_name())
    missing = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(temporary, "x") as archive:
            archive.writestr(RECORDS, as_lines(entries), zipfile.ZIP_DEFLATED)
            for name in dict.fromkeys(file.name for entry in entries for file in entry.files):
                try:
                    archive.writestr(f"files/{name}", files.load(name))
                except StoreError as error:
                    missing.append(str(error))
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return missing
