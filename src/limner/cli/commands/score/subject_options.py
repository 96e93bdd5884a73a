"""Flags and printing of ``limner score subject`` and ``limner teach score``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from limner.cli.batch.output_paths import check_writable
from limner.cli.console import say
from limner.cli.options.charts import check_charts
from limner.cli.options.report import check_report, print_table, shown
from limner.cli.options.run_store import no_record_option
from limner.cli.options.session import session_of
from limner.errors import OutputError
from limner.session.scorecard import (
    DINO,
    REAL,
    TRADE_OFF,
    CardJudges,
    PaintingOptions,
    Scorecard,
    dino_for,
    sheet_of,
)

Command = TypeVar("Command", bound=Callable[..., Any])


COLUMNS = {
    "dino": "DINO",
    "clip_i": "CLIP-I",
    "clip_t": "CLIP-T",
    "pres": "PRES",
    "div": "DIV",
    "div_dino": "DIV by DINO",
    "leak": "leak",
    "drift": "drift",
    "worth": "worth",
}


def painting_options(command: Command) -> Command:
    """Adds what is painted, how often, and where it is shown."""
    for option in (
        no_record_option,
        click.option(
            "--sheet", type=click.Path(path_type=Path), help="Also draw portraits side by side."
        ),
        click.option("--sample-batch-size", type=click.IntRange(min=1), help="Default: 4."),
        click.option("--live", is_flag=True, help="The dataset's prompts for animals and people."),
        click.option("--seeds", type=click.IntRange(1, 64), help="Pictures a prompt (default: 4)."),
        click.option(
            "--prompts",
            "count",
            type=click.IntRange(1, 25),
            help="How many of the dataset's 25 prompts (default: all).",
        ),
    ):
        command = option(command)
    return command


PAINTING = ("count", "seeds", "live", "sample_batch_size", "sheet", "charts")
"""The names of ``painting_options`` and of the chart, where they come in."""


def judging_options(command: Command) -> Command:
    """Adds what DINO and DIV are by."""
    for option in (
        click.option(
            "--div",
            is_flag=True,
            help="DIV by LPIPS, also if its weights must be fetched first (limner[perceptual]).",
        ),
        click.option(
            "--dino", help=f"Model of the DINO score (default: {DINO}; mini-dino for mini)."
        ),
    ):
        command = option(command)
    return command


def judges_of(given: Mapping[str, Any]) -> CardJudges:
    """From ``judging_options`` and ``model_options``.

    Raises:
        UnknownModel, ModelError, LicenceRefused: as ``session_of``.
    """
    dino = given["dino"] or dino_for(given["profile"])
    return CardJudges(session_of(dict(given)), session_of({**given, "encoder": dino}), given["div"])


def painting_of(given: Mapping[str, Any]) -> PaintingOptions:
    """From ``painting_options`` and ``runtime_options``."""
    return PaintingOptions(
        count=given["count"],
        seeds=given["seeds"] or PaintingOptions.seeds,
        live=given["live"],
        batch=given["sample_batch_size"] or PaintingOptions.batch,
        device=given["device"],
        dtype=given["dtype"],
    )


def check_places(given: Mapping[str, Any]) -> None:
    """Refuse places that can't be written, before hours of painting.

    Raises:
        OutputError: one of report, charts and sheet is taken, or can't be written.
    """
    check_report(given)
    check_charts(given, [TRADE_OFF])
    sheet: Path | None = given["sheet"]
    if sheet is not None:
        if sheet.exists() and not given["overwrite"]:
            raise OutputError(f"{sheet} is there already: --overwrite replaces it.")
        check_writable(sheet.parent)


def print_scores(scores: Mapping[str, Any]) -> None:
    """The rows of a report as a table, and the photographs' own below."""
    rows = [(row["name"], *(shown(row.get(key)) for key in COLUMNS)) for row in scores["rows"]]
    ceiling = scores["ceiling"]
    rows.append((REAL, *(shown(ceiling.get(key)) for key in COLUMNS)))
    print_table(("", *COLUMNS.values()), rows)


def draw_sheet(scorecard: Scorecard, given: Mapping[str, Any], title: str, painters: str) -> None:
    """The portraits side by side, as ``--sheet`` asks.

    Args:
        painters: what they are, such as "step".
    """
    from limner.io.save import save_image

    if not given["sheet"]:
        return
    sheet = sheet_of(scorecard, title, painters)
    record = None if given["no_record"] else scorecard.report
    save_image(sheet, given["sheet"], record=record, overwrite=given["overwrite"])
    if not given["as_json"]:
        say(str(given["sheet"]))
