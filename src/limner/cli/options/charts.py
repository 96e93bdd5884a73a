"""``--charts``: scores as pictures beside their numbers, each as PNG and SVG."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.batch.output_paths import check_writable, os_errors
from limner.cli.console import say
from limner.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from limner.evaluation.metrics.matching import ClassMatches

Command = TypeVar("Command", bound=Callable[..., Any])

KINDS = (".png", ".svg")
CURVES = 7
"""Classes with a curve each; of more there is one curve of all, or none could be told apart."""


def charts_option(command: Command) -> Command:
    """Adds where charts go."""
    return click.option(
        "--charts",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Also draw charts into this folder, as PNG and SVG.",
    )(command)


def check_charts(given: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a folder that charts can't be written to, before any work is done.

    Args:
        names: of the charts that will be drawn, without their endings.

    Raises:
        OutputError: one of them is taken, or the folder can't be written.
    """
    folder: Path | None = given["charts"]
    if folder is None:
        return
    for path in (folder / f"{name}{kind}" for name in names for kind in KINDS):
        with os_errors(path, OutputError):
            taken = path.exists()
        if taken and not given["overwrite"]:
            raise OutputError(f"{path} is there already: --overwrite replaces it.")
    check_writable(folder)


def draw_charts(given: Mapping[str, Any], figures: Mapping[str, Figure]) -> None:
    """Write each chart in both kinds, and say where unless JSON was asked for."""
    from limner.evaluation.charts.style import save_chart

    for name, figure in figures.items():
        paths = [
            save_chart(figure, given["charts"] / f"{name}{kind}", overwrite=given["overwrite"])
            for kind in KINDS
        ]
        if not given["as_json"]:
            say(f"{paths[0]}, {KINDS[1]}")


RANKED = ("precision-recall", "confidences")
"""The charts of ``ranked_charts``."""


def ranked_charts(
    classes: Iterable[ClassMatches], threshold: float | None = None
) -> dict[str, Figure]:
    """Precision against recall, and how sure right and wrong results were, at IoU 0.5.

    None where nothing was found: there is nothing to draw.
    """
    from limner.evaluation.charts.curves import (
        confidence_histogram,
        operating_points,
        precision_recall,
    )

    matched = list(classes)
    with_both = [row for row in matched if row.objects and row.scores]
    if not with_both:
        return {}
    curves = {
        f"{row.name}, AP50 {row.ap or 0:.2f}": operating_points(row.scores, row.hits, row.objects)
        for row in with_both
    }
    every = [pair for row in matched for pair in zip(row.scores, row.hits, strict=True)]
    if len(curves) > CURVES:
        scores, hits = zip(*every, strict=True)
        total = sum(row.objects for row in matched)
        name = f"all {len(matched)} classes"
        curves = {name: operating_points(scores, hits, total)}
    right = [score for score, hit in every if hit]
    wrong = [score for score, hit in every if not hit]
    return {
        RANKED[0]: precision_recall(curves, title="Precision and recall, IoU from 0.5"),
        RANKED[1]: confidence_histogram(
            right, wrong, threshold=threshold, title="How sure it was, right or wrong"
        ),
    }


def file_stem(text: str) -> str:
    """A phrase as part of a file's name."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.").lower() or "phrase"
