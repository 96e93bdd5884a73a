"""D3's three numbers: detection by descriptions that are present (PRES) or absent (ABS), or all.

The Description Detection Dataset (Xie et al. 2023, arXiv:2307.12813) is COCO's format with
``category_id = sent_id``, 1 to 422. Its authors' script (``scripts/eval_and_analysis_json.py`` in
shikras/d-cube) scores one result file against three annotation files with pycocotools' box AP.
A description is *absent* when it says what is not there: "a person without a helmet".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import InputError
from limner.evaluation.metrics.average_precision import Truth, evaluate, load, rows_of

FILES = {
    "FULL": "d3_full_annotations.json",
    "PRES": "d3_pres_annotations.json",
    "ABS": "d3_abs_annotations.json",
}
"""As they lie in the authors' ``d3_json.zip``."""


@dataclass(frozen=True)
class D3Scores:
    """mAP over IoU .50 to .95, 0 to 1 (the leaderboard writes them times 100)."""

    FULL: float | None
    PRES: float | None
    ABS: float | None

    def to_dict(self) -> dict[str, float | None]:
        return dataclasses.asdict(self)


def evaluate_d3(
    folder: Path | str,
    results: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> D3Scores:
    """Scores of one result file on the three annotation files of ``folder``.

    Every result must be of an image and a sentence of FULL; PRES and ABS then take those that are
    theirs, as pycocotools does without saying so.

    Raises:
        InputError: a file is missing, or a result names an image or sentence that D3 doesn't have.
    """
    truths = {}
    for name, file in FILES.items():
        if not (Path(folder) / file).is_file():
            raise InputError(
                f"There is no {file} in {folder}: D3 is scored with the three files of its "
                f"d3_json.zip, {', '.join(FILES.values())}."
            )
        truths[name] = load(Path(folder) / file, "truth")
    rows = rows_of(results)
    full = Truth.read(truths["FULL"], "bbox")
    for number, row in enumerate(rows):
        full.result(number, row, "bbox")
    return D3Scores(**{name: _average(truth, rows) for name, truth in truths.items()})


def _average(truth: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float | None:
    known = Truth.read(truth, "bbox")
    own = [
        row
        for row in rows
        if row["category_id"] in known.categories and row["image_id"] in known.size_hw
    ]
    return evaluate(truth, own, "bbox").AP
