"""``limner sweep``: a recipe is read, its settings are tried, and what came is laid out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import check_writable, clear_remains
from limner.cli.console import say
from limner.cli.help_page import HelpCommand
from limner.cli.options.flags import jobs_option, runtime_options
from limner.cli.options.run_store import caching_option, keeping_options, no_record_option
from limner.cli.progress import progress
from limner.errors import OptionError

if TYPE_CHECKING:
    from limner.evaluation.sweeps.recipe import Recipe
    from limner.evaluation.sweeps.run import SweepResult, TrialResult
    from limner.session.sweeps import SweepRun

ASKED_ABOVE = 1_000
"""Cells that are begun without a question."""


@click.command(cls=HelpCommand)
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

    \b
    limner sweep recipe.toml -o sweep
    limner sweep recipe.toml -o sweep --resume -j 2

    The recipe is a TOML file: docs/sweeps.md says what it may hold.

    Exits with 0 when every cell was made, 1 when some failed, 2 when all did or the recipe is
    wrong.
    """
    from limner.cli.commands.cell_command import command_of
    from limner.cli.options.answerer_config import answerer_config
    from limner.evaluation.cells.runner import Execution
    from limner.evaluation.sweeps.recipe import read_recipe
    from limner.evaluation.sweeps.searchers import check_installed
    from limner.session.sweeps import run_sweep

    read = read_recipe(recipe)
    check_installed(read.search.method)
    execution = Execution(given["jobs"], given["resume"], given["retry_errors"])
    if not given["yes"] and not execution.goes_on:
        _ask_first(read)
    config = answerer_config(given)
    folder = out or Path(f"{recipe.stem}-sweep")
    check_writable(folder)
    clear_remains((folder, folder / "pictures"))
    with progress(f"sweep {recipe.name}") as on_step:
        run = run_sweep(
            read,
            folder,
            config,
            execution,
            overwrite=given["overwrite"],
            command_of=command_of,
            on_step=on_step,
        )
    _say(read, run, folder)


def _ask_first(recipe: Recipe) -> None:
    """Let a person say yes to more cells than one makes by the way.

    Raises:
        OptionError: there is nobody to ask.
    """
    from limner.session.sweeps import cells_of

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


def _say(recipe: Recipe, run: SweepRun, folder: Path) -> None:
    """What failed, what is best and how it is made again, what waits, and where all of it lies."""
    from limner.cli.commands.cell_command import command_of

    swept, best = run.result, run.best
    results = {r.key: r for each in swept.tried for r in each.results}
    broken = [result for result in results.values() if result.error]
    _say_errors(recipe, swept)
    if best is None and recipe.search.objective and not swept.unrated:
        say("best: none, for nothing was found that scores")
    if best is not None:
        score = f"{recipe.search.objective} {best.score:.4g}"
        say(f"best: {settings_of(recipe, best)}  ({score})")
        say(f"  {command_of(recipe.cells(best.point)[0])}")
    done = f"{len(swept.tried)} settings tried, {len(results)} pictures"
    done += f", {len(broken)} with errors" if broken else ""
    say(f"{done}: {folder / 'index.html'}, {', '.join(map(str, run.sheets))}")
    if swept.unrated:
        say(
            f"{len(swept.unrated)} wait for your rating: limner runs rate RUN 1 to 5, for each of "
            f"{', '.join(run[:8] for run in swept.unrated)}; then the same command with --resume."
        )
    if broken:
        raise click.exceptions.Exit(2 if len(broken) == len(results) else 1)


def _say_errors(recipe: Recipe, swept: SweepResult) -> None:
    """Each sentence once: a setting that a model refuses is refused in every cell."""
    cells: dict[str, list[str]] = {}
    for tried in swept.tried:
        for case, result in zip(recipe.cases, tried.results, strict=True):
            if result.error:
                name = f"{case.name}, {settings_of(recipe, tried)}"
                cells.setdefault(result.error, []).append(name)
    for sentence, names in cells.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        say(f"ERROR  {names[0]}{more}: {sentence}", err=True)


def settings_of(recipe: Recipe, tried: TrialResult) -> str:
    """``guidance_scale 3, paint a red car``."""
    return ", ".join(
        f"{axis.title} {value.label}" for axis, value in zip(recipe.axes, tried.point, strict=True)
    )
