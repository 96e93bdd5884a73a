"""COCO's JSON as labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner import masks
from limner.errors import InputError
from limner.evaluation.coco import IouType, Truth, load
from limner.evaluation.datasets.values import Dataset, Labelled, TrueObject

NAMES = ("annotations.json", "_annotations.coco.json", "instances.json")
"""Looked for first; else the only JSON file of the folder that has images and annotations."""


def read_coco(source: Path, images: Path | None, kind: IouType) -> Dataset:
    """A COCO annotation file, or a folder with one.

    Args:
        images: the folder that ``file_name`` counts from; None: beside the file, or in ``images``.
        kind: what is read of each object: its box, or its mask.

    Raises:
        InputError: no annotation file, or one that can't be meant.
    """
    file = source if source.is_file() else _annotation_file(source)
    data = load(file, "annotation")
    return dataset_of(data, file, images, kind)


def dataset_of(data: Any, source: Path, images: Path | None, kind: IouType) -> Dataset:
    """A dataset from COCO's content."""
    true = Truth.read(data, kind)
    names = {row["id"]: _name(row) for row in data["categories"]}
    things: dict[int, list[TrueObject]] = {key: [] for key in true.size_hw}
    for row in true.annotations:
        name = names[row["category_id"]]
        things[row["image_id"]].append(_object(row, name, kind))
    labelled = tuple(
        Labelled(
            row["id"],
            _path(row, source.parent, images),
            size[::-1] if (size := true.size_hw[row["id"]]) else None,
            tuple(things[row["id"]]),
        )
        for row in data["images"]
    )
    if not labelled:
        raise InputError(f"{source} lists no images.")
    return Dataset(source, tuple(names.values()), tuple(names), labelled, data)


def _object(row: Mapping[str, Any], name: str, kind: IouType) -> TrueObject:
    crowd = bool(row["iscrowd"])
    if kind == "bbox":
        x, y, width, height = row["bbox"]
        return TrueObject(name, (x, y, x + width, y + height), None, crowd)
    box = masks.box_of(masks.from_rle(row["segmentation"])) or (0, 0, 0, 0)
    x0, y0, x1, y1 = map(float, box)
    return TrueObject(name, (x0, y0, x1, y1), row["segmentation"], crowd)


def _name(row: Mapping[str, Any]) -> str:
    name = row.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"COCO category {row['id']} has no name, got {name!r}.")
    return name


def _path(row: Mapping[str, Any], beside: Path, images: Path | None) -> Path:
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"COCO image {row['id']} has no file_name, got {name!r}.")
    if images is not None:
        return images / name
    return beside / name if (beside / name).exists() else beside / "images" / name


def _annotation_file(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    found = [path for path in sorted(folder.glob("*.json")) if _holds_annotations(path)]
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise InputError(
            f"{folder} has no COCO annotation file that can be told ({', '.join(NAMES)}, or one "
            f"JSON file with images and annotations): found {listed}. Name the file itself."
        )
    return found[0]


def _holds_annotations(path: Path) -> bool:
    try:
        content: Any = load(path, "annotation")
    except InputError:
        return False
    return isinstance(content, Mapping) and {"images", "annotations"} <= set(content)


def coco_of(
    names: Sequence[str], rows: Sequence[tuple[str, tuple[int, int], Any]]
) -> dict[str, Any]:
    """COCO's content: images and categories numbered from 1, in order.

    Args:
        rows: (file name, size_wh, ``sv.Detections`` with ``class_id`` into ``names``).
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, (width, height), found) in enumerate(rows, start=1):
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for k, (x0, y0, x1, y1) in enumerate(found.xyxy.astype(float).tolist()):
            row = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": int(found.class_id[k]) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
            if found.mask is not None:
                row |= {
                    "segmentation": masks.to_rle(found.mask[k]),
                    "area": int(found.mask[k].sum()),
                }
            annotations.append(row)
    categories = [{"id": k, "name": name} for k, name in enumerate(names, start=1)]
    return {"images": images, "categories": categories, "annotations": annotations}
