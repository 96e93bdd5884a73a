"""Which points are tried next: a grid, a draw, or what one of Optuna's samplers proposes.

A searcher is deterministic: told the same scores, it proposes the same points. That is how a killed
search goes on: it begins anew, and what it proposes is found done and told again.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import Any, Protocol

from limner.errors import MissingExtra
from limner.evaluation.sweeps.axes import Axis, Value
from limner.evaluation.sweeps.objectives import MAX
from limner.evaluation.sweeps.recipe import Point, Recipe
from limner.evaluation.sweeps.search_config import GRID, RANDOM, SAMPLERS


@dataclass(frozen=True)
class Trial:
    """A point that is to be tried."""

    number: int
    """From 0, in the order of proposing."""
    point: Point


class Searcher(Protocol):
    """Proposes points and is told their scores."""

    def propose(self, count: int) -> list[Trial]:
        """The next points, at most ``count``; none when all were proposed."""
        ...

    def tell(self, trial: Trial, score: float | None) -> None:
        """What came of a point; None: nothing that could be scored."""
        ...


def searcher_of(recipe: Recipe, *, at_once: int) -> Searcher:
    """
    Args:
        at_once: points that are proposed before their scores are told.

    Raises:
        MissingExtra: the method needs Optuna, and it isn't installed.
    """
    if recipe.search.method == GRID:
        return Listed(recipe.points())
    if recipe.search.method == RANDOM:
        return Listed(drawn(recipe))
    return Sampled(recipe, at_once)


class Listed:
    """Points that are known from the start."""

    def __init__(self, points: Iterator[Point]) -> None:
        self._trials = (Trial(number, point) for number, point in enumerate(points))

    def propose(self, count: int) -> list[Trial]:
        return list(islice(self._trials, count))

    def tell(self, trial: Trial, score: float | None) -> None:
        """Nothing is learned."""


# --- random ---------------------------------------------------------------------------------------


def drawn(recipe: Recipe) -> Iterator[Point]:
    """As many random points as the recipe's trials; no two alike where all can be listed."""
    chance, trials = random.Random(recipe.search.seed), recipe.search.trials or 0
    listed = [_listed(axis) for axis in recipe.axes]
    if all(listed):
        for k in chance.sample(range(math.prod(map(len, listed))), trials):
            point: list[Value] = []
            for values in reversed(listed):  # as digits: the last axis goes fastest
                k, digit = divmod(k, len(values))
                point.insert(0, values[digit])
            yield tuple(point)
        return
    for _ in range(trials):
        yield tuple(_drawn(axis, chance) for axis in recipe.axes)


def _listed(axis: Axis) -> tuple[Value, ...]:
    """All values; none where they can't be listed, or aren't equally likely."""
    span = axis.span
    if axis.values or span is None:
        return axis.values
    if not span.whole or span.log or span.high - span.low > 10_000:
        return ()
    return tuple(axis.number(k) for k in range(int(span.low), int(span.high) + 1))


def _drawn(axis: Axis, chance: random.Random) -> Value:
    if axis.values or axis.span is None:
        return chance.choice(axis.values)
    return axis.number(axis.span.at(chance.random()))


# --- Optuna ---------------------------------------------------------------------------------------


def check_installed(method: str) -> None:
    """Raises:
    MissingExtra: the method is Optuna's, which isn't installed.
    """
    if method in SAMPLERS and find_spec("optuna") is None:
        raise MissingExtra(
            f'The method {method} needs the package optuna: pip install "limner[optuna]".'
        )


class Sampled:
    """One of Optuna's samplers, asked and told."""

    def __init__(self, recipe: Recipe, at_once: int) -> None:
        check_installed(recipe.search.method)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._axes, self._left = recipe.axes, recipe.search.trials or 0
        self._columns = [_column(axis) for axis in recipe.axes]
        self._proposals: dict[int, Any] = {}
        chosen: dict[str, Any] = {"seed": recipe.search.seed}
        if recipe.search.method == "tpe":
            chosen["constant_liar"] = at_once > 1  # what is being tried is not proposed again
        with _quietly():
            self._study = optuna.create_study(
                direction="maximize" if recipe.search.better == MAX else "minimize",
                sampler=getattr(optuna.samplers, SAMPLERS[recipe.search.method])(**chosen),
            )

    def propose(self, count: int) -> list[Trial]:
        trials = []
        for _ in range(min(count, self._left)):
            with _quietly():
                proposal = self._study.ask(
                    {
                        axis.name: column.distribution
                        for axis, column in zip(self._axes, self._columns, strict=True)
                    }
                )
            point = tuple(
                column.value(proposal.params[axis.name])
                for axis, column in zip(self._axes, self._columns, strict=True)
            )
            self._proposals[proposal.number] = proposal
            trials.append(Trial(proposal.number, point))
        self._left -= len(trials)
        return trials

    def tell(self, trial: Trial, score: float | None) -> None:
        import optuna

        proposal = self._proposals.pop(trial.number)
        with _quietly():
            if score is None:
                self._study.tell(proposal, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(proposal, score)


@dataclass(frozen=True)
class _Column:
    """An axis as Optuna sees it."""

    axis: Axis
    distribution: Any
    values: tuple[Value, ...]
    """What the numbers that Optuna chooses stand for; none: themselves."""

    def value(self, chosen: Any) -> Value:
        return self.values[chosen] if self.values else self.axis.number(chosen)


def _column(axis: Axis) -> _Column:
    """Listed numbers become their places in order, so that near ones are known to be near."""
    from optuna import distributions

    if not axis.values and axis.span:
        span = axis.span
        kind: Any = distributions.IntDistribution if span.whole else distributions.FloatDistribution
        return _Column(axis, kind(span.low, span.high, log=span.log), ())
    values, places = axis.values, range(len(axis.values))
    if axis.is_ordered:
        values = tuple(sorted(values, key=lambda value: float(value.plain)))
        return _Column(axis, distributions.IntDistribution(0, len(values) - 1), values)
    return _Column(axis, distributions.CategoricalDistribution(tuple(places)), values)


@contextmanager
def _quietly() -> Iterator[None]:
    """Optuna warns of samplers that are new and of draws that are independent; neither is news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
