"""A sweep as pictures: contact sheets with its axes along the edges, and curves of its scores."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from limner.evaluation.cells.results import CellResult
from limner.evaluation.charts.contact_sheet import Axis as Edge
from limner.evaluation.charts.contact_sheet import Cell as Place
from limner.evaluation.charts.contact_sheet import contact_sheet
from limner.evaluation.charts.curves import Curve, Setting, score_curves
from limner.evaluation.sweeps.objectives import MAX, RATING
from limner.evaluation.sweeps.plateaus import best_of
from limner.evaluation.sweeps.recipe import Recipe
from limner.evaluation.sweeps.run import SweepResult, TrialResult, measured
from limner.evaluation.sweeps.search_config import GRID

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 6
"""Pictures in a row of a sheet that has no axes."""
MOST_RANKED = 60
LARGE, SMALL = 256, 176
"""Longest side of a picture: where few stand in a row, and where many do."""
LEAST = 32
MOST_PIXELS = 60_000_000
"""Of a whole sheet."""
PICTURE = "picture"
"""The axis that several pictures are."""


@dataclass(frozen=True)
class Shown:
    """One cell, and where it stands along every axis, the pictures' among them."""

    tried: TrialResult
    result: CellResult
    score: float | None
    at: tuple[str, ...]


def shown(recipe: Recipe, swept: SweepResult) -> list[Shown]:
    """All cells of a sweep."""
    several = len(recipe.cases) > 1
    cells = []
    for tried in swept.tried:
        labels = tuple(value.label for value in tried.point)
        for case, result in zip(recipe.cases, tried.results, strict=True):
            own = measured(result, recipe.search.objective)
            if recipe.search.objective == RATING:
                own = tried.score
            cells.append(Shown(tried, result, own, (*labels, case.name) if several else labels))
    return cells


def edges(recipe: Recipe, cells: Sequence[Shown]) -> list[Edge]:
    """The axes with the values that came, in order; numbers from low to high."""
    names = [axis.title for axis in recipe.axes]
    names += [PICTURE] if len(recipe.cases) > 1 else []
    axes = []
    for k, name in enumerate(names):
        values = list(dict.fromkeys(cell.at[k] for cell in cells))
        if k < len(recipe.axes) and not recipe.axes[k].values:
            values.sort(key=float)
        axes.append(Edge(name, tuple(values)))
    return axes


def sheets(recipe: Recipe, swept: SweepResult, pictures: Path) -> Iterator[tuple[str, Image.Image]]:
    """``(file name, sheet)``: the first axis goes across, the second down, and each combination of
    further ones has a sheet of its own. What was searched has no such order: the best come first.
    """
    cells, best = shown(recipe, swept), best_of(recipe, swept.tried)
    if recipe.search.method != GRID:
        yield "sheet.png", _ranked(recipe, cells, best, pictures)
        return
    columns, *more = edges(recipe, cells)
    rows = more[0] if more else Edge("", ("",))
    further = more[1:]
    names: set[str] = set()
    for combination in itertools.product(*(edge.values for edge in further)):
        places = {
            (rows.values.index(cell.at[1]) if more else 0, columns.values.index(cell.at[0])): cell
            for cell in cells
            if cell.at[2:] == combination
        }
        values = ", ".join(
            f"{edge.name} {value}" for edge, value in zip(further, combination, strict=True)
        )
        title = " · ".join(part for part in (_title(recipe), values) if part)
        yield (
            _file_name(combination, names),
            contact_sheet(
                columns,
                rows,
                {at: _place(cell, pictures) for at, cell in places.items()},
                title=title,
                score=recipe.search.objective or "",
                best=[at for at, cell in places.items() if cell.tried is best],
                side=_side(len(columns.values), len(rows.values)),
            ),
        )


def _ranked(
    recipe: Recipe, cells: Sequence[Shown], best: TrialResult | None, pictures: Path
) -> Image.Image:
    def rank(cell: Shown) -> tuple[bool, float, bool]:
        return (*_rank(cell.score, recipe.search.better), cell.tried is not best)

    best_first = sorted(cells, key=rank)[:MOST_RANKED]
    across = min(ACROSS, len(best_first))
    lines = range(0, len(best_first), across)
    names = [axis.title for axis in recipe.axes] + [PICTURE]
    places = {}
    for k, cell in enumerate(best_first):
        settings = ", ".join(f"{name} {value}" for name, value in zip(names, cell.at, strict=False))
        place = _place(cell, pictures)
        note = place.note or settings
        places[divmod(k, across)] = Place(place.picture, place.score, note)
    order = "best first" if recipe.search.objective else "as they were tried"
    return contact_sheet(
        Edge(order, tuple(str(k + 1) for k in range(across))),
        Edge("", tuple(f"{k + 1}–{min(k + across, len(best_first))}" for k in lines)),
        places,
        title=_title(recipe),
        score=recipe.search.objective or "",
        best=[divmod(k, across) for k, cell in enumerate(best_first) if cell.tried is best],
        side=LARGE,
    )


def _rank(score: float | None, better: str) -> tuple[bool, float]:
    return score is None, (score or 0.0) * (-1 if better == MAX else 1)


def _side(columns: int, rows: int) -> int:
    """Longest side of a picture, so that the sheet stays one that programs open."""
    side = LARGE if columns <= 4 else SMALL
    return max(LEAST, min(side, int((MOST_PIXELS / (columns * rows)) ** 0.5)))


def _title(recipe: Recipe) -> str:
    return recipe.description or recipe.path.stem


def _place(cell: Shown, pictures: Path) -> Place:
    path = pictures / cell.result.picture
    picture = None
    if cell.result.picture and path.exists():
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    note = f"! {cell.result.error}" if cell.result.error else ""
    if not note and not cell.result.found:
        note = "nothing found"
    return Place(picture, cell.score, note)


def _file_name(combination: Sequence[str], taken: set[str]) -> str:
    """``sheet-a-red-car.png``; no two alike, also where capitals count for nothing."""
    stems = [re.sub(r"\.(png|jpe?g|webp|tiff?)$", "", value) for value in combination]
    word = "-".join(re.sub(r"[^\w.+-]+", "-", stem).strip("-.")[:40] for stem in stems)
    base = f"sheet-{word}".rstrip("-") if combination else "sheet"
    name, number = base, 1
    while name.casefold() in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name.casefold())
    return f"{name}.png"


# --- curves ---------------------------------------------------------------------------------------


def curves(recipe: Recipe, swept: SweepResult) -> Figure | None:
    """Scores over the first axis, a line for each value of the second; of a search over its trials.

    None where fewer than two points have a score.
    """
    scored = [trial for trial in swept.tried if trial.score is not None]
    if len(scored) < 2:
        return None
    objective, better = recipe.search.objective or "", recipe.search.better
    if recipe.search.method != GRID:
        return _progress(scored, recipe, objective, better)
    first, second = recipe.axes[0], recipe.axes[1] if len(recipe.axes) > 1 else None
    lines: dict[str, dict[Setting, list[float]]] = {}
    for trial in scored:
        name = f"{second.title} {trial.point[1].label}" if second else objective
        x = trial.point[0].plain if first.is_ordered else trial.point[0].label
        lines.setdefault(name, {}).setdefault(x, []).append(trial.score or 0.0)
    return score_curves(
        [Curve.of(name, by_x) for name, by_x in lines.items()],
        setting=first.title,
        score=objective,
        title=_title(recipe),
        best=better,
    )


def _progress(scored: Sequence[TrialResult], recipe: Recipe, objective: str, better: str) -> Figure:
    scores: Mapping[Setting, list[float]] = {
        float(trial.trial.number + 1): [trial.score or 0.0] for trial in scored
    }
    pick = max if better == MAX else min
    so_far = itertools.accumulate((trial.score or 0.0 for trial in scored), pick)
    best: Mapping[Setting, list[float]] = {
        float(trial.trial.number + 1): [value] for trial, value in zip(scored, so_far, strict=True)
    }
    return score_curves(
        [Curve.of("each trial", scores), Curve.of("best so far", best)],
        setting="trial",
        score=objective,
        title=_title(recipe),
        best="",
    )
