"""A sweep as one value of JSON, and as CSV: a row a cell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from limner.evaluation.cells.cell import Case
from limner.evaluation.cells.results import CellResult
from limner.evaluation.sweeps.plateaus import best_of
from limner.evaluation.sweeps.recipe import Recipe
from limner.evaluation.sweeps.run import SweepResult, TrialResult, measured
from limner.evaluation.sweeps.state import State
from limner.io.csv_text import csv_text
from limner.runs.record import versions
from limner.version import __version__

FORMAT = 1
"""Raised when a key changes its meaning."""


def report_of(recipe: Recipe, swept: SweepResult, state: State) -> dict[str, Any]:
    """All that is known of a sweep, as JSON values; ``trials`` in the order of their trying."""
    best = best_of(recipe, swept.tried)
    return {
        "format": FORMAT,
        "limner": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": str(recipe.path),
        "description": recipe.description,
        "sweep": state.id,
        "verb": recipe.verb,
        "method": recipe.search.method,
        "objective": recipe.search.objective,
        "better": recipe.search.better if recipe.search.objective else None,
        "best": best.trial.number if best else None,
        "judges": dict(recipe.judges),
        "fixed": {name: spot.plain() for name, spot in recipe.fixed.items()},
        "images": [{"name": case.name, "path": str(case.image)} for case in recipe.cases],
        "axes": [
            {
                "name": axis.name,
                "title": axis.title,
                "ordered": axis.is_ordered,
                "values": [value.label for value in axis.values],
            }
            for axis in recipe.axes
        ],
        "versions": versions(),
        "trials": [_trial(recipe, each) for each in swept.tried],
    }


def _trial(recipe: Recipe, tried: TrialResult) -> dict[str, Any]:
    return {
        "number": tried.trial.number,
        "labels": [value.label for value in tried.point],
        "settings": {
            axis.name: value.plain for axis, value in zip(recipe.axes, tried.point, strict=True)
        },
        "score": tried.score,
        "cells": [
            _cell(recipe, case, result)
            for case, result in zip(recipe.cases, tried.results, strict=True)
        ],
    }


def _cell(recipe: Recipe, case: Case, result: CellResult) -> dict[str, Any]:
    return {
        "image": case.name,
        "key": result.key,
        "measures": {each.type: measured(result, each.type) for each in case.assertions},
        "found": result.found,
        "seconds": result.seconds,
        "models": list(result.models),
        "run": result.run,
        "error": result.error,
        "picture": result.picture,
        "whole": result.picture.replace(".jpg", ".png"),
    }


def report_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def report_csv(report: Mapping[str, Any]) -> str:
    """A row a cell: its trial, a column for each axis and each measure."""
    axes = [axis["name"] for axis in report["axes"]]
    cells = [cell for trial in report["trials"] for cell in trial["cells"]]
    measures = list(dict.fromkeys(name for cell in cells for name in cell["measures"]))
    rest = ("found", "seconds", "run", "picture", "error")
    rows: list[Sequence[Any]] = [["trial", "image", *axes, "score", *measures, *rest]]
    for trial in report["trials"]:
        for cell in trial["cells"]:
            row = [
                trial["number"],
                cell["image"],
                *(_as_text(trial["settings"][name]) for name in axes),
                trial["score"],
                *(cell["measures"].get(name) for name in measures),
                *(cell[key if key != "picture" else "whole"] for key in rest),
            ]
            rows.append(row)
    return csv_text(rows)


def _as_text(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
