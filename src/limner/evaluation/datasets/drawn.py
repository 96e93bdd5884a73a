"""Labels of text formats as COCO's content, so that one code checks and scores all formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from limner.errors import InputError
from limner.evaluation.datasets.bounds import (
    XYXY,
    box_around,
    check_inside,
    check_pixels,
    clipped,
)
from limner.evaluation.metrics.average_precision import IouType, rasterized

LARGEST_ID = 2**53
"""Beyond it JSON's readers round."""


@dataclass(frozen=True)
class Label:
    """One label as it stands in its file, in pixels."""

    category: int
    where: str
    """File and line, for sentences."""
    box: XYXY | None = None
    """None: the box around the polygons."""
    polygons: tuple[tuple[float, ...], ...] = ()
    """Each x, y, x, y, … along the pixels' edges, as COCO's; none where only a box was drawn."""


@dataclass(frozen=True)
class LabelledPhoto:
    """A labelled picture, its name within its folder, and what was drawn on it."""

    path: Path
    name: str
    size_wh: tuple[int, int]
    labels: tuple[Label, ...]


def coco_of(
    photos: Sequence[LabelledPhoto], categories: Mapping[int, str], kind: IouType, source: Path
) -> tuple[dict[str, Any], list[str]]:
    """COCO's content, and what was left out of it, in sentences.

    Args:
        categories: names by category id.
        kind: ``segm`` needs an outline of every label.
        source: the folder, for sentences.

    Raises:
        InputError: a label outside its picture, or of a box alone where masks are read; or all
            labels in parts of 1.
    """
    read = 0 if kind == "bbox" else -1
    drawn = [_extents(label)[read] for photo in photos for label in photo.labels]
    labelled = {photo.size_wh for photo in photos if photo.labels}
    check_pixels(drawn, labelled, str(source))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    notes: list[str] = []
    for image_id, photo in zip(image_ids([p.name for p in photos]), photos, strict=True):
        width, height = photo.size_wh
        images.append({"id": image_id, "file_name": photo.name, "width": width, "height": height})
        for label in photo.labels:
            shape = _shape(label, photo.size_wh, kind)
            if shape is None:
                notes.append(f"{label.where} encloses no pixel and was left out.")
                continue
            where = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append({**where, "category_id": label.category, "iscrowd": 0, **shape})
    listed = [{"id": key, "name": name} for key, name in categories.items()]
    return {"images": images, "categories": listed, "annotations": annotations}, notes


def _shape(label: Label, size_wh: tuple[int, int], kind: IouType) -> dict[str, Any] | None:
    """``bbox``, ``area`` and ``segmentation`` of a label; None where it encloses nothing."""
    extents = _extents(label)
    for xyxy in extents:
        check_inside(xyxy, size_wh, label.where)
    if kind == "segm" and not label.polygons:
        raise only_a_box(label.where)
    x0, y0, x1, y1 = clipped(extents[0], size_wh)
    if x1 <= x0 or y1 <= y0:
        return None
    shape: dict[str, Any] = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
    if not label.polygons:
        return shape
    rle, area = rasterized(label.polygons, size_wh[::-1])
    if not area:
        return None if kind == "segm" else shape
    return shape | {"area": area, "segmentation": rle}


def _extents(label: Label) -> list[XYXY]:
    """XYXY of a label's box, and of its polygons; one of them at least."""
    boxes = [label.box] if label.box else []
    return boxes + ([box_around(label.polygons)] if label.polygons else [])


def only_a_box(where: str) -> InputError:
    """What is said of a label that masks can't be scored against, in every format."""
    return InputError(
        f"{where} is a box only: masks are scored against masks, and a box says nothing of what "
        "lies in its corners. Boxes are scored by limner score detect."
    )


def image_ids(names: Sequence[str]) -> list[int]:
    """A number for each picture: that of its name, as Ultralytics writes it into results, where
    every name is a number of its own; else 1, 2, 3 …"""
    stems = [PurePosixPath(name).stem for name in names]
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 16 for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers) and max(numbers, default=0) < LARGEST_ID:
            return numbers
    return list(range(1, len(names) + 1))
