"""COCO's JSON as labelled pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.errors import InputError, LimnerError
from limner.evaluation.datasets.bounds import clipped
from limner.evaluation.datasets.coco_rows import scorable_rows
from limner.evaluation.datasets.values import Dataset, LabelledImage, TrueObject
from limner.evaluation.metrics.average_precision import IouType, Truth, load
from limner.io.images import upright_size
from limner.ops import masks

NAMES = (
    "annotations.json",
    "_annotations.coco.json",
    "instances.json",
    "annotations-segment.json",
    "annotations-detect.json",
)
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

    def path_of(name: str) -> Path:
        return _path(name, file.parent, images)

    data = _with_sizes(Truth.checked(load(file, "annotation")), path_of)
    rows, notes = scorable_rows(data, kind, file)
    return dataset_of({**data, "annotations": rows}, file, path_of, kind, notes)


def dataset_of(
    data: Mapping[str, Any],
    source: Path,
    path_of: Callable[[str], Path],
    kind: IouType,
    notes: Sequence[str] = (),
) -> Dataset:
    """A dataset from COCO's content.

    Args:
        path_of: where the picture of a ``file_name`` is.
    """
    true = Truth.read(data, kind)
    names = {row["id"]: _name(row) for row in data["categories"]}
    things: dict[int, list[TrueObject]] = {key: [] for key in true.size_hw}
    for row in true.annotations:
        size_hw = true.size_hw[row["image_id"]]
        things[row["image_id"]].append(_object(row, names[row["category_id"]], kind, size_hw))
    labelled = tuple(
        LabelledImage(
            row["id"],
            path_of(file_name(row)),
            size[::-1] if (size := true.size_hw[row["id"]]) else None,
            tuple(things[row["id"]]),
        )
        for row in data["images"]
    )
    if not labelled:
        raise InputError(f"{source} lists no images.")
    _check_once([file_name(row) for row in data["images"]], source)
    return Dataset(source, tuple(names.values()), tuple(names), labelled, data, tuple(notes))


def _object(
    row: Mapping[str, Any], name: str, kind: IouType, size_hw: tuple[int, int] | None
) -> TrueObject:
    crowd = bool(row["iscrowd"])
    if kind == "bbox":
        x, y, width, height = row["bbox"]
        xyxy = (x, y, x + width, y + height)
        return TrueObject(name, clipped(xyxy, size_hw[::-1]) if size_hw else xyxy, None, crowd)
    box = masks.box_of(masks.from_rle(row["segmentation"])) or (0, 0, 0, 0)
    x0, y0, x1, y1 = map(float, box)
    return TrueObject(name, (x0, y0, x1, y1), row["segmentation"], crowd)


def _name(row: Mapping[str, Any]) -> str:
    name = row.get("name")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"COCO category {row['id']} has no name, got {name!r}.")
    return name.strip()


def file_name(row: Mapping[str, Any]) -> str:
    """The name of a row of ``images``.

    Raises:
        InputError: it has none.
    """
    name = row.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"COCO image {row['id']} has no file_name, got {name!r}.")
    return name


def _check_once(names: Sequence[str], source: Path) -> None:
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise InputError(f"{source} lists {twice} twice: each picture has one row of images.")


def _with_sizes(data: Mapping[str, Any], path_of: Callable[[str], Path]) -> dict[str, Any]:
    """The same with the size of each picture that is here and whose row doesn't say it."""
    images = []
    for row in data["images"]:
        sides = row.get("width"), row.get("height")
        if not all(isinstance(side, int) and side > 0 for side in sides):
            path = path_of(file_name(row))
            with contextlib.suppress(LimnerError):  # said when the picture is opened, if it is
                row = {**row, **dict(zip(("width", "height"), upright_size(path), strict=True))}
        images.append(row)
    return {**data, "images": images}


def _path(name: str, beside: Path, images: Path | None) -> Path:
    tried = [folder / name for folder in ([images] if images else [beside, beside / "images"])]
    tried += [folder / name.replace("\\", "/") for folder in (images or beside,)]
    return next((path for path in tried if path.exists()), tried[0] if images else tried[1])


def _annotation_file(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    files = [path for path in sorted(folder.glob("*.json")) if holds_annotations(path)]
    if len(files) != 1:
        listed = ", ".join(path.name for path in files) or "none"
        raise InputError(
            f"{folder} has no COCO annotation file that can be told ({', '.join(NAMES)}, or one "
            f"JSON file with images and annotations): found {listed}. Name the file itself."
        )
    return files[0]


def holds_annotations(path: Path) -> bool:
    """Whether a file is COCO's labels."""
    try:
        content: Any = load(path, "annotation")
    except InputError:
        return False
    return isinstance(content, Mapping) and {"images", "annotations"} <= set(content)
