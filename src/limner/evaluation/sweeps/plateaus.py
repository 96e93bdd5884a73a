"""The best of a sweep: of equally good settings the one in their middle, as ``tune`` takes it.

A setting at the edge of what is equally good fails with the next picture; the first one tried lies
at an edge. Where nothing was found, or nothing right, there is no best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from limner.evaluation.sweeps.objectives import MAX, MEASURES, RATING

if TYPE_CHECKING:
    from limner.evaluation.sweeps.recipe import Recipe
    from limner.evaluation.sweeps.run import TrialResult

SAME = 1e-12
"""Scores that differ by no more are equal."""

Ranks = tuple[int, ...]
"""Where a point stands along each axis that has an order, 0 for the lowest value tried."""


def best_of(recipe: Recipe, tried: Sequence[TrialResult]) -> TrialResult | None:
    """The best of those that have a score; None where nothing was found that could be one."""
    objective = recipe.search.objective
    candidates = [
        trial for trial in tried if trial.score is not None and _has_finds(trial, objective)
    ]
    if objective is None or not candidates:
        return None
    sign = 1 if recipe.search.better == MAX else -1
    top = max(sign * (trial.score or 0.0) for trial in candidates)
    if top <= 0 and objective in MEASURES and MEASURES[objective].bar == 0:
        return None  # found, and nothing of it right: 0 is the least that such a measure can be
    equals = [trial for trial in candidates if sign * (trial.score or 0.0) >= top - SAME]
    return _middle(recipe, tried, equals)


def _has_finds(tried: TrialResult, objective: str | None) -> bool:
    """Whether anything was, in any of the pictures; people rate also what has nothing in it."""
    return objective == RATING or any(result.found for result in tried.results)


def _middle(
    recipe: Recipe, tried: Sequence[TrialResult], equals: Sequence[TrialResult]
) -> TrialResult:
    """Of the largest plateau the point that is nearest to the median of each axis; of equals the
    one tried first."""
    ordered = [k for k, axis in enumerate(recipe.axes) if axis.is_ordered]
    rank_of = [_ranks(trial.point[k].plain for trial in tried) for k in ordered]
    groups: dict[tuple[str, ...], dict[int, Ranks]] = defaultdict(dict)
    for number, trial in enumerate(equals):
        others = tuple(v.label for k, v in enumerate(trial.point) if k not in ordered)
        ranks = (rank[trial.point[k].plain] for k, rank in zip(ordered, rank_of, strict=True))
        groups[others][number] = tuple(ranks)
    # Numbers that were drawn are all different: along several axes none is another's neighbour.
    drawn = len(ordered) > 1 and any(not recipe.axes[k].values for k in ordered)
    plateaus = [
        plateau
        for group in groups.values()
        for plateau in ([list(group)] if drawn else _connected(group))
    ]
    largest = max(plateaus, key=len)
    at = {number: next(g[number] for g in groups.values() if number in g) for number in largest}
    centre = [median(column) for column in zip(*at.values(), strict=True)]
    nearest = min(
        largest,
        key=lambda n: (sum(abs(a - b) for a, b in zip(at[n], centre, strict=True)), n),
    )
    return equals[nearest]


def _ranks(values: Iterable[float]) -> dict[float, int]:
    return {value: rank for rank, value in enumerate(sorted(set(values)))}


def _connected(group: dict[int, Ranks]) -> list[list[int]]:
    """The points in sets, in each of which one leads to the next by one step along one axis."""
    number_at = {ranks: number for number, ranks in group.items()}
    left = dict.fromkeys(group)
    plateaus = []
    while left:
        plateau = [next(iter(left))]
        del left[plateau[0]]
        for number in plateau:  # which grows meanwhile
            for ranks in _neighbours(group[number]):
                if (beside := number_at.get(ranks)) in left and beside is not None:
                    del left[beside]
                    plateau.append(beside)
        plateaus.append(plateau)
    return plateaus


def _neighbours(ranks: Ranks) -> Collection[Ranks]:
    return [
        (*ranks[:k], ranks[k] + step, *ranks[k + 1 :])
        for k in range(len(ranks))
        for step in (-1, 1)
    ]
