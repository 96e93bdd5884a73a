"""Hits and misses by class, against cases worked out by hand and against COCO's own AP50."""

from __future__ import annotations

from typing import Any

import pytest

from limner.evaluation.metrics.average_precision import evaluate
from limner.evaluation.metrics.matching import matched

TRUTH: dict[str, Any] = {
    "images": [{"id": 1, "width": 100, "height": 100}, {"id": 2, "width": 100, "height": 100}],
    "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "owl"}],
    "annotations": [
        {"image_id": 1, "category_id": 3, "bbox": [10, 10, 20, 20], "area": 400},
        {"image_id": 2, "category_id": 3, "bbox": [50, 50, 20, 20], "area": 400},
        {"image_id": 2, "category_id": 3, "bbox": [0, 0, 40, 40], "area": 1600, "iscrowd": 1},
        {"image_id": 2, "category_id": 7, "bbox": [50, 50, 30, 30], "area": 900},
    ],
}
NAMES = {3: "cat", 7: "dog", 9: "owl"}


def row(image: int, category: int, box: list[float], score: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


RESULTS = [
    row(1, 3, [11, 11, 20, 20], 0.9),
    row(1, 3, [10, 10, 20, 20], 0.8),  # the object is taken by a better score
    row(2, 3, [80, 80, 10, 10], 0.7),
    row(2, 3, [5, 5, 10, 10], 0.6),  # in the crowd: neither
    row(2, 3, [50, 50, 20, 20], 0.5),
]


def test_hits_and_misses_of_each_class() -> None:
    cat, dog = matched(TRUTH, RESULTS, "bbox", NAMES)
    assert (cat.name, cat.objects) == ("cat", 2)
    ranked = sorted(zip(cat.scores, cat.hits, strict=True), reverse=True)
    assert ranked == [(0.9, True), (0.8, False), (0.7, False), (0.5, True)]
    assert (dog.scores, dog.objects, dog.ap) == ((), 1, 0.0)


def test_the_mean_over_classes_is_cocos_ap50() -> None:
    found = [*RESULTS, row(2, 7, [50, 50, 30, 28], 0.3)]
    aps = [one.ap for one in matched(TRUTH, found, "bbox", NAMES)]
    assert aps[1] == pytest.approx(1)
    mean = sum(ap or 0 for ap in aps) / 2
    assert mean == pytest.approx(evaluate(TRUTH, found, "bbox").AP50)


def test_results_without_objects_are_misses() -> None:
    (_, owl) = matched(TRUTH, [row(1, 9, [0, 0, 5, 5], 0.4)], "bbox", {3: "cat", 9: "owl"})[::2]
    assert (owl.name, owl.hits, owl.objects, owl.ap) == ("owl", (False,), 0, None)
