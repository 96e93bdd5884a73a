"""``limner score detect``: average precision of boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from limner.cli.commands.score.score_data import (
    asked_by_name,
    check_either,
    draw_ranked,
    report,
)
from limner.cli.help_page import HelpCommand
from limner.cli.options.charts import RANKED, charts_option, check_charts
from limner.cli.options.flags import flags, typed
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
from limner.options import DetectOptions

PROTOCOLS = ("coco", "lvis", "d3")


@click.command(cls=HelpCommand)
@data_options
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="COCO results JSON to score; without it the model is run now.",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="coco",
    show_default=True,
    help="coco: twelve numbers; lvis: federated labels, rare and frequent classes; d3: "
    "descriptions present and absent (DATA is the folder of D3's three JSON files).",
)
@flags(DetectOptions, leave_out=frozenset({"phrase_thresholds"}))
@model_options("detector")
@report_options
@charts_option
def detect(**given: Any) -> None:
    """Boxes against labelled boxes: average precision.

    \b
    limner score detect labelled
    limner score detect labelled --detector mini-owlvit -o report.json

    DATA is a folder labelled in COCO JSON, YOLO text files or Pascal VOC XML. The model is asked
    for each labelled class by its name, and every box counts down to score 0 unless --threshold is
    given. A result file that lists its own images and categories, as limner's does, is matched by
    their names.
    """
    from limner import evaluation
    from limner.evaluation.datasets.predictions import rows_for
    from limner.session.labelled_answers import boxes_by_words

    check_report(given)
    if given["charts"] and given["protocol"] != "coco":
        raise OptionError("--charts draws what COCO's protocol counts: leave --protocol out.")
    check_charts(given, RANKED)
    predictions: Path | None = given["predictions"]
    check_either(given, predictions, ("detector", *DetectOptions.__dataclass_fields__))
    if given["protocol"] == "d3":
        if predictions is None or given["classes"]:
            raise OptionError(
                "--protocol d3 scores a result file: give --predictions, and no --class."
            )
        scores: Any = evaluation.evaluate_d3(given["data"], predictions)
        finish(given, {"what": "score detect", "protocol": "d3", "scores": scores.to_dict()})
        return
    data = read_data(given, "bbox")
    models: list[dict[str, Any]] = []
    if predictions is None:
        data = asked_by_name(given, data)
        options = typed(DetectOptions, {**given, "threshold": given["threshold"] or 0.0})
        session = session_of(given)
        with progress("pictures") as on_step:
            rows: Any = boxes_by_words(session, data, options, on_step)
        models = models_used(session, "detect")
    else:
        rows = rows_for(data, predictions, given["classes"])
    judge = evaluation.evaluate_lvis if given["protocol"] == "lvis" else evaluation.evaluate
    scores = judge(data.truth, rows, "bbox")
    finish(given, report("score detect", given, data, models, scores.to_dict()))
    draw_ranked(given, data, rows, "bbox", given["threshold"])
