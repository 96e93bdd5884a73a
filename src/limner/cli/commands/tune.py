"""``limner tune``: a detection threshold for each phrase, from a handful of labelled pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from limner.cli.commands.score.score_data import report
from limner.cli.console import say
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

    from limner.evaluation.datasets import Dataset
    from limner.evaluation.threshold_tuning import Evidence, Tuned
    from limner.session import Session

MOST_BOXES = 1000
"""Boxes a picture that are looked at: what a threshold is for comes after them."""


@click.command()
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

    DATA is labelled in COCO JSON, YOLO text files or Pascal VOC XML; its class names are the
    phrases. They are asked together, as one command with several --object asks them.
    """
    from limner.evaluation.threshold_tuning import tune as tuned_for

    check_report(given)
    data = read_data(given, "bbox")
    data = data if given["classes"] else data.askable()
    phrases = data.present
    if not phrases:
        raise InputError(f"{data.source} labels no object: there is nothing to tune on.")
    check_charts(given, [_chart_name(k, phrase) for k, phrase in enumerate(phrases)])
    session = session_of(given)
    seen = _evidence(data, session, phrases, given["least_iou"])
    tuned = [
        tuned_for(phrase, seen[phrase], resamples=given["resamples"], seed=given["seed"])
        for phrase in phrases
    ]
    made = report("tune", given, data, models_used(session, "detect"), {})
    made["scores"] = [one.to_dict() for one in tuned]
    write_report(given, made)
    if not given["as_json"]:
        for note in data.notes:
            say(f"limner: {note}", err=True)
        _print(tuned)
    if given["charts"]:
        draw_charts(
            given,
            {
                _chart_name(k, one.phrase): _chart(one, seen[one.phrase])
                for k, one in enumerate(tuned)
            },
        )


def _chart_name(k: int, phrase: str) -> str:
    """Numbered: two phrases may be one as a file's name."""
    return f"threshold-{k + 1}-{file_stem(phrase)}"


def _chart(one: Tuned, seen: list[Evidence]) -> Figure:
    from limner.evaluation.charts.prompts import threshold_curves
    from limner.evaluation.threshold_tuning import scores_by_threshold

    thresholds, scores = scores_by_threshold(seen)
    span = (one.low, one.high) if one.low is not None and one.high is not None else None
    objects = f"{one.objects} object{'' if one.objects == 1 else 's'}"
    title = f"{one.phrase}: {objects} in {one.images} picture{'' if one.images == 1 else 's'}"
    return threshold_curves(thresholds, scores, chosen=one.threshold, span=span, title=title)


def _evidence(
    data: Dataset, session: Session, phrases: tuple[str, ...], least_iou: float
) -> dict[str, list[Evidence]]:
    """By phrase what each picture says of it."""
    import numpy as np

    from limner.evaluation.threshold_tuning import evidence
    from limner.ops import detections as dets
    from limner.prompts import Text, VisualPrompt
    from limner.session import FindOptions, Source

    prompts = [VisualPrompt(text=Text(phrase)) for phrase in phrases]
    options = replace(DetectOptions(), threshold=0.0, max_detections=MOST_BOXES)
    seen: dict[str, list[Evidence]] = {phrase: [] for phrase in phrases}
    with progress("pictures") as on_step:
        for number, image in enumerate(data.images, start=1):
            source = Source.open(image.path)
            image.check_size(source.image.size)
            run = session.detect(source, prompts, finding=FindOptions(detect=options))
            found = run.grounding.detections
            for k, phrase in enumerate(phrases):
                rows = dets.take(found, found.class_id == k)
                true = [o.xyxy for o in image.objects if o.name == phrase and not o.crowd]
                scores = [] if rows.confidence is None else rows.confidence.tolist()
                shares = dets.iou(rows.xyxy, np.array(true, dtype=float).reshape(-1, 4))
                seen[phrase].append(evidence(shares, scores, least_iou))
            on_step(number, len(data))
    return seen


def _print(tuned: list[Tuned]) -> None:
    """A table, what to take with a grain of salt, and the flags to paste."""
    columns = ("phrase", "threshold", "90 % of draws", "F1", "F1 left out", "pictures", "objects")
    rows = []
    for one in tuned:
        span = "–" if one.low is None else f"{one.low:.3f} to {one.high:.3f}"
        counted = (str(one.images), str(one.objects))
        numbers = (shown(one.threshold), span, shown(one.f1), shown(one.f1_left_out))
        rows.append((one.phrase, *numbers, *counted))
    print_table(columns, rows)
    for one in tuned:
        for note in one.notes:
            say(f"limner: {note}", err=True)
    flags = [
        f"--threshold-for '{one.phrase}={one.threshold:.3f}'"
        for one in tuned
        if one.threshold is not None
    ]
    if flags:
        say(" ".join(flags))
