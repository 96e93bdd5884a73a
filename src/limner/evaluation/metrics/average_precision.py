"""COCO's twelve numbers, by pycocotools, from files or from detections.

The arithmetic is pycocotools' own (``COCOeval``); what is added stands before it. Files are checked
first, because pycocotools answers a malformed one with an assertion, a crash of the interpreter or,
worst, a lower score. Three of its silent rules are not inherited:

- an annotation whose id is 0 can never be matched: ids are renumbered from 1;
- results for a category that the truth does not list are dropped: here that is an error;
- the size (small, medium, large) of a mask result that also has a box is the box's area: here it
  is the mask's, as for results without a box.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import supervision as sv
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from limner.errors import InputError, PromptError
from limner.ops import masks
from limner.ops.detections import crop_of
from limner.untrusted.json_toml import read_json

IouType = Literal["bbox", "segm"]
Row = dict[str, Any]


@dataclass(frozen=True)
class CocoScores:
    """The standard numbers, 0 to 1; None where the truth holds nothing of that size.

    (pycocotools writes -1 for that, which spoils an average.)
    """

    AP: float | None
    """Average precision: the mean over IoU 0.50, 0.55 ... 0.95 and over categories."""
    AP50: float | None
    AP75: float | None
    APs: float | None
    """Of objects below 32 x 32 pixels of area."""
    APm: float | None
    APl: float | None
    """Of objects above 96 x 96."""
    AR1: float | None
    """Average recall with one result an image and category allowed."""
    AR10: float | None
    AR100: float | None
    ARs: float | None
    ARm: float | None
    ARl: float | None

    def to_dict(self) -> dict[str, float | None]:
        return dataclasses.asdict(self)


def evaluate(
    truth: Path | str | Mapping[str, Any],
    results: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    iou_type: IouType,
) -> CocoScores:
    """How well results answer the truth.

    Args:
        truth: a COCO annotation file, or its content: ``images``, ``categories``, ``annotations``.
        results: a COCO result file, or its rows; an object with ``annotations`` is read as those.
        iou_type: compare boxes (``bbox``) or masks (``segm``).

    Raises:
        InputError: a file that can't be read, or a row that can't be meant; which one and why.
    """
    if iou_type not in ("bbox", "segm"):
        raise InputError(f"COCO results are compared by bbox or segm, got {iou_type!r}.")
    data = load(truth, "truth")
    true, rows = Truth.read(data, iou_type), rows_of(results, data)
    answers = [true.result(number, row, iou_type) for number, row in enumerate(rows)]
    # pycocotools prints; there is no switch. This holds back other threads' prints for that time.
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(true.index(true.annotations), true.index(answers), iou_type)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return CocoScores(*(float(score) if score > -1 else None for score in judge.stats))


def results_from(
    detections: sv.Detections, image_id: int, category_ids: Sequence[int] | Mapping[int, int]
) -> list[Row]:
    """COCO result rows: JSON values, with ``bbox`` (XYWH) and, where there are masks, RLE.

    Args:
        detections: with ``class_id``, and ``confidence`` or ``mask_score`` to rank by; dense masks
            or an ``sv.CompactMask``.
        category_ids: the truth's category id of each ``class_id``.

    Raises:
        InputError: no scores, no ``class_id``, or a ``class_id`` that has no category.
    """
    if not len(detections):
        return []
    scores: Any = detections.confidence
    if scores is None:
        scores = detections.data.get("mask_score")
    if scores is None or detections.class_id is None:
        raise InputError(
            "COCO results need a class and a score for each detection: "
            "class_id, and confidence or mask_score."
        )
    known = dict(enumerate(category_ids)) if isinstance(category_ids, Sequence) else category_ids
    rows: list[Row] = []
    for number, (box, class_id, score) in enumerate(
        zip(detections.xyxy.astype(float).tolist(), detections.class_id, scores, strict=True)
    ):
        if int(class_id) not in known:
            raise InputError(
                f"Detection {number} has class_id {class_id}, for which no category id was given."
            )
        x0, y0, x1, y1 = box
        row: Row = {
            "image_id": image_id,
            "category_id": known[int(class_id)],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(score),
        }
        if detections.mask is not None:
            row["segmentation"] = crop_of(detections, number).to_rle()
        rows.append(row)
    return rows


# --- reading what others wrote --------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """A checked annotation file."""

    size_hw: dict[int, tuple[int, int] | None]
    """Of each image; None where the file does not say, which matters for masks only."""
    categories: frozenset[int]
    annotations: tuple[Row, ...]

    @staticmethod
    def checked(data: Any) -> Mapping[str, Any]:
        """The content of an annotation file whose images and categories have ids of their own.

        Raises:
            InputError: it isn't one.
        """
        if not isinstance(data, Mapping) or not {"images", "categories", "annotations"} <= set(
            data
        ):
            raise InputError(
                "A COCO truth is an object with images, categories and annotations; got "
                + (", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__)
                + "."
            )
        _by_id(rows_in(data["images"], "image"), "image", "file_name")
        _by_id(rows_in(data["categories"], "category"), "category", "name")
        return data

    @classmethod
    def read(cls, data: Any, iou_type: IouType) -> Truth:
        data = cls.checked(data)
        images = _by_id(data["images"], "image", "file_name")
        categories = _by_id(data["categories"], "category", "name")
        sizes = {key: size_hw_of(row) for key, row in images.items()}
        truth = cls(sizes, frozenset(categories), ())
        annotations = []
        for number, row in enumerate(rows_in(data["annotations"], "annotation")):
            where = f"annotation {number}"
            annotation = truth._row(row, where, iou_type)
            annotation["area"] = _number(row, "area", where)
            annotation["iscrowd"] = int(row.get("iscrowd") in (1, True))
            annotations.append({**annotation, "id": number + 1})
        return dataclasses.replace(truth, annotations=tuple(annotations))

    def result(self, number: int, row: Row, iou_type: IouType) -> Row:
        where = f"result {number}"
        result = self._row(row, where, iou_type)
        area = (
            result["bbox"][2] * result["bbox"][3]
            if iou_type == "bbox"
            else float(coco_mask.area(result["segmentation"]))
        )
        score = _number(row, "score", where)
        return {**result, "id": number + 1, "area": area, "score": score, "iscrowd": 0}

    def index(self, annotations: Sequence[Row]) -> COCO:
        index = COCO()
        index.dataset = {
            "images": [
                {"id": key, "height": size[0], "width": size[1]} if size else {"id": key}
                for key, size in self.size_hw.items()
            ],
            "categories": [{"id": key} for key in sorted(self.categories)],
            "annotations": list(annotations),
        }
        index.createIndex()
        return index

    def _row(self, row: Row, where: str, iou_type: IouType) -> Row:
        """What an annotation and a result have in common."""
        image, category = _id(row, "image_id", where), _id(row, "category_id", where)
        if image not in self.size_hw:
            raise InputError(f"COCO {where} is of image {image!r}, which the truth does not list.")
        if category not in self.categories:
            raise InputError(
                f"COCO {where} has category_id {category!r}, which the truth does not list."
            )
        common = {"image_id": image, "category_id": category}
        if iou_type == "bbox":
            return {**common, "bbox": _bbox(row, where)}
        size_hw = self.size_hw[image]
        if size_hw is None:
            raise InputError(
                f"COCO image {image!r} has no usable height and width, which masks need."
            )
        return {**common, "segmentation": _rle(row.get("segmentation"), size_hw, where)}


def rows_of(results: Any, truth: Any = None) -> Sequence[Row]:
    """The rows of a result file, or of its content; an object's ``annotations`` are read as those.

    Args:
        truth: what they are scored against: an object's own tables must agree with its ids.

    Raises:
        InputError: a file that can't be read, no list of objects, or ids that mean others.
    """
    rows = load(results, "results")
    if isinstance(rows, Mapping) and isinstance(truth, Mapping):
        for table, name in (("categories", "name"), ("images", "file_name")):
            _check_alike(rows.get(table, ()), truth[table], table, name)
    return rows_in(rows.get("annotations") if isinstance(rows, Mapping) else rows, "result")


MOST_BYTES = 2_000_000_000
"""Of a file of labels or results: LVIS's are half of that."""


def _check_alike(rows: Any, true: Any, table: str, name: str) -> None:
    names = {row["id"]: row.get(name) for row in rows_in(true, table)}
    for row in rows_in(rows, table):
        if names.get(row.get("id"), row.get(name)) != row.get(name):
            raise InputError(
                f"The results have {row.get(name)!r:.60} as number {row['id']} of their {table}, "
                f"and the truth {names[row['id']]!r:.60}: limner score matches them by name."
            )


def load(source: Any, what: str) -> Any:
    """A JSON file's content; anything but a path as it is.

    Raises:
        InputError: a file that can't be read, or no JSON.
    """
    if not isinstance(source, str | Path):
        return source
    return read_json(source, limit=MOST_BYTES, what=f"{what} file")


def rows_in(rows: Any, what: str) -> Sequence[Row]:
    """A list of objects.

    Raises:
        InputError: anything else.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        raise InputError(f"COCO {what} rows are a list of objects, got {type(rows).__name__}.")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"COCO {what} {number} is no object, got {type(row).__name__}.")
    return rows


def _by_id(rows: Sequence[Row], what: str, name: str) -> dict[int, Row]:
    """Rows by their id, which only one of them may have: pycocotools would take the last."""
    by_id: dict[int, Row] = {}
    for number, row in enumerate(rows):
        key = _id(row, "id", f"{what} {number}")
        if key in by_id:
            raise InputError(
                f"COCO {what} {number} ({row.get(name)!r:.60}) has the id {key}, which "
                f"{by_id[key].get(name)!r:.60} has already: give each an id of its own."
            )
        by_id[key] = row
    return by_id


def _id(row: Row, key: str, where: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"COCO {where} has no {key} that is a whole number, got {value!r:.80}.")
    return value


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    try:
        return not isinstance(value, bool) and math.isfinite(value)
    except (TypeError, OverflowError):
        return False


def _number(row: Row, key: str, where: str) -> float:
    if not is_number(row.get(key)):
        raise InputError(f"COCO {where} has no usable {key}, got {row.get(key)!r}.")
    return float(row[key])


def size_hw_of(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width) of a row of ``images``; None where it doesn't say."""
    sides = row.get("height"), row.get("width")
    if not all(isinstance(side, int) and 0 < side < 2**20 for side in sides):
        return None
    return sides  # type: ignore[return-value]  # checked on the line above


def _bbox(row: Row, where: str) -> list[float]:
    box = row.get("bbox")
    if not isinstance(box, Sequence) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"COCO {where} has no bbox of x, y, width, height; got {box!r:.80}.")
    if min(box[2:]) < 0:
        raise InputError(f"COCO {where} has a bbox of negative size: {box!r:.80}.")
    return [float(side) for side in box]


def _rle(segmentation: Any, size_hw: tuple[int, int], where: str) -> Row:
    """Polygons or run lengths as compressed run lengths of the image's size.

    Checked in Python first: pycocotools' C code trusts sizes and coordinates.
    """
    height, width = size_hw
    if isinstance(segmentation, Mapping):
        try:
            mask = masks.from_rle(segmentation)
        except PromptError as error:
            raise InputError(f"COCO {where} has an unusable segmentation. {error}") from error
        if mask.shape != size_hw:
            raise InputError(
                f"COCO {where} has a mask of {mask.shape[1]}x{mask.shape[0]} pixels "
                f"for an image of {width}x{height}."
            )
        counts = segmentation["counts"]
        if isinstance(counts, str | bytes):
            return {"size": [height, width], "counts": counts}
        return masks.to_rle(mask)
    if not segmentation:
        raise InputError(
            f"COCO {where} has no segmentation, only a box: masks are scored against masks. Boxes "
            "are scored by limner score detect."
        )
    furthest = 10 * max(size_hw)  # outlines that leave the image a little are common
    if not isinstance(segmentation, Sequence) or not all(
        is_polygon(polygon, furthest) for polygon in segmentation
    ):
        raise InputError(
            f"COCO {where} has a segmentation that is neither polygons (lists of x, y, x, y ..., "
            f"three corners or more) nor run lengths; got {segmentation!r:.80}."
        )
    return _filled(segmentation, size_hw)


def rasterized(
    polygons: Sequence[Sequence[float]], size_hw: tuple[int, int]
) -> tuple[dict[str, Any], int]:
    """Polygons (x, y, x, y, … along the pixels' edges) as one mask: run lengths as JSON values, and
    its pixels. By pycocotools, whose rule of what a polygon covers is COCO's."""
    rle = _filled(polygons, size_hw)
    return {"size": list(size_hw), "counts": rle["counts"].decode("ascii")}, int(
        coco_mask.area(rle)
    )


def _filled(polygons: Sequence[Sequence[float]], size_hw: tuple[int, int]) -> Row:
    rle: Row = coco_mask.merge(coco_mask.frPyObjects(list(map(list, polygons)), *size_hw))
    return rle


def is_polygon(polygon: Any, furthest: float = math.inf) -> bool:
    """Whether it is three corners or more as x, y, x, y, …, none further from 0 than that."""
    return (
        isinstance(polygon, Sequence)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(is_number(value) and abs(value) <= furthest for value in polygon)
    )
