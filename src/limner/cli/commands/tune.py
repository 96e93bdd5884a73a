"""``limner tune``: a detection threshold for each phrase, from a handful of labelled pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from limner.cli.commands.score.score_data import asked_by_name, report
from limner.cli.console import say
from limner.cli.help_page import HelpCommand
from limner.cli.options.charts import charts_option, check_charts, draw_charts, file_stem
from limner.cli.options.report import (
    check_report,
    data_options,
    model_options,
    models_used,
    print_table,
    read_data,
    report_options,
    shown,
    write_report,
)
from limner.cli.options.session import session_of
from limner.cli.progress import progress
from limner.errors import InputError
from limner.options import DetectOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from limner.evaluation.threshold_tuning import Evidence, PhraseThreshold

MOST_BOXES = 1000
"""Boxes a picture that are looked at: what a threshold is for comes after them."""


@click.command(cls=HelpCommand)
@data_options
@click.option(
    "--least-iou",
    type=click.FloatRange(0.01, 1),
    default=0.5,
    show_default=True,
    help="Overlap with a labelled box from which a found one is right.",
)
@click.option("--resamples", type=click.IntRange(10, 100_000), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@model_options("detector")
@report_options
@charts_option
def tune(**given: Any) -> None:
    """The threshold for each phrase, with how sure it is, from ten or fewer labelled pictures.

    \b
    limner tune labelled
    limner tune labelled -o tuned.json --charts tuned

    DATA is labelled in COCO JSON, YOLO text files or Pascal VOC XML; its class names are the
    phrases. They are asked together, as one command with several --object asks them.
    """
    from limner.evaluation.threshold_tuning import tune as tuned_for
    from limner.session.labelled_answers import evidence_by_phrase

    check_report(given)
    data = read_data(given, "bbox")
    data = asked_by_name(given, data)
    phrases = data.present
    if not phrases:
        raise InputError(f"{data.source} labels no object: there is nothing to tune on.")
    check_charts(given, [_chart_name(k, phrase) for k, phrase in enumerate(phrases)])
    session = session_of(given)
    options = replace(DetectOptions(), threshold=0.0, max_detections=MOST_BOXES)
    with progress("pictures") as on_step:
        seen = evidence_by_phrase(session, data, options, given["least_iou"], on_step)
    tuned = [
        tuned_for(phrase, seen[phrase], resamples=given["resamples"], seed=given["seed"])
        for phrase in phrases
    ]
    models, scores = models_used(session, "detect"), [each.to_dict() for each in tuned]
    write_report(given, report("tune", given, data, models, scores))
    if not given["as_json"]:
        for note in data.notes:
            say(f"limner: {note}", err=True)
        _print(tuned)
    if given["charts"]:
        draw_charts(
            given,
            {
                _chart_name(k, each.phrase): _chart(each, seen[each.phrase])
                for k, each in enumerate(tuned)
            },
        )


def _chart_name(k: int, phrase: str) -> str:
    """Numbered: two phrases may be one as a file's name."""
    return f"threshold-{k + 1}-{file_stem(phrase)}"


def _chart(tuned: PhraseThreshold, seen: list[Evidence]) -> Figure:
    from limner.evaluation.charts.prompts import threshold_curves
    from limner.evaluation.threshold_tuning import scores_by_threshold

    thresholds, scores = scores_by_threshold(seen)
    span = (tuned.low, tuned.high) if tuned.low is not None and tuned.high is not None else None
    objects = f"{tuned.objects} object{'' if tuned.objects == 1 else 's'}"
    title = f"{tuned.phrase}: {objects} in {tuned.images} picture{'' if tuned.images == 1 else 's'}"
    return threshold_curves(thresholds, scores, chosen=tuned.threshold, span=span, title=title)


def _print(tuned: list[PhraseThreshold]) -> None:
    """A table, what to take with a grain of salt, and the flags to paste."""
    columns = ("phrase", "threshold", "90 % of draws", "F1", "F1 left out", "pictures", "objects")
    rows = []
    for threshold in tuned:
        span = "–" if threshold.low is None else f"{threshold.low:.3f} to {threshold.high:.3f}"
        counted = (str(threshold.images), str(threshold.objects))
        numbers = (
            shown(threshold.threshold),
            span,
            shown(threshold.f1),
            shown(threshold.f1_left_out),
        )
        rows.append((threshold.phrase, *numbers, *counted))
    print_table(columns, rows)
    for threshold in tuned:
        for note in threshold.notes:
            say(f"limner: {note}", err=True)
    flags = [
        f"--threshold-for '{threshold.phrase}={threshold.threshold:.3f}'"
        for threshold in tuned
        if threshold.threshold is not None
    ]
    if flags:
        say(" ".join(flags))
