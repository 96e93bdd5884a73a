"""A sweep is run: points are proposed, their cells answered and measured, their scores told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from limner.errors import ImageError, RecipeError, StoreError
from limner.evaluation.cells.cell import Case, Cell
from limner.evaluation.cells.outcome import Outcome
from limner.evaluation.cells.results import ERROR, CellResult
from limner.evaluation.cells.runner import (
    ALONE,
    Execution,
    Make,
    OnResult,
    Runner,
    open_runner,
)
from limner.evaluation.cells.work import small_jpeg
from limner.evaluation.sweeps.objectives import RATING
from limner.evaluation.sweeps.recipe import Point, Recipe
from limner.evaluation.sweeps.searchers import Trial, searcher_of
from limner.evaluation.sweeps.state import State
from limner.io.images import open_image
from limner.io.save import save_image, write_atomic
from limner.ops.overlay import overlay

Ratings = Callable[[str], int | None]
"""A run's rating, None where it has none; raises ``StoreError`` where the run is gone."""


@dataclass(frozen=True)
class TrialResult:
    """A point, and what came of it."""

    trial: Trial
    results: tuple[CellResult, ...]
    """One a picture, in the recipe's order."""
    score: float | None
    """Of the objective, the mean over the pictures; None where one of them has none."""

    @property
    def point(self) -> Point:
        return self.trial.point


@dataclass(frozen=True)
class SweepResult:
    """A sweep as far as it came."""

    tried: tuple[TrialResult, ...]
    unrated: tuple[str, ...] = ()
    """Ids of the runs that people must rate before the search goes on."""


def run_trials(
    recipe: Recipe,
    make: Make,
    folder: Path,
    state: State,
    execution: Execution = ALONE,
    *,
    ratings: Ratings | None = None,
    on_result: OnResult | None = None,
) -> SweepResult:
    """Every point that the search proposes, in its order.

    Args:
        folder: of the journal, the pictures and ``sweep.json``.
        ratings: where the objective is what people say.

    Raises:
        MissingExtra: the search needs Optuna.
        OutputError: the folder can't be written, or another process works on it.
    """
    searcher = searcher_of(recipe, at_once=state.batch)
    at_once = state.batch if recipe.search.uses_optuna else 2**62
    tried: list[TrialResult] = []
    with open_runner(
        make, folder, execution, keep=keep_whole, verb="sweep", on_result=on_result
    ) as runner:
        while trials := searcher.propose(at_once):
            done = _done(recipe, runner, trials)
            if recipe.search.waits and ratings:
                state, unrated = _with_ratings(state, done, ratings)
                state.write(folder)
                done = [_rated(each, partial(_noted_rating, state)) for each in done]
                if unrated:
                    tried += done
                    return SweepResult(tuple(tried), unrated)
            for each in done:
                searcher.tell(each.trial, each.score)
            tried += done
    if recipe.search.objective == RATING and ratings:
        tried = [_rated(each, lambda result: _rating(result, ratings)) for each in tried]
    return SweepResult(tuple(tried))


def _done(recipe: Recipe, runner: Runner, trials: Sequence[Trial]) -> list[TrialResult]:
    cells: dict[int, tuple[Cell, ...]] = {}
    refused: dict[int, tuple[CellResult, ...]] = {}
    for trial in trials:
        try:
            cells[trial.number] = recipe.cells(trial.point)
        except RecipeError as error:  # of values that can't be meant together: a box inside out
            refused[trial.number] = tuple(_refused(case, trial, error) for case in recipe.cases)
    results = iter(runner.run([cell for each in cells.values() for cell in each]))
    done = []
    for trial in trials:
        own = refused.get(trial.number) or tuple(next(results) for _ in cells[trial.number])
        scores = [measured(result, recipe.search.objective) for result in own]
        done.append(TrialResult(trial, own, mean(scores)))
    return done


def _refused(case: Case, trial: Trial, error: RecipeError) -> CellResult:
    return CellResult(f"refused {trial.number} {case.name}", case.name, ERROR, error=str(error))


def measured(result: CellResult, name: str | None) -> float | None:
    """What a measure says of a cell; None where it says nothing."""
    for verdict in result.verdicts:
        if verdict["type"] == name:
            number = verdict["measured"]
            return None if number is None else float(number)
    return None


def mean(scores: Sequence[float | None]) -> float | None:
    """None where one is missing: the mean over other pictures is another measure."""
    there = [score for score in scores if score is not None]
    return math.fsum(there) / len(there) if there and len(there) == len(scores) else None


# --- ratings --------------------------------------------------------------------------------------


def _with_ratings(
    state: State, done: Sequence[TrialResult], ratings: Ratings
) -> tuple[State, tuple[str, ...]]:
    """The state with the ratings that came since, and the runs that still have none."""
    ratings_by_key, unrated = dict(state.told), []
    for result in (result for each in done for result in each.results):
        if result.key in ratings_by_key or result.status == ERROR or not result.run:
            continue
        try:
            rating = ratings(result.run)
        except StoreError:  # deleted: nobody can rate it any more
            continue
        if rating is None:
            unrated.append(result.run)
        else:
            ratings_by_key[result.key] = rating
    return replace(state, told=ratings_by_key), tuple(dict.fromkeys(unrated))


def _noted_rating(state: State, result: CellResult) -> int | None:
    return state.told.get(result.key)


def _rating(result: CellResult, ratings: Ratings) -> int | None:
    try:
        return ratings(result.run) if result.run else None
    except StoreError:
        return None


def _rated(each: TrialResult, rating: Callable[[CellResult], int | None]) -> TrialResult:
    return replace(each, score=mean([rating(result) for result in each.results]))


# --- pictures -------------------------------------------------------------------------------------


def keep_whole(outcome: Outcome, path: Path) -> str:
    """The result in its full size as a PNG that carries its record, and a small JPEG of it.

    What was painted stays as it is; what was only found is drawn on the picture.
    """
    picture = outcome.result
    if outcome.edit is None:
        picture = overlay(picture, outcome.detections)
    save_image(picture, path.with_suffix(".png"), record=outcome.record or None, overwrite=True)
    small = path.with_suffix(".jpg")  # last: where it lies, the other does
    write_atomic(small, small_jpeg(picture), overwrite=True)
    return small.name


def keep_inputs(recipe: Recipe, pictures: Path) -> None:
    """What was there before, for the page: ``input-0.png``, ``input-0.jpg``, …, one a picture."""
    for k, case in enumerate(recipe.cases):
        with suppress(ImageError):  # its cells have said so
            picture = open_image(case.image).image
            save_image(picture, pictures / f"input-{k}.png", overwrite=True)
            write_atomic(pictures / f"input-{k}.jpg", small_jpeg(picture), overwrite=True)
