"""``limner sweep``: a recipe is read, its settings are tried, and what came is laid out."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import check_writable, clear_remains
from limner.cli.console import say
from limner.cli.options.flags import jobs_option, runtime_options
from limner.cli.options.run_store import (
    caching_option,
    keeping_options,
    no_record_option,
    recording_store,
)
from limner.cli.progress import progress
from limner.errors import OptionError, OutputError, RecipeError

if TYPE_CHECKING:
    from limner.evaluation.cells.results import CellResult
    from limner.evaluation.sweeps.recipe import Recipe
    from limner.evaluation.sweeps.run import Ratings, SweepResult, TrialResult
    from limner.evaluation.sweeps.state import State
    from limner.runs.store import Store

ASKED_ABOVE = 1_000
"""Cells that are begun without a question."""

OUTPUTS = ("index.html", "results.json", "results.csv", "curves.png", "curves.svg")
"""What a sweep writes besides its sheets, its journal and its pictures."""


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    help="A folder for all that is made (default: beside you, named after the recipe).",
)
@jobs_option
@click.option("--resume", is_flag=True, help="Go on where this sweep stopped, or waits for you.")
@click.option("--retry-errors", is_flag=True, help="The same, and try what failed again.")
@no_record_option
@click.option("--overwrite", is_flag=True, help="Begin anew where a sweep lies already.")
@click.option("--yes", "-y", is_flag=True, help="Begin a large sweep without asking.")
@caching_option
@keeping_options
@runtime_options
def sweep(recipe: Path, out: Path | None, **given: Any) -> None:
    """Try many settings of one verb and lay out what comes of them.

    The recipe is a TOML file: docs/sweeps.md says what it may hold.

    Exits with 0 when every cell was made, 1 when some failed, 2 when all did or the recipe is
    wrong.

    \b
    limner sweep recipe.toml -o sweep
    limner sweep recipe.toml -o sweep --resume -j 2
    """
    from limner.cli.cell_answers import SuiteModels
    from limner.evaluation.sweeps.recipe import read_recipe
    from limner.evaluation.sweeps.run import run_sweep
    from limner.evaluation.sweeps.searchers import check_installed
    from limner.runs.entries import Labels

    read = read_recipe(recipe)
    check_installed(read.search.method)
    if not given["yes"] and not given["resume"] and not given["retry_errors"]:
        _ask_first(read)
    ratings = _ratings(read, recording_store(given))
    folder = out or Path(f"{recipe.stem}-sweep")
    state = _state(folder, read, given)
    make = SuiteModels.of(given, read.judges, Labels(given["tags"], sweep=state.id))
    make.check(cell.models for point in read.each_value_once() for cell in read.cells(point))
    state.write(folder)
    clear_remains((folder, folder / "pictures"))
    with progress(f"sweep {recipe.name}") as on_step:
        swept = run_sweep(
            read,
            make,
            folder,
            state,
            workers=given["jobs"],
            resume=given["resume"],
            retry_errors=given["retry_errors"],
            ratings=ratings,
            on_result=_counting(read, on_step),
        )
    sheets = write_all(read, swept, state, folder)
    _say(read, swept, folder, sheets)


def _ask_first(recipe: Recipe) -> None:
    """Let a person say yes to more cells than one makes by the way.

    Raises:
        OptionError: there is nobody to ask.
    """
    cells = cells_of(recipe)
    if cells <= ASKED_ABOVE:
        return
    if not sys.stdin.isatty():
        raise OptionError(
            f"{recipe.path} makes {cells:,} cells, and more than {ASKED_ABOVE:,} are begun only "
            'with --yes; to try some of them: method = "random" and trials = 200 in [search].'
        )
    if not click.confirm(f"{recipe.path} makes {cells:,} cells. Begin?", err=True):
        raise click.exceptions.Exit(1)


def cells_of(recipe: Recipe) -> int:
    """How many pictures a sweep makes, or tries to."""
    return (recipe.search.trials or int(recipe.size)) * len(recipe.cases)


def _ratings(recipe: Recipe, store: Callable[[], Store] | None) -> Ratings | None:
    """What reads a run's rating; None where no ratings are asked for.

    Raises:
        OptionError: they are, and runs aren't recorded.
    """
    from limner.evaluation.sweeps.objectives import RATING

    if recipe.search.objective != RATING:
        return None
    if store is None:
        raise OptionError(
            "The objective rating is read from recorded runs: leave --no-store and "
            "LIMNER_STORE=off away."
        )
    opened = functools.cache(store)
    return lambda run: opened().get(run).row.rating


def _state(folder: Path, recipe: Recipe, given: dict[str, Any]) -> State:
    """What is known of the sweep in a folder, or that of a new one.

    Raises:
        OutputError: something else lies there, or nothing can be written.
        OptionError: options that exclude each other.
    """
    from limner.evaluation.sweeps.search_config import RATED_AT_ONCE
    from limner.evaluation.sweeps.state import new_state, read_state

    going_on = given["resume"] or given["retry_errors"]
    if given["overwrite"] and going_on:
        raise OptionError("--overwrite begins anew and --resume goes on: give one of them.")
    check_writable(folder)
    there = None if given["overwrite"] else read_state(folder)
    if there is not None and going_on:
        return there
    if there is not None:
        raise OutputError(
            f"{folder} holds a sweep already: --resume goes on with it, --overwrite begins anew."
        )
    if not given["overwrite"] and any(
        not path.name.startswith(".limner-")
        for path in (folder.glob("*") if folder.exists() else ())
    ):
        raise OutputError(
            f"{folder} holds other things: name a new folder with --out, or --overwrite to write "
            "among them."
        )
    waits = RATED_AT_ONCE if recipe.search.waits else given["jobs"]
    return new_state(recipe.search.batch or waits)


def _counting(
    recipe: Recipe, on_step: Callable[[int, int], None]
) -> Callable[[CellResult, bool], None]:
    total, done = cells_of(recipe), 0

    def count(result: CellResult, kept: bool) -> None:
        nonlocal done
        done = min(done + 1, total)
        on_step(done, total)

    return count


def write_all(recipe: Recipe, swept: SweepResult, state: State, folder: Path) -> list[Path]:
    """Sheets, curves, tables and the page; returns the sheets. What an earlier run of the sweep
    left and this one doesn't make is taken away."""
    from limner.evaluation.cells.journal import PICTURES
    from limner.evaluation.charts.style import save_chart
    from limner.evaluation.sweeps import html
    from limner.evaluation.sweeps import report as tables
    from limner.evaluation.sweeps.run import keep_inputs
    from limner.evaluation.sweeps.sheets import curves, sheets
    from limner.io.save import save_image, write_atomic

    written = [
        save_image(sheet, folder / name, overwrite=True)
        for name, sheet in sheets(recipe, swept, folder / PICTURES)
    ]
    for old in folder.glob("sheet*.png"):
        if old not in written:
            old.unlink()
    figure = curves(recipe, swept)
    for path in (folder / "curves.png", folder / "curves.svg"):
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            save_chart(figure, path, overwrite=True)
    keep_inputs(recipe, folder / PICTURES)
    report = tables.report_of(recipe, swept, state)
    write_atomic(folder / "results.json", tables.report_json(report), overwrite=True)
    write_atomic(folder / "results.csv", tables.report_csv(report), overwrite=True)
    page = html.page(report, folder / PICTURES, _commands(recipe, swept))
    write_atomic(folder / "index.html", page, overwrite=True)
    return written


def _commands(recipe: Recipe, swept: SweepResult) -> dict[str, str]:
    """The command that repeats a cell, by its key."""
    from limner.cli.commands.cell_command import command_of

    commands: dict[str, str] = {}
    for tried in swept.tried:
        with contextlib.suppress(RecipeError):  # such a point has no cells, and has said so
            commands |= {cell.key: command_of(cell) for cell in recipe.cells(tried.point)}
    return commands


def _say(recipe: Recipe, swept: SweepResult, folder: Path, sheets: Sequence[Path]) -> None:
    """What failed, what is best and how it is made again, what waits, and where all of it lies."""
    from limner.cli.commands.cell_command import command_of
    from limner.evaluation.sweeps.plateaus import best_of

    results = {r.key: r for each in swept.tried for r in each.results}
    broken = [result for result in results.values() if result.error]
    _say_errors(recipe, swept)
    best = best_of(recipe, swept.tried)
    if best is None and recipe.search.objective and not swept.unrated:
        say("best: none, for nothing was found that scores")
    if best is not None:
        score = f"{recipe.search.objective} {best.score:.4g}"
        say(f"best: {settings_of(recipe, best)}  ({score})")
        say(f"  {command_of(recipe.cells(best.point)[0])}")
    done = f"{len(swept.tried)} settings tried, {len(results)} pictures"
    done += f", {len(broken)} with errors" if broken else ""
    say(f"{done}: {folder / 'index.html'}, {', '.join(map(str, sheets))}")
    if swept.unrated:
        say(
            f"{len(swept.unrated)} wait for your rating: limner runs rate RUN 1 to 5, for each of "
            f"{', '.join(run[:8] for run in swept.unrated)}; then the same command with --resume."
        )
    if broken:
        raise click.exceptions.Exit(2 if len(broken) == len(results) else 1)


def _say_errors(recipe: Recipe, swept: SweepResult) -> None:
    """Each sentence once: a setting that a model refuses is refused in every cell."""
    where: dict[str, list[str]] = {}
    for tried in swept.tried:
        for case, result in zip(recipe.cases, tried.results, strict=True):
            if result.error:
                name = f"{case.name}, {settings_of(recipe, tried)}"
                where.setdefault(result.error, []).append(name)
    for sentence, names in where.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        say(f"ERROR  {names[0]}{more}: {sentence}", err=True)


def settings_of(recipe: Recipe, tried: TrialResult) -> str:
    """``guidance_scale 3, paint a red car``."""
    return ", ".join(
        f"{axis.title} {value.label}" for axis, value in zip(recipe.axes, tried.point, strict=True)
    )
