"""The matrix of a suite as one HTML file: rows cases, columns prompt x models x settings.

It works opened from disk: pictures are data URIs, and nothing is fetched.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from limner.evaluation.cells.cell import OWN
from limner.evaluation.cells.measures import gigabytes
from limner.evaluation.cells.results import ERROR, FAIL, PASS
from limner.evaluation.suites.svg import charts_of, column_of, graded

FRAME = Path(__file__).parent / "matrix.html"

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
    rows = list(dict.fromkeys(cell["case"] for cell in cells))
    at: dict[tuple[str, tuple[str, str, str]], list[Cell]] = {}
    for cell in cells:
        at.setdefault((cell["case"], column_of(cell)), []).append(cell)
    title = report["description"] or Path(report["suite"]).name
    body = [
        _row(case, [at.get((case, column), []) for column in columns], pictures) for case in rows
    ]
    return Template(FRAME.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        suite=html.escape(report["suite"]),
        summary=_summary(report),
        baseline=_baseline(report.get("baseline")),
        charts=charts_of(cells),
        heads="".join(
            _head(column, [cell for cell in cells if column_of(cell) == column])
            for column in columns
        ),
        rows="\n".join(body),
        made=html.escape(
            f"Eval {report['id']}, limner {report['limner']}, "
            f"{report['created'].replace('T', ' ')[:16]} UTC"
        ),
        different=sum('data-different="1"' in row for row in body),
        failing=sum('data-failing="1"' in row for row in body),
        every=len(rows),
        columns=len(columns),
        dense=' class="dense"' if len(columns) > ROOMY else "",
    )


def _summary(report: Mapping[str, Any]) -> str:
    parts = [
        f'<span class="{status}">{MARKS[status]} {count} {WORDS[status]}</span>'
        for status, count in report["stats"].items()
        if count or status == PASS
    ]
    seconds = sum(cell["seconds"] or 0 for cell in report["cells"])
    return "".join(parts) + f"<span>{_seconds(seconds)} computing</span>"


def _baseline(compared: Mapping[str, Any] | None) -> str:
    if compared is None:
        return ""
    lines = [
        f"<li>{html.escape(name)}: {before} → <b>{now}</b></li>"
        for name, before, now in compared["regressions"]
    ]
    if not lines:
        return '<p class="note">No regression since the baseline.</p>'
    return f'<div class="note worse">Worse than the baseline:<ul>{"".join(lines)}</ul></div>'


def _head(column: tuple[str, str, str], cells: Sequence[Cell]) -> str:
    prompt, models, settings = column
    passed = sum(cell["status"] == PASS for cell in cells)
    said = "each case’s own" if prompt == OWN else prompt
    lines = [f"<b>{html.escape(said)}</b>", f"<span>{html.escape(models)}</span>"]
    if settings:
        lines.append(f"<span>{html.escape(settings)}</span>")
    share = 100 * passed / len(cells)
    lines.append(f'<div class="bar"><i style="width:{share:.0f}%"></i></div>')
    means = [f"{passed}/{len(cells)} pass"]
    means += [f"{name} {value:.2f}" for name, value in _means(cells).items()]
    lines.append(f'<span class="facts">{html.escape(" · ".join(means))}</span>')
    whole = html.escape(" · ".join(part for part in (said, models, settings) if part))
    return f'<th scope="col" title="{whole}">{"".join(lines)}</th>'


def _means(cells: Sequence[Cell]) -> dict[str, float]:
    """Mean measure by type, of those without a unit: they can be compared between columns."""
    found: dict[str, list[float]] = {}
    for cell in cells:
        for verdict in cell["verdicts"]:
            if graded(verdict):
                found.setdefault(verdict["type"].removeprefix("not-"), []).append(
                    verdict["measured"]
                )
    return {name: sum(values) / len(values) for name, values in found.items()}


def _row(case: str, places: Sequence[Sequence[Cell]], pictures: Path) -> str:
    here = [cell for place in places for cell in place]
    outcomes = {
        (cell["status"], tuple(verdict["pass"] for verdict in cell["verdicts"])) for cell in here
    }
    failing = any(cell["status"] != PASS for cell in here)
    marks = f'data-failing="{int(failing)}" data-different="{int(len(outcomes) > 1)}"'
    least = here[0]["threshold"]
    note = (
        f'<span class="facts">passes from a score of {least:g}</span>' if least is not None else ""
    )
    boxes = "".join(
        f"<td>{''.join(_try(cell, pictures) for cell in place)}</td>" for place in places
    )
    return f'<tr {marks}><th scope="row">{_breakable(case)}{note}</th>{boxes}</tr>'


def _breakable(text: str) -> str:
    """Escaped, with places where a long path or list may go on in the next line."""
    return _folded(text, html.escape(text).replace("/", "/<wbr>").replace(",", ",<wbr>"))


def _try(cell: Cell, pictures: Path) -> str:
    """One try: its picture, whether it passed, score and time, and every verdict."""
    status = cell["status"]
    facts = [f'<b class="{status}">{MARKS[status]} {WORDS[status]}</b>']
    if status != ERROR:
        facts.append(f"<span>score {cell['score']:.2f}</span>")
        facts.append(f"<span>{_seconds(cell['seconds'] or 0)}</span>")
        facts.append(f"<span>{cell['found']} found</span>")
    if cell["repeat"]:
        facts.append(f"<span>#{cell['repeat'] + 1}</span>")
    if cell["run"]:
        run = html.escape(cell["run"])
        facts.append(f'<span title="limner runs show {run}">run {run[:RUN_SHOWN]}</span>')
    asked = f'<p class="asked">{html.escape(cell["asked"])}</p>'
    said = "".join(map(_verdict, cell["verdicts"]))
    if cell["error"]:
        said = f"<li>{_folded(cell['error'])}</li>"
    listed = f"<ul>{said}</ul>" if said else ""
    return (
        f'<article class="try {status}">{_picture(cell, pictures)}{asked}'
        f'<p class="facts">{"".join(facts)}</p>{listed}</article>'
    )


def _picture(cell: Cell, pictures: Path) -> str:
    path = pictures / cell["picture"]
    if not cell["picture"] or not path.exists():
        return '<div class="none">no picture</div>'
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    alt = html.escape(f"{cell['case']}: {cell['asked']}", quote=True)
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alt}">'


def _verdict(verdict: Mapping[str, Any]) -> str:
    """``✓ iou 0.95 ≥ …`` with the whole reason where it failed."""
    mark = PASS if verdict["pass"] else FAIL
    name = html.escape(verdict["type"])
    measured = verdict["measured"]
    if verdict["unit"] == "bytes" and measured is not None:
        shown = gigabytes(measured)
    elif measured is not None:
        shown = f"{measured:.3g}" + (f" {verdict['unit']}" if verdict["unit"] else "")
    else:
        shown = ""
    detail = _folded(verdict["reason"]) if not verdict["pass"] or not shown else shown
    weight = "" if verdict["weight"] == 1 else f" (weight {verdict['weight']:g})"
    return f'<li><b class="{mark}">{MARKS[mark]}</b> {name} <span>{detail}{weight}</span></li>'


def _folded(text: str, said: str | None = None) -> str:
    """Escaped; three lines of what is long, and the rest when it is clicked on.

    Args:
        said: the text as HTML, where it isn't only escaped.
    """
    escaped = html.escape(text)
    said = said or escaped
    if len(text) <= LONG:
        return said
    return f'<details class="long"><summary title="{escaped}">{said}</summary></details>'


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
