"""LVIS' thirteen numbers, by faster-coco-eval.

LVIS (Gupta et al. 2019, arXiv:1908.03195) differs from COCO in that a picture is labelled for some
classes only: results of a class that a picture says nothing about are neither right nor wrong
there. 300 results a picture count. The authors' own package (lvis 0.5.3) fails on numpy 1.24 and
later and asks for opencv-python, which must not lie beside opencv-contrib-python-headless;
faster-coco-eval's ``lvis_style`` gives its numbers (a test holds them against its own).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import InputError
from limner.evaluation.metrics.average_precision import IouType, Truth, load, rows_of

MOST_RESULTS = 300
"""Results a picture that count, best first."""


@dataclass(frozen=True)
class LvisScores:
    """0 to 1; None where the truth holds nothing of that size or frequency."""

    AP: float | None
    AP50: float | None
    AP75: float | None
    APs: float | None
    APm: float | None
    APl: float | None
    APr: float | None
    """Of rare classes: 1 to 10 training pictures."""
    APc: float | None
    """Of common ones: 11 to 100."""
    APf: float | None
    """Of frequent ones."""
    AR300: float | None
    ARs300: float | None
    ARm300: float | None
    ARl300: float | None

    def to_dict(self) -> dict[str, float | None]:
        return dataclasses.asdict(self)


_KEYS = {
    "AP": "AP_all",
    "AP50": "AP_50",
    "AP75": "AP_75",
    "APs": "AP_small",
    "APm": "AP_medium",
    "APl": "AP_large",
    "APr": "APr",
    "APc": "APc",
    "APf": "APf",
    "AR300": "AR_all",
    "ARs300": "AR_small",
    "ARm300": "AR_medium",
    "ARl300": "AR_large",
}


def evaluate_lvis(
    truth: Path | str | Mapping[str, Any],
    results: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    iou_type: IouType,
) -> LvisScores:
    """How well results answer an LVIS annotation file.

    Args: see ``average_precision.evaluate``.

    Raises:
        InputError: as ``average_precision.evaluate``; or the truth doesn't say what LVIS' does:
            ``frequency`` of each category, ``neg_category_ids`` and
            ``not_exhaustive_category_ids`` of each image.
    """
    data = load(truth, "truth")
    true = Truth.read(data, iou_type)
    truth_content = {
        "images": [_image(row) for row in data["images"]],
        "categories": [_category(row) for row in data["categories"]],
        "annotations": list(true.annotations),
    }
    answers = [true.result(k, row, iou_type) for k, row in enumerate(rows_of(results, data))]
    return _judged(truth_content, _best(answers), iou_type)


def _best(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ``MOST_RESULTS`` best of each picture over all classes, as lvis-api's ``LVISResults``."""
    by_image: dict[int, list[dict[str, Any]]] = {}
    for row in answers:
        by_image.setdefault(row["image_id"], []).append(row)
    best = []
    for rows in by_image.values():
        if len(rows) > MOST_RESULTS:
            rows = sorted(rows, key=lambda row: -row["score"])[:MOST_RESULTS]
        best += rows
    return [{**row, "id": number} for number, row in enumerate(best, start=1)]


def _judged(truth: dict[str, Any], answers: list[dict[str, Any]], iou_type: IouType) -> LvisScores:
    from faster_coco_eval import COCO, COCOeval_faster

    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    if not answers:  # loadRes refuses an empty list; nothing found is a result
        present = dict.fromkeys(_KEYS, 0.0) if truth["annotations"] else {}
        return LvisScores(**{name: present.get(name) for name in _KEYS})
    with contextlib.redirect_stdout(io.StringIO()):
        true = COCO(truth)
        judge = COCOeval_faster(
            true, true.loadRes(answers), iou_type, lvis_style=True, print_function=lambda *_: None
        )
        judge.params.maxDets = [MOST_RESULTS]
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    stats = judge.stats_as_dict
    numbers = {name: float(stats[key]) for name, key in _KEYS.items()}
    return LvisScores(**{name: n if n > -1 else None for name, n in numbers.items()})


def _image(row: Mapping[str, Any]) -> dict[str, Any]:
    lists = {key: row.get(key) for key in ("neg_category_ids", "not_exhaustive_category_ids")}
    if not all(isinstance(ids, list) for ids in lists.values()):
        raise InputError(
            f"LVIS image {row['id']} has no {' and '.join(lists)}: this is no LVIS annotation "
            "file; score it as COCO."
        )
    sizes = {key: row[key] for key in ("height", "width") if key in row}
    return {"id": row["id"], **sizes, **lists}


def _category(row: Mapping[str, Any]) -> dict[str, Any]:
    if row.get("frequency") not in ("r", "c", "f"):
        raise InputError(
            f"LVIS category {row['id']} has no frequency of r, c or f: this is no LVIS annotation "
            "file; score it as COCO."
        )
    return {"id": row["id"], "name": str(row.get("name")), "frequency": row["frequency"]}
