"""A sweep run by sessions: from its recipe to the folder with all that came of it.

from limner.session.sweeps import run_sweep

run = run_sweep(read_recipe(Path("recipe.toml")), Path("out"))
run.best.score, run.report["trials"]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import OptionError, OutputError, RecipeError
from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.journal import PICTURES
from limner.evaluation.cells.runner import ALONE, Execution
from limner.evaluation.sweeps import html
from limner.evaluation.sweeps import report as tables
from limner.evaluation.sweeps.objectives import RATING
from limner.evaluation.sweeps.plateaus import best_of
from limner.evaluation.sweeps.recipe import Recipe
from limner.evaluation.sweeps.run import (
    Ratings,
    SweepResult,
    TrialResult,
    keep_inputs,
    run_trials,
)
from limner.evaluation.sweeps.search_config import RATED_AT_ONCE
from limner.evaluation.sweeps.searchers import check_installed
from limner.evaluation.sweeps.sheets import curves, sheets
from limner.evaluation.sweeps.state import State, new_state, read_state
from limner.home import HIDDEN
from limner.io.save import save_image, write_atomic
from limner.protocols import OnStep
from limner.session.cell_answers import AnswererConfig
from limner.session.suites import counting

if TYPE_CHECKING:
    from limner.runs.store import Store

CommandOf = Callable[[Cell], str]
"""What to type to make a cell again, for the page."""


@dataclass(frozen=True)
class SweepRun:
    """A sweep as far as it came, and what was written of it."""

    result: SweepResult
    state: State
    best: TrialResult | None
    """None where nothing was found that scores."""
    report: Mapping[str, Any]
    """``results.json``."""
    sheets: tuple[Path, ...]


def run_sweep(
    recipe: Recipe,
    folder: Path,
    config: AnswererConfig | None = None,
    execution: Execution = ALONE,
    *,
    overwrite: bool = False,
    command_of: CommandOf | None = None,
    on_step: OnStep | None = None,
) -> SweepRun:
    """Try what a recipe says, or go on with it, and lay out what came.

    Args:
        folder: for all that is made.
        config: what the cells are answered with; the recipe's judges take the place of its own.
        overwrite: begin anew where a sweep lies already.

    Raises:
        MissingExtra: the search needs Optuna.
        OptionError: it needs ratings, and runs aren't recorded; or what excludes each other.
        OutputError: something else lies in the folder, or nothing can be written.
        LimnerError: no cell could be answered so.
    """
    check_installed(recipe.search.method)
    config = config or AnswererConfig()
    ratings = _ratings(recipe, config.store)
    state = _state(folder, recipe, execution, overwrite=overwrite)
    labels = replace(config.labels, sweep=state.id)
    config = replace(config, judges=dict(recipe.judges), labels=labels)
    config.check(cell.models for point in recipe.each_value_once() for cell in recipe.cells(point))
    state.write(folder)
    result = run_trials(
        recipe,
        config,
        folder,
        state,
        execution,
        ratings=ratings,
        on_result=counting(cells_of(recipe), on_step),
    )
    report = tables.report_of(recipe, result, state)
    written = _write_all(recipe, result, report, folder, command_of)
    best = best_of(recipe, result.tried)
    return SweepRun(result, state, best, report, tuple(written))


def cells_of(recipe: Recipe) -> int:
    """How many pictures a sweep makes, or tries to."""
    return (recipe.search.trials or int(recipe.size)) * len(recipe.cases)


def _ratings(recipe: Recipe, store: Callable[[], Store] | None) -> Ratings | None:
    """What reads a run's rating; None where no ratings are asked for.

    Raises:
        OptionError: they are, and runs aren't recorded.
    """
    if recipe.search.objective != RATING:
        return None
    if store is None:
        raise OptionError(
            "The objective rating is read from recorded runs: leave --no-store and "
            "LIMNER_STORE=off away."
        )
    opened = functools.cache(store)
    return lambda run: opened().get(run).row.rating


def _state(folder: Path, recipe: Recipe, execution: Execution, *, overwrite: bool) -> State:
    """What is known of the sweep in a folder, or that of a new one.

    Raises:
        OutputError: something else lies there.
        OptionError: options that exclude each other.
    """
    if overwrite and execution.goes_on:
        raise OptionError("--overwrite begins anew and --resume goes on: give one of them.")
    existing = None if overwrite else read_state(folder)
    if existing is not None and execution.goes_on:
        return existing
    if existing is not None:
        raise OutputError(
            f"{folder} holds a sweep already: --resume goes on with it, --overwrite begins anew."
        )
    if not overwrite and any(
        not path.name.startswith(HIDDEN) for path in (folder.glob("*") if folder.exists() else ())
    ):
        raise OutputError(
            f"{folder} holds other things: name a new folder with --out, or --overwrite to write "
            "among them."
        )
    waits = RATED_AT_ONCE if recipe.search.waits else execution.workers
    return new_state(recipe.search.batch or waits)


# --- what is written ------------------------------------------------------------------------------


def _write_all(
    recipe: Recipe,
    result: SweepResult,
    report: dict[str, Any],
    folder: Path,
    command_of: CommandOf | None,
) -> list[Path]:
    """Sheets, curves, tables and the page; returns the sheets. What an earlier run of the sweep
    left and this one doesn't make is taken away."""
    from limner.evaluation.charts.style import save_chart

    written = [
        save_image(sheet, folder / name, overwrite=True)
        for name, sheet in sheets(recipe, result, folder / PICTURES)
    ]
    for old in folder.glob("sheet*.png"):
        if old not in written:
            old.unlink()
    figure = curves(recipe, result)
    for path in (folder / "curves.png", folder / "curves.svg"):
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            save_chart(figure, path, overwrite=True)
    keep_inputs(recipe, folder / PICTURES)
    write_atomic(folder / "results.json", tables.report_json(report), overwrite=True)
    write_atomic(folder / "results.csv", tables.report_csv(report), overwrite=True)
    page = html.page(report, folder / PICTURES, _commands(recipe, result, command_of))
    write_atomic(folder / "index.html", page, overwrite=True)
    return written


def _commands(recipe: Recipe, result: SweepResult, command_of: CommandOf | None) -> dict[str, str]:
    """The command that makes a cell again, by its key."""
    commands: dict[str, str] = {}
    if command_of is None:
        return commands
    for tried in result.tried:
        with suppress(RecipeError):  # such a point has no cells, and has said so
            commands |= {cell.key: command_of(cell) for cell in recipe.cells(tried.point)}
    return commands
