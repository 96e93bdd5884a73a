"""Results that lie on disk already: what they hold, whether they are whole, which are stale."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.batch.output_paths import PICTURES, Place, os_errors
from limner.errors import LimnerError, OutputError
from limner.untrusted.json_toml import parse_json
from limner.untrusted.regular_files import read_bytes

if TYPE_CHECKING:
    from limner.cli.batch.settings import Settings


STEM = "*"
"""In a record that doesn't name its source: the result's own stem, mostly made of the source's."""


@dataclass(frozen=True)
class Stored:
    """What a result on disk says of itself."""

    record: dict[str, Any]
    finds: dict[str, Any] = field(default_factory=dict)
    """COCO's annotations and categories, where the result is a list."""

    @property
    def job(self) -> str:
        return str(self.record["job"])

    @property
    def objects(self) -> int:
        return int(self.record["result"]["objects"])

    def files(self, main: Path) -> list[Path]:
        """Everything that was written with it, itself included; empty where it doesn't say.

        Args:
            main: any file of the result with the place's own stem.
        """
        names = self.record.get("files", ())
        if "stem" in self.record:
            return [main.parent / name for name in names]
        return [main.parent / name.replace(STEM, main.stem, 1) for name in names]


LARGEST = 1_000_000_000
"""Bytes of a result that is looked into: COCO JSON of many outlines."""


def stored(path: Path) -> Stored | None:
    """The result in a file; None when it isn't one of ours."""
    from limner.io.save import read_record

    try:
        if path.suffix != ".json":
            record = read_record(path)
            return Stored(record) if record and "job" in record else None
        data = parse_json(read_bytes(path, limit=LARGEST, what="result"), str(path), ours=True)
        finds = {key: data[key] for key in ("annotations", "categories") if key in data}
        result = Stored(dict(data["info"]["limner"]), finds)
        return result if "job" in result.record else None
    except (ValueError, KeyError, TypeError, LimnerError):
        return None


def job_of(path: Path) -> str | None:
    """The job that a result on disk answers; None when it isn't one of ours."""
    result = stored(path)
    return result.job if result else None


def is_whole(result: Stored, place: Place, maps: Sequence[str]) -> bool:
    """Whether every file of a result lies there, and the maps that are asked for among them."""
    if not set(maps) <= set(result.record.get("maps", ())):
        return False
    files = result.files(place.main)
    # The list beside x.jpeg is also that beside x.png: it says which of them it was written with.
    return place.main in files and all(job_of(path) == result.job for path in files)


def check_free(settings: Settings, paths: Sequence[Path], job: str) -> None:
    """Refuse to replace files that this job didn't write.

    Raises:
        OutputError: one of them exists, and neither --overwrite nor an unfinished run explains it.
    """
    for path in paths:
        with os_errors(path, OutputError):
            taken = path.exists()
        if taken and not settings.overwrite and job_of(path) != job:
            raise OutputError(f"{path} exists: pass --overwrite or another --out.")


def remove_stale(place: Place, job: str) -> list[Path]:
    """Remove what another job of limner's left under this place's name, beside the new result."""
    removed = _remove(path for path in _companions(place) if _is_stale(path, place, job))
    if any(path.parent == place.masks for path in removed):
        with contextlib.suppress(OSError):  # something else is in it
            place.masks.rmdir()
    return removed


def remove_old(place: Place) -> list[Path]:
    """Remove limner's own result at a place for which there is no new one."""
    old = stored(place.main)
    if old is None:
        return []
    return _remove([place.main, *(p for p in _companions(place) if _is_stale(p, place, ""))])


def _companions(place: Place) -> Iterator[Path]:
    """Files that are named like what limner writes beside a place's main picture."""
    stem = re.escape(place.stem)
    endings = "|".join(re.escape(suffix) for suffix in PICTURES)
    beside = re.compile(rf"{stem}-(semantic\.png|panoptic\.(png|json)|\d+({endings}))")
    mask = re.compile(rf"{stem}-\d+-.*\.png")
    for folder, pattern in ((place.folder, beside), (place.masks, mask)):
        if folder.is_dir():
            yield from (path for path in sorted(folder.iterdir()) if pattern.fullmatch(path.name))


def _is_stale(path: Path, place: Place, job: str) -> bool:
    """Whether it is limner's, written with this place's main picture, by another job.

    The stem in the record keeps ``out-1.png`` that was itself asked for apart from a second picture
    of ``out.png``.
    """
    result = stored(path)
    return result is not None and result.record.get("stem") == place.stem and result.job != job


def _remove(paths: Iterator[Path] | Sequence[Path]) -> list[Path]:
    removed = []
    for path in list(paths):
        with os_errors(path, OutputError):
            path.unlink()
            removed.append(path)
    return removed
