"""``limner score segment``: IoU and borders of outlines, average precision, clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.commands.score.score_data import (
    asked_by_name,
    check_either,
    draw_ranked,
    report,
)
from limner.cli.console import say_note
from limner.cli.help_page import HelpCommand
from limner.cli.options.charts import RANKED, charts_option, check_charts, draw_charts
from limner.cli.options.report import (
    check_report,
    data_options,
    finish,
    model_options,
    models_used,
    read_data,
    report_options,
)
from limner.cli.options.session import session_of
from limner.cli.progress import progress
from limner.errors import OptionError

if TYPE_CHECKING:
    from limner.evaluation.datasets import Dataset
    from limner.session.labelled_answers import MaskAnswers

CLICKS = "clicks"
"""The chart of ``--clicks``."""

NOC_AT = (0.85, 0.9)
"""IoUs that the published NoC tables ask for."""


@click.command(cls=HelpCommand)
@data_options
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="COCO results JSON, or a folder of mask pictures; without it the model is run now.",
)
@click.option(
    "--prompt",
    type=click.Choice(("text", "box", "point")),
    help="What the model is told of each object: its class, its box, or one click deepest inside "
    "it (default: text).",
)
@click.option(
    "--clicks",
    type=click.IntRange(1, 100),
    help="Instead: up to N simulated clicks an object; adds NoC@85 and NoC@90 (published: 20).",
)
@model_options("detector", "segmenter")
@report_options
@charts_option
def segment(**given: Any) -> None:
    """Outlines against labelled masks: IoU, boundary F, average precision, clicks.

    \b
    limner score segment lawn.json --prompt box --profile mini
    limner score segment lawn.json --clicks 3 --profile mini

    DATA is a folder labelled in COCO JSON, YOLO text files or Pascal VOC XML, with masks. A mask
    of a folder belongs to the picture whose name its own begins with; overlays and maps that
    limner wrote beside its masks don't count. A result file that lists its own images and
    categories, as limner's does, is matched by their names.
    """
    check_report(given)
    predictions: Path | None = given["predictions"]
    check_either(given, predictions, ("prompt", "clicks", "detector", "segmenter"))
    if given["prompt"] and given["clicks"]:
        raise OptionError("--clicks has its own prompts, the clicks: give it or --prompt.")
    by_folder = predictions is not None and predictions.is_dir()
    if given["charts"] and (by_folder or given["prompt"] in ("box", "point")):
        raise OptionError(
            "--charts draws clicks, or answers that have scores: those to words (--prompt text) or "
            "of a result file."
        )
    check_charts(given, (CLICKS,) if given["clicks"] else RANKED)
    data = read_data(given, "segm")
    if given["clicks"]:
        _score_clicks(given, data)
    else:
        _score(given, _outlines(given, data, predictions))


@dataclass(frozen=True)
class Outlines:
    """What is scored."""

    data: Dataset
    answers: MaskAnswers
    models: Callable[[], list[dict[str, Any]]] = list
    """Those that answered, once they have."""
    ranked: bool = False
    """Whether answers have scores, for average precision."""
    in_order: bool = False
    """Whether the first answer is to the first object, as where each was pointed at."""
    rows: Sequence[dict[str, Any]] = ()
    """COCO's, where they are known before."""


def _outlines(given: dict[str, Any], data: Dataset, predictions: Path | None) -> Outlines:
    from limner.evaluation.datasets.predictions import rows_for
    from limner.session.labelled_answers import (
        BY_WORDS,
        masks_by_model,
        masks_in_folder,
        masks_in_rows,
    )

    if predictions is None:
        session, prompted_by = session_of(given), given["prompt"] or BY_WORDS
        by_words = prompted_by == BY_WORDS
        if by_words:
            data = asked_by_name(given, data)
        models = partial(models_used, session, *(("detect",) if by_words else ()), "segment")
        answers = masks_by_model(session, data, prompted_by)
        return Outlines(data, answers, models, ranked=by_words, in_order=not by_words)
    if predictions.is_dir():
        return Outlines(*masks_in_folder(data, predictions, say_note))
    rows = rows_for(data, predictions, given["classes"])
    return Outlines(data, masks_in_rows(data, rows), ranked=True, rows=rows)


def _score(given: dict[str, Any], outlines: Outlines) -> None:
    from limner.evaluation import evaluate
    from limner.evaluation.metrics.segmentation import SegmentScores, score_image

    data, objects, surplus, rows = outlines.data, [], 0, list(outlines.rows)
    with progress("pictures") as on_step:
        for number, (image, masks, more) in enumerate(outlines.answers, start=1):
            scored, left = score_image(image, masks, in_order=outlines.in_order)
            objects += scored
            surplus += left
            rows += more
            on_step(number, len(data))
    scores = SegmentScores.over(objects, surplus).to_dict()
    if outlines.ranked:
        scores |= evaluate(data.truth, rows, "segm").to_dict()
    listed = [score.to_dict() for score in objects]
    finish(given, report("score segment", given, data, outlines.models(), scores, rows=listed))
    draw_ranked(given, data, rows, "segm")


def _score_clicks(given: dict[str, Any], data: Dataset) -> None:
    from statistics import mean

    from limner.evaluation import noc
    from limner.evaluation.charts.curves import click_curves
    from limner.session.labelled_answers import ious_by_click

    session, limit = session_of(given), given["clicks"]
    with progress("pictures") as on_step:
        rows = ious_by_click(session, data, limit, on_step)
    curves = [row["ious"] for row in rows]
    scores: dict[str, Any] = {"objects": len(rows)}
    for threshold in NOC_AT:
        clicks, failed = noc(curves, threshold, limit)
        scores |= {f"NoC@{threshold:.0%}"[:-1]: clicks, f"NoF@{threshold:.0%}"[:-1]: failed}
    for k in sorted({1, min(3, limit), min(5, limit), limit}):
        scores[f"mIoU@{k}"] = mean(ious[min(k, len(ious)) - 1] for ious in curves)
    models = models_used(session, "segment")
    finish(given, report("score segment", given, data, models, scores, rows=rows))
    if given["charts"]:
        named = models[0]["name"] if models else "clicks"
        title = f"IoU after each click, {len(rows)} objects"
        figure = click_curves({named: curves}, limit=limit, targets=NOC_AT, title=title)
        draw_charts(given, {CLICKS: figure})
