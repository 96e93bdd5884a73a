"""The charts of a suite's page, as SVG in its own colours: measures by column, and by a setting.

By hand and not by matplotlib: they follow the page's light and dark, and cost nothing to load.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

Cell = Mapping[str, Any]
Column = tuple[str, str, str]

WIDTH, ROW = 320, 22
"""Pixels of a row of dots."""
MOST_ROWS = 24
"""Columns above which dots say less than the matrix does."""
LINES = 6
"""Lines of one chart; the page has so many colours for them."""


def charts_of(cells: Sequence[Cell]) -> str:
    """HTML of all that there is to draw; empty where there is nothing."""
    drawn = [*_by_setting(cells), *_by_column(cells)]
    if not drawn:
        return ""
    return (
        f'<details class="charts" open><summary>Charts</summary><div>{"".join(drawn)}</div>'
        "</details>"
    )


def graded(verdict: Mapping[str, Any]) -> bool:
    """Whether what it measured can be compared between cells: it has no unit, and isn't a count."""
    kind = verdict["type"].removeprefix("not-")
    return (
        not verdict["unit"]
        and kind not in ("count", "python", "detected")
        and verdict["measured"] is not None
    )


def _measures(cells: Sequence[Cell]) -> dict[str, list[tuple[Cell, float, bool]]]:
    """By type of assertion: cell, measure, whether it held."""
    found: dict[str, list[tuple[Cell, float, bool]]] = {}
    for cell in cells:
        for verdict in filter(graded, cell["verdicts"]):
            kind = verdict["type"].removeprefix("not-")
            found.setdefault(kind, []).append((cell, verdict["measured"], verdict["pass"]))
    return found


def _by_column(cells: Sequence[Cell]) -> list[str]:
    """A row of dots for each column, where there is more than one, or many cases."""
    drawn = []
    for kind, points in _measures(cells).items():
        rows: dict[Column, list[tuple[Cell, float, bool]]] = {}
        for point in points:
            rows.setdefault(column_of(point[0]), []).append(point)
        if len(rows) > MOST_ROWS or len(points) < 3:
            continue
        low, high = _span([value for _, value, _ in points])
        lines = [
            f'<div class="name">{html.escape(_named(column, rows))}</div>'
            f"{_dots(some, low, high)}"
            f'<div class="mean">{math.fsum(v for _, v, _ in some) / len(some):.2f}</div>'
            for column, some in rows.items()
        ]
        scale = (
            f'<div></div><div class="scale"><span>{low:g}</span><span>{high:g}</span></div>'
            '<div class="mean">mean</div>'
        )
        drawn.append(
            f'<figure><figcaption>{html.escape(kind)} by column</figcaption><div class="rows">'
            f"{''.join(lines)}{scale}</div></figure>"
        )
    return drawn


def _dots(points: Sequence[tuple[Cell, float, bool]], low: float, high: float) -> str:
    """Each measure as a dot, hollow where its assertion failed, and their mean as a line."""

    def at(value: float) -> float:
        return 6 + (WIDTH - 12) * (value - low) / (high - low)

    middle = ROW / 2
    mean = at(math.fsum(value for _, value, _ in points) / len(points))
    marks = "".join(
        f'<circle class="{"pass" if held else "fail"}" cx="{at(value):.1f}" cy="{middle}" r="4.5">'
        f"<title>{html.escape(cell['case'])}: {value:.3g}</title></circle>"
        for cell, value, held in points
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {ROW}" width="{WIDTH}" height="{ROW}" role="img">'
        f'<path class="axis" d="M6 {middle}H{WIDTH - 6}"/>'
        f'<path class="middle" d="M{mean:.1f} 2V{ROW - 2}"/>{marks}</svg>'
    )


def _by_setting(cells: Sequence[Cell]) -> list[str]:
    """The mean of each measure against each setting that is a number and takes two values or more;
    a line for each prompt, models and other settings."""
    drawn = []
    names = dict.fromkeys(name for cell in cells for name in cell["set"])
    for name in names:
        for kind, points in _measures(cells).items():
            lines: dict[str, dict[float, list[float]]] = {}
            for cell, value, _ in points:
                setting = cell["set"].get(name)
                if isinstance(setting, int | float) and not isinstance(setting, bool):
                    others = {k: v for k, v in cell["set"].items() if k != name}
                    parts = [cell["prompt"], cell["models"]]
                    parts += [f"{k}={v}" for k, v in others.items()]
                    line = lines.setdefault(" | ".join(parts), {})
                    line.setdefault(float(setting), []).append(value)
            lines = {label: line for label, line in lines.items() if len(line) > 1}
            if 0 < len(lines) <= LINES:
                drawn.append(_lines(name, kind, lines))
    return drawn


def _lines(name: str, kind: str, lines: Mapping[str, Mapping[float, Sequence[float]]]) -> str:
    width, height, left, below = 420, 190, 40, 34
    xs = sorted({x for line in lines.values() for x in line})
    means = {
        label: [(x, math.fsum(line[x]) / len(line[x])) for x in sorted(line)]
        for label, line in lines.items()
    }
    low, high = _span([y for points in means.values() for _, y in points])

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - xs[0]) / (xs[-1] - xs[0])
        up = (y - low) / (high - low)
        return left + 8 + (width - left - 22) * across, 10 + (height - below - 10) * (1 - up)

    parts = []
    for y in (low, (low + high) / 2, high):
        _, here = at(xs[0], y)
        parts.append(f'<path class="axis" d="M{left} {here:.1f}H{width - 6}"/>')
        parts.append(f'<text x="{left - 6}" y="{here + 4:.1f}" class="end">{y:.2g}</text>')
    for x in xs if len(xs) <= 8 else (xs[0], xs[-1]):
        here, _ = at(x, low)
        parts.append(f'<text x="{here:.1f}" y="{height - 16}" class="under">{x:g}</text>')
    parts.append(
        f'<text x="{width / 2:.0f}" y="{height - 1}" class="under">{html.escape(name)}</text>'
    )
    keys = []
    for k, (label, points) in enumerate(means.items()):
        places = [at(x, y) for x, y in points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<g class="line{k}"><path d="M{path}"/>')
        parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"><title>{x:g}: {y:.3g}</title></circle>'
            for (px, py), (x, y) in zip(places, points, strict=True)
        ]
        parts.append("</g>")
        keys.append(f'<li class="line{k}">{html.escape(label)}</li>')
    return (
        f"<figure><figcaption>{html.escape(kind)} by {html.escape(name)}, mean of the cases"
        f'</figcaption><svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img">{"".join(parts)}</svg><ul class="keys">{"".join(keys)}</ul></figure>'
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From 0 to 1 where all lie there, else as far as they go."""
    low, high = min(values), max(values)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def column_of(cell: Cell) -> Column:
    return cell["prompt"], cell["models"], cell["settings"]


def _named(column: Column, columns: Mapping[Column, Any]) -> str:
    """A column by what tells it from the others; by its prompt where there are none."""
    parts = [
        part for k, part in enumerate(column) if part and (len({other[k] for other in columns}) > 1)
    ]
    return " | ".join(parts) or column[0]
