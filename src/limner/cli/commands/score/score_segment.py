"""``limner score segment``: IoU and borders of outlines, average precision, clicks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.commands.score.score_data import check_either, matched_of, report
from limner.cli.console import say_note
from limner.cli.options.charts import (
    RANKED,
    charts_option,
    check_charts,
    draw_charts,
    ranked_charts,
)
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
from limner.session.prompt_files import Opener

if TYPE_CHECKING:
    import supervision as sv

    from limner.evaluation.datasets import Dataset, Labelled, TrueObject
    from limner.evaluation.metrics.segmentation import Named
    from limner.prompts import VisualPrompt
    from limner.session import Session

CLICKS = "clicks"
"""The chart of ``--clicks``."""

NOC_AT = (0.85, 0.9)
"""IoUs that the published NoC tables ask for."""


@click.command()
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

    DATA is a folder labelled in COCO JSON, YOLO text files or Pascal VOC XML, with masks. A mask
    of a folder belongs to the picture whose name its own begins with; overlays and maps that
    limner wrote beside its masks don't count. A result file that lists its own images and
    categories, as limner's does, is matched by their names.
    """
    from limner.evaluation.datasets.predictions import rows_for

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
    elif predictions is None:
        session, prompt = session_of(given), given["prompt"] or "text"
        by_words = prompt == "text"
        if by_words and not given["classes"]:
            data = data.askable()
        tasks = ("detect", "segment") if by_words else ("segment",)
        answers = _by_model(data, session, prompt)
        used = partial(models_used, session, *tasks)
        _finish(given, data, answers, used, ranked=by_words, in_order=not by_words)
    elif by_folder:
        data, answers = _by_folder(data, predictions)
        _finish(given, data, answers, list, ranked=False)
    else:
        rows = rows_for(data, predictions, given["classes"])
        _finish(given, data, _by_rows(data, rows), list, ranked=True, rows=rows)


Answers = Iterator[tuple["Labelled", list["Named"], list[dict[str, Any]]]]
"""For each picture its masks, and its COCO rows where there are scores."""


def _finish(
    given: dict[str, Any],
    data: Dataset,
    answers: Answers,
    models: Callable[[], list[dict[str, Any]]],
    *,
    ranked: bool,
    in_order: bool = False,
    rows: Sequence[dict[str, Any]] = (),
) -> None:
    from limner.evaluation import evaluate
    from limner.evaluation.metrics.segmentation import SegmentScores, score_image

    objects, surplus, found_rows = [], 0, list(rows)
    with progress("pictures") as on_step:
        for number, (image, found, more) in enumerate(answers, start=1):
            scored, left = score_image(image, found, in_order=in_order)
            objects += scored
            surplus += left
            found_rows += more
            on_step(number, len(data))
    scores = SegmentScores.over(objects, surplus).to_dict()
    if ranked:
        scores |= evaluate(data.truth, found_rows, "segm").to_dict()
    listed = [score.to_dict() for score in objects]
    finish(given, report("score segment", given, data, models(), scores, rows=listed))
    if given["charts"]:
        draw_charts(given, ranked_charts(matched_of(data, found_rows, "segm")))


def _by_folder(data: Dataset, folder: Path) -> tuple[Dataset, Answers]:
    """The labels with a note of masks that answer none of them, and the masks."""
    from limner.evaluation.datasets.mask_folder import files_of
    from limner.evaluation.datasets.predictions import names_of

    files, notes = files_of(folder, names_of(data), data.names)
    answers: Answers = (
        (image, [(name, _mask(path)) for path, name in files.get(image.id, ())], [])
        for image in data.images
    )
    return replace(data, notes=(*data.notes, *notes)), answers


def _mask(path: Path) -> Any:
    """A mask picture; an all black one is an answer too: nothing."""
    import numpy as np

    opener = Opener(100_000_000, say_note)
    dark = np.asarray(opener.open(path).image.convert("L"))
    return np.zeros_like(dark, dtype=bool) if not dark.any() else opener.mask(str(path)).array


def _by_rows(data: Dataset, rows: Sequence[dict[str, Any]]) -> Answers:
    from limner.evaluation.metrics.average_precision import Truth
    from limner.ops import masks

    true = Truth.read(data.truth, "segm")
    names = dict(zip(data.category_ids, data.names, strict=True))
    of_image: dict[int, list[Named]] = {image.id: [] for image in data.images}
    for number, row in enumerate(rows):
        kept = true.result(number, row, "segm")
        mask = masks.from_rle(kept["segmentation"])
        of_image[kept["image_id"]].append((names[kept["category_id"]], mask))
    for image in data.images:
        yield image, of_image[image.id], []


def _by_model(data: Dataset, session: Session, prompt: str) -> Answers:
    from limner.evaluation import results_from
    from limner.ops.detections import mask_of
    from limner.prompts import Text, VisualPrompt
    from limner.session import Source

    by_words = [VisualPrompt(text=Text(name)) for name in data.names]
    for image in data.images:
        source = Source.open(image.path)
        image.check_size(source.image.size)
        things = [thing for thing in image.objects if not thing.crowd]
        prompts = by_words if prompt == "text" else [_shown(thing, prompt) for thing in things]
        if not prompts:
            yield image, [], []
            continue
        found: sv.Detections = session.segment(source, prompts).grounding.detections
        asked = data.names if prompt == "text" else [thing.name for thing in things]
        masks = [
            (
                asked[int(found.class_id[k])] if found.class_id is not None else None,
                mask_of(found, k),
            )
            for k in range(len(found))
        ]
        rows = results_from(found, image.id, data.category_ids) if prompt == "text" else []
        yield image, masks, rows


def _shown(thing: TrueObject, prompt: str) -> VisualPrompt:
    """A labelled object as a person would show it: its box, or a click deepest inside it."""
    from limner.evaluation import first_click
    from limner.prompts import Box, Point, VisualPrompt

    if prompt == "box":
        return VisualPrompt(box=Box(*thing.xyxy))
    return VisualPrompt(points=(Point(*first_click(thing.mask)),))


def _score_clicks(given: dict[str, Any], data: Dataset) -> None:
    from statistics import mean

    from limner.evaluation import noc
    from limner.evaluation.charts.curves import click_curves
    from limner.session import Source

    session, limit = session_of(given), given["clicks"]
    rows: list[dict[str, Any]] = []
    with progress("pictures") as on_step:
        for number, image in enumerate(data.images, start=1):
            source = Source.open(image.path)
            image.check_size(source.image.size)
            for thing in image.objects:
                if not thing.crowd:
                    ious = _clicked(session, source, thing, limit)
                    rows.append({"image": image.path.name, "name": thing.name, "ious": ious})
            on_step(number, len(data))
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


def _clicked(session: Session, source: Any, thing: TrueObject, limit: int) -> list[float]:
    """IoU after each click; the model gets all clicks so far, and not its own last mask."""
    from limner.evaluation import simulate
    from limner.ops.detections import mask_of
    from limner.options import SegmentOptions
    from limner.prompts import VisualPrompt

    segmenter = session.models.segmenter
    embedding = session.stages.embed(segmenter, source.image)

    def answer(points: Any, before: Any) -> Any:
        prompt = VisualPrompt(points=tuple(points))
        return mask_of(segmenter.segment(embedding, [prompt], SegmentOptions()), 0)

    return simulate(answer, thing.mask, limit)
