"""What a command over a folder numbers alike in all its files, and the file that lists them all.

Classes are numbered as they were asked for, found or not; what a captioner names comes after, in
the order of the pictures. A picture's id is its place in the folder. A run that goes on where
another stopped takes over the numbers that it finds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.batch.output_paths import Place, os_errors, places
from limner.cli.batch.settings import Settings
from limner.errors import InputError, OutputError
from limner.ops.detections import category_ids, class_names, folded
from limner.untrusted.json_toml import read_json

if TYPE_CHECKING:
    from limner.session import Run

MADE = "Made with limner"
"""What limner's COCO files say of themselves, also where they hold no record."""
MOST_BYTES = 2_000_000_000
"""Of a listing."""


@dataclass
class FolderListing:
    """The numbers of one command.

    For a single picture, and for several inputs: class numbers from 1, image 1, and no listing.
    """

    settings: Settings
    names: list[str] = field(default_factory=list)
    """The classes so far, in order: number 1 is the first."""
    inputs: list[tuple[Path, Place]] = field(default_factory=list)
    """Of a folder."""
    _ids: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, names: Sequence[str] = ()) -> FolderListing:
        """Before any work is done.

        Args:
            names: classes that are numbered before all others.

        Raises:
            OutputError: the listing's name is taken by a file that isn't this folder's.
        """
        with os_errors(settings.image, InputError):
            if not settings.only_folder:
                return cls(settings, list(names))
        listing = cls(settings, list(names), places(settings))
        listing._check_free()
        return listing

    @property
    def file(self) -> Path:
        """``annotations-segment.json`` in the folder of the results."""
        path, place = self.inputs[0]
        folder = place.folder
        for _ in path.parent.relative_to(self.settings.image).parts:
            folder = folder.parent
        return folder / f"annotations-{self.settings.verb}.json"

    def file_name(self, path: Path) -> str:
        """A picture's name in its folder."""
        return path.relative_to(self.settings.image).as_posix() if self.inputs else path.name

    def image_id(self, path: Path) -> int:
        return self._ids.get(self.file_name(path), 1)

    def classes(self, run: Run) -> list[str]:
        """All classes so far, with those of a run; the order never changes."""
        from limner.io import coco as export

        requested = export.asked_names(run.grounding.prompts)
        if self.inputs and not self._ids:
            self._take_over(json.loads(json.dumps(run.record.job.prompts)))
        detected = sorted(set(class_names(run.grounding.detections)))
        known = {folded(name) for name in self.names}
        for name in (*requested, *detected):
            if folded(name) not in known:
                known.add(folded(name))
                self.names.append(name)
        return list(self.names)

    def _take_over(self, prompts: list[Any]) -> None:
        """The numbers of results that are there already; a place in the folder for the others.

        Args:
            prompts: what is asked for: results of other questions have other classes.
        """
        ids: dict[str, int] = {}
        own = {folded(name) for name in self.names}
        for path, place in self.inputs if not self.settings.overwrite else ():
            content = _content(place.beside(".json"))
            if content is None or "limner" not in content["info"]:
                continue
            (image, *_), names = content["images"], _names(content["categories"])
            if image["id"] not in ids.values():
                ids[self.file_name(path)] = image["id"]
            same = dict(content["info"]["limner"]).get("prompts") == prompts
            # A file of prompts whose rows were put in another order names the same classes.
            has_own = bool(own) and own <= {folded(name) for name in names}
            if (same and len(names) > len(self.names)) or has_own:
                self.names, own = names, set()
        taken = set(ids.values())
        for number, (path, _) in enumerate(self.inputs, start=1):
            if self.file_name(path) not in ids:
                free = number if number not in taken else max(taken) + 1
                ids[self.file_name(path)] = free
                taken.add(free)
        self._ids = ids

    def write(self, markers: Iterable[Path]) -> None:
        """All results in one file: those files' images and annotations, in order."""
        from limner.io import coco as export
        from limner.io.save import write_atomic

        contents = [content for path in markers if (content := _content(path)) is not None]
        if not self.inputs or not contents:
            return
        tables = sorted((_names(c["categories"]) for c in contents), key=len, reverse=True)
        ids = category_ids((), [name for names in tables for name in names])
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        taken: set[int] = set()
        for content in contents:
            image = content["images"][0]
            key = image["id"] if image["id"] not in taken else max(taken) + 1
            taken.add(key)
            images.append({**image, "id": key})
            named = {row["id"]: row["name"] for row in content["categories"]}
            for row in content["annotations"]:
                numbers = {"id": len(annotations) + 1, "image_id": key}
                category = {"category_id": ids[named[row["category_id"]]]}
                annotations.append({**row, **numbers, **category})
        listing = {
            "info": {"description": MADE},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": export.categories_of(ids),
        }
        write_atomic(self.file, json.dumps(listing), overwrite=True)

    def _check_free(self) -> None:
        """Refuse to replace a file of somebody's, or the listing of other pictures."""
        with os_errors(self.file, OutputError):
            if self.settings.overwrite or not self.file.exists():
                return
        try:
            content = read_json(self.file, limit=MOST_BYTES)
            is_listing = content["info"]["description"] == MADE
            listed = {image["file_name"] for image in content["images"]} if is_listing else {""}
        except (InputError, KeyError, TypeError):
            listed = {""}
        if others := listed - {self.file_name(path) for path, _ in self.inputs}:
            of = (
                f"lists {min(others)}, which isn't in {self.settings.image}"
                if min(others)
                else ("isn't limner's")
            )
            raise OutputError(f"{self.file} {of}: pass --overwrite or another --out.")


def _content(marker: Path) -> dict[str, Any] | None:
    """A result's COCO content; None where it isn't one of limner's."""
    try:
        content: dict[str, Any] = read_json(marker, limit=MOST_BYTES)
        whole = content["info"]["description"] == MADE
        whole &= all(isinstance(row["id"], int) for row in content["images"][:1])
        whole &= all(isinstance(row["name"], str) for row in content["categories"])
    except (InputError, KeyError, TypeError):
        return None
    return content if whole and content["images"] else None


def _names(categories: Sequence[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in sorted(categories, key=lambda row: int(row["id"]))]


def listings_of(results: Iterable[Path], verb: str, inputs: Collection[str]) -> list[Path]:
    """The listings in the results' folders, or above, that name one of these inputs (paths)."""
    folders = {folder for result in results for folder in result.parents}
    files = sorted(folder / f"annotations-{verb}.json" for folder in folders)
    return [file for file in files if file.is_file() and _split(file, inputs)[1]]


def forget_inputs(listing: Path, inputs: Collection[str]) -> None:
    """Take inputs out of a listing; one that names no other is removed."""
    from limner.io.save import write_atomic

    content, gone = _split(listing, inputs)
    images = [image for image in content["images"] if image["id"] not in gone]
    if not images:
        listing.unlink()
        return
    rows = [row for row in content["annotations"] if row["image_id"] not in gone]
    write_atomic(
        listing, json.dumps({**content, "images": images, "annotations": rows}), overwrite=True
    )


def _split(listing: Path, inputs: Collection[str]) -> tuple[Any, set[int]]:
    """A listing, and its ids of these inputs; none of a file that isn't limner's."""
    try:
        content = read_json(listing, limit=MOST_BYTES)
        if content["info"]["description"] != MADE:
            return content, set()
        return content, {
            image["id"]
            for image in content["images"]
            if any(f"/{path}".endswith(f"/{image['file_name']}") for path in inputs)
        }
    except (InputError, KeyError, TypeError):
        return {}, set()
