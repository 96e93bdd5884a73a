"""Rows of COCO's annotations that can be scored: inside their picture, enclosing something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.errors import PromptError
from limner.evaluation.datasets.bounds import XYXY, box_around, check_inside, check_pixels
from limner.evaluation.datasets.drawn import only_a_box
from limner.evaluation.metrics.average_precision import (
    IouType,
    is_number,
    is_polygon,
    rasterized,
    rows_in,
    size_hw_of,
)
from limner.ops import masks

Row = dict[str, Any]


def scorable_rows(
    data: Mapping[str, Any], kind: IouType, source: Path
) -> tuple[list[Row], list[str]]:
    """The annotations without those that enclose nothing, and a sentence for each of these.

    A program that makes labels writes a few such rows (two corners, no width); one of them must
    neither block the others nor count as an object that nobody can find. What is malformed is left
    as it is, for ``Truth.read`` to refuse.

    Args:
        data: checked by ``Truth.checked``.
        source: the file, for sentences.

    Raises:
        InputError: a label outside its picture, whether its box or its outline is read; one of a
            box alone where masks are read; which row. Or all labels in parts of 1.
    """
    images = {row["id"]: row for row in data["images"]}
    rows: list[Row] = []
    notes: list[str] = []
    drawn: list[XYXY] = []
    sizes: set[tuple[int, int]] = set()
    for number, row in enumerate(rows_in(data["annotations"], "annotation")):
        image = images.get(row["image_id"]) if isinstance(row.get("image_id"), int) else None
        named = [f"id {row['id']!r:.20}"] if "id" in row else []
        named += [f"{image['file_name']!s:.80}"] if image and "file_name" in image else []
        where = f"COCO annotation {number}" + (f" ({', '.join(named)})" if named else "")
        size_hw = size_hw_of(image) if image else None
        if size_hw:
            box, outline = box_in(row), _outline_of(row)
            for xyxy in filter(None, (box, outline)):
                check_inside(xyxy, size_hw[::-1], where)
            drawn += filter(None, [box if kind == "bbox" else outline])
            sizes.add(size_hw[::-1])
        left = _boxed(row) if kind == "bbox" else _outlined(row, where, size_hw)
        if left is None:
            notes.append(f"{where} encloses nothing and was left out.")
        else:
            rows.append(left)
            if left is not row:
                notes.append(f"{where} has a polygon of under three corners, which was left out.")
    check_pixels(drawn, sizes, str(source))
    return rows, notes


def box_in(row: Mapping[str, Any]) -> XYXY | None:
    """XYXY of a row's ``bbox``; None where that isn't four numbers, or has a negative side."""
    box = row.get("bbox")
    if not isinstance(box, Sequence) or len(box) != 4 or not all(map(is_number, box)):
        return None
    x, y, width, height = box
    return (x, y, x + width, y + height) if min(width, height) >= 0 else None


def _outline_of(row: Mapping[str, Any]) -> XYXY | None:
    """XYXY around a row's polygons; None where it has none that can be meant."""
    outline = row.get("segmentation")
    polygons = list(filter(is_polygon, outline)) if isinstance(outline, Sequence) else []
    return box_around(polygons) if polygons else None


def _boxed(row: Row) -> Row | None:
    box = row.get("bbox") if box_in(row) else None
    return None if box and min(box[2:]) == 0 else row


def _outlined(row: Row, where: str, size_hw: tuple[int, int] | None) -> Row | None:
    segmentation = row.get("segmentation")
    if not segmentation and isinstance(segmentation, Sequence | None):
        raise only_a_box(where)
    if isinstance(segmentation, Mapping):
        return None if _is_empty(segmentation) else row
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str):
        return row
    polygons = [part for part in segmentation if not _is_too_short(part)]
    if not polygons:
        return None
    if (
        size_hw
        and all(is_polygon(part) for part in polygons)
        and not rasterized(polygons, size_hw)[1]
    ):
        return None
    return row if len(polygons) == len(segmentation) else {**row, "segmentation": polygons}


def _is_too_short(part: Any) -> bool:
    """A polygon of under three corners."""
    has_pairs = isinstance(part, Sequence) and not isinstance(part, str) and len(part) % 2 == 0
    return has_pairs and len(part) < 6 and all(map(is_number, part))


def _is_empty(rle: Mapping[str, Any]) -> bool:
    try:
        return not masks.from_rle(rle).any()
    except PromptError:
        return False
