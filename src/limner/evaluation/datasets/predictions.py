"""Somebody's result file, in the ids of the labels that it is scored against.

A bare list of results has nothing but ids, which are the labels' then (COCO's result format). A
file with its own ``images`` and ``categories`` numbers them as it likes, as ``limner segment``
does: they are matched by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.errors import InputError
from limner.evaluation.datasets import Dataset
from limner.evaluation.datasets.bounds import check_pixels
from limner.evaluation.datasets.coco_rows import box_in
from limner.evaluation.datasets.picture_names import PictureNames
from limner.evaluation.metrics.average_precision import load, rows_in
from limner.ops.detections import folded

Row = dict[str, Any]


def names_of(data: Dataset) -> PictureNames:
    """The labelled pictures by their names."""
    return PictureNames({row["id"]: row["file_name"] for row in data.truth["images"]})


def rows_for(data: Dataset, predictions: Path, classes: Sequence[str]) -> list[Row]:
    """The rows of a result file; an ``image_id`` may also be a picture's file name or its stem.

    Args:
        data: the labels, with the chosen classes alone.
        classes: which were chosen, if any: rows of others are left out.

    Raises:
        InputError: a file that can't be read, or a picture or class that the labels don't have, or
            that could be one of two; or boxes in parts of 1.
    """
    content = load(predictions, "results")
    has_tables = isinstance(content, Mapping)
    rows = rows_in(content.get("annotations") if has_tables else content, "result")
    pictures = names_of(data)
    categories = images = None
    if has_tables and "categories" in content:
        categories = _categories(content["categories"], data)
    if has_tables and "images" in content:
        images = _images(content["images"], data, pictures)
    boxes = (box_in(row) for row in rows if not row.get("segmentation"))
    check_pixels(filter(None, boxes), _sizes(data), str(predictions))
    results: list[Row] = []
    for number, row in enumerate(rows):
        row = dict(row)
        where = f"{predictions}: result {number}"
        if images is not None:
            row["image_id"] = _looked_up(images, row.get("image_id"), f"{where}: image")
        elif isinstance(name := row.get("image_id"), str):
            if (key := pictures.find(name)) is None:
                raise InputError(f"{where} is of {name!r:.80}, which the labels don't list.")
            row["image_id"] = key
        if categories is not None:
            # A stranger's row may lack it, or hold anything: None is no category's id.
            known = categories.get(row.get("category_id"))  # type: ignore[arg-type]
            if isinstance(known, str):
                if classes:
                    continue
                raise InputError(
                    f"{where} is a {known!r:.80}, which the labels don't have: they have "
                    f"{', '.join(data.names[:20])}. --class scores some of the classes alone."
                )
            row["category_id"] = _looked_up(categories, row.get("category_id"), f"{where}: class")
        results.append(row)
    if classes and categories is None:
        results = [row for row in results if row.get("category_id") in data.category_ids]
    return results


def _sizes(data: Dataset) -> set[tuple[int, int]]:
    return {image.size_wh for image in data.images if image.size_wh}


def _looked_up(table: Mapping[int, Any], key: Any, what: str) -> Any:
    if not isinstance(key, int) or key not in table:
        raise InputError(f"{what} {key!r:.40} isn't in the file's own table.")
    return table[key]


def _categories(rows: Any, data: Dataset) -> dict[int, int | str]:
    """The labels' category id of each of the file's; a name where the labels don't have it."""
    annotated = {row["category_id"] for row in data.truth["annotations"]}
    known = list(zip(data.category_ids, data.names, strict=True))
    ids: dict[int, int | str] = {}
    for number, row in enumerate(rows_in(rows, "category")):
        key, name = row.get("id"), row.get("name")
        if not isinstance(key, int) or not isinstance(name, str):
            raise InputError(f"Category {number} of the results has no id and name.")
        matches = [k for k, other in known if other == name.strip()]
        matches = matches or [k for k, other in known if folded(other) == folded(name)]
        if len(matches) > 1:
            matches = [k for k in matches if k in annotated] or matches[:1]
        if len(matches) > 1:
            raise InputError(f"The labels have two classes {name!r:.80}: which one is meant?")
        ids[key] = matches[0] if matches else name
    return ids


def _images(rows: Any, data: Dataset, pictures: PictureNames) -> dict[int, int]:
    """The labels' image id of each of the file's."""
    sizes = {image.id: image.size_wh for image in data.images}
    ids: dict[int, int] = {}
    for number, row in enumerate(rows_in(rows, "image")):
        key, name = row.get("id"), row.get("file_name")
        if not isinstance(key, int) or not isinstance(name, str):
            raise InputError(f"Image {number} of the results has no id and file_name.")
        if key in ids:
            raise InputError(f"Two images of the results have the id {key}.")
        if (image_id := pictures.find(name)) is None:
            raise InputError(f"The results are of {name!r:.80}, which the labels don't list.")
        size_wh = row.get("width"), row.get("height")
        if sizes[image_id] and None not in size_wh and size_wh != sizes[image_id]:
            raise InputError(
                f"{name} is {size_wh[0]}x{size_wh[1]} pixels in the results and "
                f"{'x'.join(map(str, sizes[image_id] or ()))} in the labels: another picture."
            )
        ids[key] = image_id
    return ids
