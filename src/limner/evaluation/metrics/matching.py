"""Which results were right at one overlap, by pycocotools: what curves are drawn from."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

from limner.evaluation.metrics.average_precision import IouType, Truth, load, rows_of


@dataclass(frozen=True)
class ClassMatches:
    """A class's results on all pictures. Those that lie in a crowd count for neither."""

    name: str
    scores: tuple[float, ...]
    hits: tuple[bool, ...]
    """Whether each answers an object that no better one answers."""
    objects: int
    """How many there were to find."""
    ap: float | None
    """Average precision at this overlap; None without objects."""


def matched(
    truth: Any,
    results: Any,
    iou_type: IouType,
    names: Mapping[int, str],
    *,
    least_iou: float = 0.5,
) -> list[ClassMatches]:
    """The classes that the truth or the results have anything of, in the order of their ids.

    Args:
        truth, results: as ``average_precision.evaluate`` takes them.
        names: of the categories by id.
        least_iou: overlap from which a result is right.

    Raises:
        InputError: as ``average_precision.evaluate``.
    """
    true = Truth.read(load(truth, "truth"), iou_type)
    answers = [true.result(number, row, iou_type) for number, row in enumerate(rows_of(results))]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        judge = COCOeval(true.index(true.annotations), true.index(answers), iou_type)
        judge.params.iouThrs = np.array([least_iou])
        judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], ["all"]
        judge.params.maxDets = judge.params.maxDets[-1:]
        judge.evaluate()
        judge.accumulate()
    by_class: dict[int, list[Mapping[str, Any]]] = {key: [] for key in judge.params.catIds}
    for image in judge.evalImgs:
        if image is not None:
            by_class[image["category_id"]].append(image)
    precision = judge.eval["precision"][0, :, :, 0, 0]  # (101 recalls, classes)
    classes = [
        _matched(names.get(key, str(key)), images, precision[:, k])
        for k, (key, images) in enumerate(by_class.items())
    ]
    return [item for item in classes if item.objects or item.scores]


def _matched(name: str, images: Sequence[Mapping[str, Any]], precision: Any) -> ClassMatches:
    scores: list[float] = []
    hits: list[bool] = []
    for image in images:
        counts = ~np.asarray(image["dtIgnore"][0], dtype=bool)
        scores += np.asarray(image["dtScores"], dtype=float)[counts].tolist()
        hits += (np.asarray(image["dtMatches"][0])[counts] > 0).tolist()
    objects = sum(int((np.asarray(image["gtIgnore"]) == 0).sum()) for image in images)
    defined = precision[precision > -1]
    ap = float(defined.mean()) if objects and len(defined) else None
    return ClassMatches(name, tuple(scores), tuple(hits), objects, ap)
