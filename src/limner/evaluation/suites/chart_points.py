"""What the charts of a suite's page show, and where: measures by column, and by a setting.

``pages/templates/charts.html`` draws them as SVG and not matplotlib: they follow the page's light
and dark, and cost nothing to load.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Cell = Mapping[str, Any]
Column = tuple[str, str, str]
Chart = dict[str, Any]

WIDTH, ROW = 320, 22
"""Pixels of a row of dots."""
MOST_ROWS = 24
"""Columns above which dots say less than the matrix does."""
LINES = 6
"""Lines of one chart; the page has so many colours for them."""


def charts_of(cells: Sequence[Cell]) -> list[Chart]:
    """All that there is to draw, each a ``form`` ("lines" or "dots") and what that takes."""
    return [*_by_setting(cells), *_by_column(cells)]


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
    measures: dict[str, list[tuple[Cell, float, bool]]] = {}
    for cell in cells:
        for verdict in filter(graded, cell["verdicts"]):
            kind = verdict["type"].removeprefix("not-")
            measures.setdefault(kind, []).append((cell, verdict["measured"], verdict["pass"]))
    return measures


def _by_column(cells: Sequence[Cell]) -> list[Chart]:
    """A row of dots for each column, where there is more than one, or many cases: hollow where its
    assertion failed, and their mean as a line."""
    charts = []
    for kind, points in _measures(cells).items():
        rows: dict[Column, list[tuple[Cell, float, bool]]] = {}
        for point in points:
            rows.setdefault(column_of(point[0]), []).append(point)
        if len(rows) > MOST_ROWS or len(points) < 3:
            continue
        low, high = _span([value for _, value, _ in points])
        charts.append(
            {
                "form": "dots",
                "kind": kind,
                "width": WIDTH,
                "height": ROW,
                "middle": ROW / 2,
                "low": f"{low:g}",
                "high": f"{high:g}",
                "rows": [
                    {"name": _named(column, rows), **_dots(some, low, high)}
                    for column, some in rows.items()
                ],
            }
        )
    return charts


def _dots(points: Sequence[tuple[Cell, float, bool]], low: float, high: float) -> Chart:
    def at(value: float) -> str:
        return f"{6 + (WIDTH - 12) * (value - low) / (high - low):.1f}"

    mean = math.fsum(value for _, value, _ in points) / len(points)
    return {
        "mean": f"{mean:.2f}",
        "mean_x": at(mean),
        "dots": [
            {"x": at(value), "held": held, "title": f"{cell['case']}: {value:.3g}"}
            for cell, value, held in points
        ],
    }


def _by_setting(cells: Sequence[Cell]) -> list[Chart]:
    """The mean of each measure against each setting that is a number and takes two values or more;
    a line for each prompt, models and other settings."""
    charts = []
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
                charts.append(_lines(name, kind, lines))
    return charts


def _lines(name: str, kind: str, lines: Mapping[str, Mapping[float, Sequence[float]]]) -> Chart:
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

    shown = xs if len(xs) <= 8 else [xs[0], xs[-1]]
    return {
        "form": "lines",
        "kind": kind,
        "setting": name,
        "width": width,
        "height": height,
        "left": left,
        "centre": f"{width / 2:.0f}",
        "up": [
            {
                "y": f"{at(xs[0], y)[1]:.1f}",
                "text_y": f"{at(xs[0], y)[1] + 4:.1f}",
                "text": f"{y:.2g}",
            }
            for y in (low, (low + high) / 2, high)
        ],
        "across": [{"x": f"{at(x, low)[0]:.1f}", "text": f"{x:g}"} for x in shown],
        "lines": [
            {
                "label": label,
                "path": "L".join("{:.1f} {:.1f}".format(*at(x, y)) for x, y in points),
                "dots": [
                    {
                        "x": f"{at(x, y)[0]:.1f}",
                        "y": f"{at(x, y)[1]:.1f}",
                        "title": f"{x:g}: {y:.3g}",
                    }
                    for x, y in points
                ],
            }
            for label, points in means.items()
        ],
    }


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
