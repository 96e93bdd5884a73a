"""The matrix of a suite as one HTML file: rows cases, columns prompt x models x settings.

It works opened from disk: pictures are data URIs, and nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.evaluation.cells.cell import OWN
from limner.evaluation.cells.measures import gigabytes
from limner.evaluation.cells.results import ERROR, FAIL, PASS
from limner.evaluation.suites.chart_points import charts_of, column_of, graded
from limner.pages import data_uri, render

MARKS = {PASS: "✓", FAIL: "✗", ERROR: "!"}
WORDS = {PASS: "pass", FAIL: "fail", ERROR: "error"}

ROOMY = 4
"""Columns that stand side by side on a screen of 1280 pixels; more are drawn small, so that these
are seen beside each other, too."""
LONG = 90
"""Characters of a sentence above which it is folded: one error would stretch its whole row."""

RUN_SHOWN = 8
"""Letters of a run's id, as lists show it."""

Cell = Mapping[str, Any]


def report_html(report: Mapping[str, Any], pictures: Path) -> str:
    """The page.

    Args:
        report: as ``reports.report_of`` makes it; with ``baseline`` where one was compared with.
        pictures: the folder that the cells' pictures lie in.
    """
    cells: Sequence[Cell] = report["cells"]
    columns = list(dict.fromkeys(map(column_of, cells)))
    cases = list(dict.fromkeys(cell["case"] for cell in cells))
    at: dict[tuple[str, tuple[str, str, str]], list[Cell]] = {}
    for cell in cells:
        at.setdefault((cell["case"], column_of(cell)), []).append(cell)
    rows = [
        _row(case, [at.get((case, column), []) for column in columns], pictures) for case in cases
    ]
    baseline = report.get("baseline")
    return render(
        "suite",
        title=report["description"] or Path(report["suite"]).name,
        suite=report["suite"],
        summary=_summary(report),
        computing=_seconds(sum(cell["seconds"] or 0 for cell in cells)),
        regressions=None if baseline is None else baseline["regressions"],
        charts=charts_of(cells),
        columns=[
            _column(column, [cell for cell in cells if column_of(cell) == column])
            for column in columns
        ],
        rows=rows,
        made=f"Eval {report['id']}, limner {report['limner']}, "
        f"{report['created'].replace('T', ' ')[:16]} UTC",
        different=sum(row["different"] for row in rows),
        failing=sum(row["failing"] for row in rows),
        dense=len(columns) > ROOMY,
        parts=_breakable,
        LONG=LONG,
        RUN_SHOWN=RUN_SHOWN,
    )


def _summary(report: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"status": status, "text": f"{MARKS[status]} {count} {WORDS[status]}"}
        for status, count in report["stats"].items()
        if count or status == PASS
    ]


def _column(column: tuple[str, str, str], cells: Sequence[Cell]) -> dict[str, Any]:
    prompt, models, settings = column
    passed = sum(cell["status"] == PASS for cell in cells)
    prompt = "each case’s own" if prompt == OWN else prompt
    means = [f"{passed}/{len(cells)} pass"]
    means += [f"{name} {value:.2f}" for name, value in _means(cells).items()]
    return {
        "prompt": prompt,
        "models": models,
        "settings": settings,
        "whole": " · ".join(part for part in (prompt, models, settings) if part),
        "share": f"{100 * passed / len(cells):.0f}",
        "facts": " · ".join(means),
    }


def _means(cells: Sequence[Cell]) -> dict[str, float]:
    """Mean measure by type, of those without a unit: they can be compared between columns."""
    measures: dict[str, list[float]] = {}
    for cell in cells:
        for verdict in cell["verdicts"]:
            if graded(verdict):
                kind = verdict["type"].removeprefix("not-")
                measures.setdefault(kind, []).append(verdict["measured"])
    return {name: sum(values) / len(values) for name, values in measures.items()}


def _row(case: str, places: Sequence[Sequence[Cell]], pictures: Path) -> dict[str, Any]:
    cells = [cell for place in places for cell in place]
    outcomes = {
        (cell["status"], tuple(verdict["pass"] for verdict in cell["verdicts"])) for cell in cells
    }
    return {
        "case": case,
        "failing": int(any(cell["status"] != PASS for cell in cells)),
        "different": int(len(outcomes) > 1),
        "threshold": cells[0]["threshold"],
        "tries": [[_try(cell, pictures) for cell in place] for place in places],
    }


def _breakable(text: str) -> list[str]:
    """Parts after which a long path or list may go on in the next line."""
    return re.split("(?<=[/,])", text)


def _try(cell: Cell, pictures: Path) -> dict[str, Any]:
    """One try: its picture, whether it passed, score and time, and every verdict."""
    status = cell["status"]
    facts = []
    if status != ERROR:
        facts += [f"score {cell['score']:.2f}", _seconds(cell["seconds"] or 0)]
        facts.append(f"{cell['found']} found")
    if cell["repeat"]:
        facts.append(f"#{cell['repeat'] + 1}")
    path = pictures / cell["picture"]
    return {
        "status": status,
        "verdict": f"{MARKS[status]} {WORDS[status]}",
        "facts": facts,
        "run": cell["run"],
        "asked": cell["asked"],
        "picture": data_uri(path.read_bytes()) if cell["picture"] and path.exists() else "",
        "alt": f"{cell['case']}: {cell['asked']}",
        "error": cell["error"],
        "verdicts": [_verdict(verdict) for verdict in cell["verdicts"]],
    }


def _verdict(verdict: Mapping[str, Any]) -> dict[str, str]:
    """``✓ iou 0.95 ≥ …`` with the whole reason where it failed."""
    status = PASS if verdict["pass"] else FAIL
    measured = verdict["measured"]
    if verdict["unit"] == "bytes" and measured is not None:
        amount = gigabytes(measured)
    elif measured is not None:
        amount = f"{measured:.3g}" + (f" {verdict['unit']}" if verdict["unit"] else "")
    else:
        amount = ""
    return {
        "status": status,
        "mark": MARKS[status],
        "type": verdict["type"],
        "detail": amount if verdict["pass"] and amount else verdict["reason"],
        "weight": "" if verdict["weight"] == 1 else f" (weight {verdict['weight']:g})",
    }


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
