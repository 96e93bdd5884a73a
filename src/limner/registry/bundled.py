"""The minis: models whose weights ship inside the package, and the hashes these must have.

``minis/<name>/`` is a complete ``from_pretrained`` folder and a README.md, the model's card.
``minis.lock.json``, beside the catalog, records every file but the cards. Whoever trains a mini
writes it anew, with ``record()`` or ``python -m limner.registry.bundled``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from limner.errors import ModelError, UnsafeWeights
from limner.registry import lock
from limner.registry.lock import FileHash, LockEntry

REINSTALL = (
    "`pip install --force-reinstall --no-deps .` in a clone of limner, with LIMNER_SLIM not set"
)
"""How an installation gets its minis, whole: ``hatch_build.py`` leaves them out of a slim build."""


def root() -> Path:
    """The folder of all minis. The package is installed as ordinary files, never zipped."""
    return Path(__file__).parent / "minis"


def lock_file() -> Path:
    """Where the hashes are; a slim build has it too."""
    return Path(__file__).parent / "minis.lock.json"


def folder(name: str) -> Path:
    """Where a mini is, or would be."""
    return root() / name


def recorded(name: str) -> Mapping[str, FileHash]:
    """What each file of a mini must be, by path in its folder; empty before its first training."""
    try:
        files = (lock.read_json(lock_file()) or {}).get(name, {})
        return {path: FileHash(mark["sha256"], mark["bytes"]) for path, mark in files.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{lock_file()} is damaged: {REINSTALL}.") from error


def megabytes(name: str) -> float:
    """10^6 bytes of a mini, by its record."""
    return round(sum(mark.bytes for mark in recorded(name).values()) / 1e6, 1)


def check(name: str, *, thorough: bool = False) -> LockEntry:
    """Hold a mini's files against their hashes, once a process unless they change.

    Args:
        thorough: read them again.

    Raises:
        UnsafeWeights: a file is damaged or of another version; which.
    """
    path = folder(name)
    expected = LockEntry(None, None, "", recorded(name))
    if thorough:
        _compare(name, path, expected.files)
    else:
        _compare_once(name, path, lock.fingerprint(path), expected.digest)
    return expected


@cache
def _compare_once(name: str, path: Path, fingerprint: str, digest: str) -> None:
    """The last two say when the answer must be found anew. An error is not kept."""
    _compare(name, path, recorded(name))


def _compare(name: str, path: Path, expected: Mapping[str, FileHash]) -> None:
    marks = _marks(path)
    for file in sorted({*expected, *marks}):
        if marks.get(file) == expected.get(file):
            continue
        if file not in marks:
            fault = "is missing"
        elif file not in expected:
            fault = "does not belong there"
        else:
            fault = (
                f"is damaged or of another version (its SHA-256 is {marks[file].sha256[:12]}…, and "
                f"the catalog's is {expected[file].sha256[:12]}…)"
            )
        raise UnsafeWeights(f"{path / file} {fault}: install limner anew, {REINSTALL}.")


def _marks(path: Path) -> dict[str, FileHash]:
    return {file: mark for file, mark in lock.marks(path).items() if not file.endswith(".md")}


def record() -> Path:
    """Write the hashes of all minis as they lie there now; returns the file."""
    folders = sorted(path for path in root().iterdir() if path.is_dir())
    files = {
        path.name: {
            file: {"sha256": mark.sha256, "bytes": mark.bytes}
            for file, mark in sorted(_marks(path).items())
        }
        for path in folders
    }
    temporary = lock_file().with_name(f".{lock_file().name}.{os.getpid()}")
    temporary.write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")
    return temporary.replace(lock_file())


if __name__ == "__main__":
    print(record())
