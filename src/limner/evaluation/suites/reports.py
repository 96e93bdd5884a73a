"""A finished suite as one value, and as JSON, CSV and JUnit's XML; the page is in ``html``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from limner.evaluation.cells.results import ERROR, FAIL, CellResult, counts
from limner.evaluation.suites.suite import Suite
from limner.io.csv_text import csv_text
from limner.runs.record import versions
from limner.version import __version__

FORMAT = 1
"""Raised when a key changes its meaning; readers refuse what is newer."""

_NOT_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")

CSV_COLUMNS = (
    "case", "prompt", "models", "settings", "repeat", "status", "score", "found", "seconds",
    "peak_bytes", "error", "run",
)  # fmt: skip


def report_of(
    suite: Suite, results: Sequence[CellResult], *, eval_id: str = "", filtered: bool = False
) -> dict[str, Any]:
    """All that a report says, as JSON values; ``cells`` in the suite's order.

    Args:
        filtered: the suite has more cells than were asked for.
    """
    cells = []
    for cell, result in zip(suite.cells, results, strict=True):
        prompt, models, settings = cell.column
        cells.append(
            {
                "name": result.name,
                "case": cell.case.name,
                "image": str(cell.case.image),
                "prompt": prompt,
                "asked": cell.ask.label,
                "verb": cell.ask.verb,
                "models": models,
                "settings": settings,
                "set": dict(cell.setting.values),
                "repeat": cell.repeat,
                "threshold": cell.case.threshold,
                "answered": list(result.models),
                **{k: v for k, v in result.to_dict().items() if k not in ("name", "models")},
                "verdicts": [dict(verdict) for verdict in result.verdicts],
            }
        )
    return {
        "format": FORMAT,
        "limner": __version__,
        "id": eval_id,
        "filtered": filtered,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "suite": str(suite.path),
        "description": suite.description,
        "judges": dict(suite.judges),
        "stats": counts(results),
        "versions": versions(),
        "cells": cells,
    }


def report_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def report_csv(report: Mapping[str, Any]) -> str:
    """A row a cell; after the common columns one for each assertion's measure.

    Two assertions of one type in a case are told apart by their values.
    """
    named = [
        {_measure_name(verdict): verdict["measured"] for verdict in cell["verdicts"]}
        for cell in report["cells"]
    ]
    measures = list(dict.fromkeys(name for row in named for name in row))
    rows = (
        [*(cell[column] for column in CSV_COLUMNS), *(row.get(m) for m in measures)]
        for cell, row in zip(report["cells"], named, strict=True)
    )
    return csv_text([[*CSV_COLUMNS, *measures], *rows])


def _measure_name(verdict: Mapping[str, Any]) -> str:
    return " ".join(part for part in (verdict["type"], verdict["value"]) if part)


def report_junit(report: Mapping[str, Any]) -> str:
    """JUnit's XML: a test suite for each column of the matrix, a test case for each cell."""
    root = ElementTree.Element("testsuites", _numbers(report["cells"]))
    root.set("name", _clean(report["description"] or Path(report["suite"]).name))
    columns: dict[str, list[Mapping[str, Any]]] = {}
    for cell in report["cells"]:
        parts = [cell["prompt"], cell["models"], cell["settings"]]
        columns.setdefault(" | ".join(part for part in parts if part), []).append(cell)
    for name, cells in columns.items():
        group = ElementTree.SubElement(root, "testsuite", _numbers(cells))
        group.set("name", _clean(name))
        group.set("timestamp", report["created"][:19])
        for cell in cells:
            _test_case(group, cell, name)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _test_case(group: ElementTree.Element, cell: Mapping[str, Any], column: str) -> None:
    again = f" #{cell['repeat'] + 1}" if cell["repeat"] else ""
    case = ElementTree.SubElement(
        group,
        "testcase",
        name=_clean(cell["case"] + again),
        classname=_clean(column),
        time=f"{cell['seconds'] or 0:.3f}",
    )
    if cell["status"] == ERROR:
        broken = ElementTree.SubElement(case, "error", message=_clean(cell["error"]))
        broken.text = _clean(cell["error"])
    elif cell["status"] == FAIL:
        reasons = [f"{v['type']}: {v['reason']}" for v in cell["verdicts"] if not v["pass"]]
        failed = ElementTree.SubElement(case, "failure", message=_clean("; ".join(reasons)))
        failed.text = _clean("\n".join(reasons))


def _numbers(cells: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    statuses = [cell["status"] for cell in cells]
    return {
        "tests": str(len(cells)),
        "failures": str(statuses.count(FAIL)),
        "errors": str(statuses.count(ERROR)),
        "skipped": "0",
        "time": f"{sum(cell['seconds'] or 0 for cell in cells):.3f}",
    }


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 can't hold at all."""
    return _NOT_XML.sub("�", text)
