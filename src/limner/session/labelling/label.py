"""Pictures and prompts in, one labelled dataset out.

from limner import Session

labelled = Session().label("photos", "boxes.csv", "dataset")
labelled.classes, labelled.objects, labelled.dataset
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from limner.errors import ImageError, NoAnswer, OptionError
from limner.io import coco as export
from limner.ops.detections import class_names
from limner.options import DetectOptions, LabelOptions
from limner.prompts import VisualPrompt
from limner.protocols import OnStep
from limner.session.labelling import formats
from limner.session.labelling.answers import (
    Answers,
    LabelledObject,
    PictureAnswer,
    answers_in,
)
from limner.session.labelling.asked import VERB, Asking, Labelling
from limner.session.labelling.formats import Content, LabelledPicture
from limner.session.labelling.least_sure import write_sheet
from limner.session.labelling.pictures import Picture, Work, check_stems, gather
from limner.session.labelling.prompt_table import PromptTable
from limner.session.labelling.prompt_values import PromptValues
from limner.session.labelling.result import Labelled
from limner.session.request import Request
from limner.session.results import FindOptions, Run
from limner.version import __version__

ONE_PICTURES_OWN = (ImageError, NoAnswer)
"""Errors that say nothing about the next picture."""


def label_pictures(
    session: Labelling,
    data: Path,
    prompts: str | Path | PromptValues | None,
    folder: Path,
    asking: Asking,
    on_step: OnStep | None = None,
) -> Labelled:
    """See ``Session.label``.

    Args:
        folder: of the dataset.
    """
    options, finding = asking.options, asking.finding
    work = gather(data, prompts, folder, recursive=options.recursive)
    _check(work, options, finding)
    requests = {p.name: session.request(VERB, p.prompts, finding=finding) for p in work.pictures}
    settings = _settings_of(session, options, finding)
    with answers_in(folder, settings, overwrite=options.overwrite) as answers:
        failed = dict(work.failed)
        done_before = 0
        for number, picture in enumerate(work.pictures, start=1):
            try:
                answers.drop_spoilt(picture.name, picture.size_wh, work.table.classes)
                done_before += _answer(session, picture, requests[picture.name], answers)
            except ONE_PICTURES_OWN as error:
                failed[picture.name] = str(error)
            if on_step is not None:
                on_step(number, len(work.pictures))
        names = [picture.name for picture in work.pictures if picture.name not in failed]
        if not names:
            raise ImageError(next(iter(failed.values())))
        if answers.form_before not in ("", options.format):
            formats.remove(folder, answers.form_before, answers.names_before, whole=True)
        formats.remove(folder, options.format, answers.names_before - set(names), whole=False)
        answered = {name: answers.by_name[name] for name in names}
        return _finish(folder, work, options, answered, _Tally(done_before, failed))


@dataclass(frozen=True)
class _Tally:
    done_before: int
    failed: Mapping[str, str]


def _check(work: Work, options: LabelOptions, finding: FindOptions) -> None:
    """Refuse what can have no effect, and names that the format can't hold apart."""
    if not work.table.by_words and (finding.detect != DetectOptions() or finding.select):
        raise OptionError(
            f"Settings of a detector have no effect: {work.table.source} says where things are."
        )
    names = [picture.name for picture in work.pictures]
    if options.format in ("yolo-seg", "voc"):
        check_stems(names, "YOLO" if options.format == "yolo-seg" else "Pascal VOC")


def _settings_of(session: Labelling, options: LabelOptions, finding: FindOptions) -> dict[str, Any]:
    """What decides all answers alike: results of other settings are another dataset."""
    names = session.models.names
    return {
        "format": options.format,
        "models": {task: names[task] for task in ("detect", "segment") if task in names},
        "finding": finding.to_dict(),
    }


def _answer(session: Labelling, picture: Picture, request: Request, answers: Answers) -> bool:
    """Answer a picture; whether it was answered before.

    Raises:
        LimnerError: it can't be read, or the models can't answer.
    """
    key = request.job.digest(picture.digest)
    known = answers.by_name.get(picture.name)
    if known is not None and known.key == key:
        return True
    objects: tuple[LabelledObject, ...] = ()
    models: Mapping[str, str] = {}
    if picture.prompts:
        run = session.answer(request, picture.path)
        objects, models = tuple(_objects(run)), run.record.job.models
    answers.write(PictureAnswer(picture.name, key, picture.size_wh, objects, models))
    return False


def _objects(run: Run) -> list[LabelledObject]:
    """The objects of a run; last those whose outline was empty, by their boxes."""
    detections = run.grounding.detections
    content = export.coco([("", run.source.image.size, detections)])
    scores, indices = detections.data.get("mask_score"), detections.data["prompt_index"]
    objects = []
    own = ("id", "image_id", "category_id")
    for k, (name, row) in enumerate(
        zip(class_names(detections), content["annotations"], strict=True)
    ):
        sure = min(float(row.get("score", 1.0)), 1.0 if scores is None else float(scores[k]))
        row = {key: value for key, value in row.items() if key not in own}
        if not row["segmentation"]:  # a box alone
            row["area"] = 0
        objects.append(LabelledObject(name, int(indices[k]), round(sure, 4), row))
    for outline in run.grounding.empty:
        x0, y0, x1, y1 = outline.xyxy or _clicked(run.grounding.prompts[outline.prompt_index])
        row = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": 0, "segmentation": [], "iscrowd": 0}
        objects.append(LabelledObject(outline.class_name, outline.prompt_index, 0.0, row))
    return objects


def _clicked(prompt: VisualPrompt) -> tuple[float, float, float, float]:
    """The place of a prompt that is clicks alone, as a box without sides."""
    x, y = prompt.points[0].x, prompt.points[0].y
    return x, y, x, y


def _finish(
    folder: Path,
    work: Work,
    options: LabelOptions,
    answered: Mapping[str, PictureAnswer],
    tally: _Tally,
) -> Labelled:
    """Write the dataset and the sheet, and say what is in them."""
    pictures = [picture for picture in work.pictures if picture.name in answered]
    things = [(p, thing) for p in pictures for thing in answered[p.name].objects]
    labelled = [
        LabelledPicture(p, tuple(o for o in answered[p.name].objects if not o.is_empty))
        for p in pictures
    ]
    content = Content(labelled, work.table.classes, _record(work.table, options, answered))
    things.sort(key=lambda each: each[1].sure)
    sheet = write_sheet(folder, things[: options.least_sure])
    file = formats.write(folder, options.format, content)
    counts = Counter(thing.name for _, thing in things if not thing.is_empty)
    return Labelled(
        folder,
        file,
        sheet,
        dict(work.table.classes),
        {name: counts[name] for name in work.table.classes},
        len(pictures),
        tally.done_before,
        tuple(f"{thing.name}, {picture.name}" for picture, thing in things if thing.is_empty),
        tally.failed,
        work.notes,
        partial(formats.supervision_dataset, folder, options.format, content),
    )


def _record(
    table: PromptTable, options: LabelOptions, answered: Mapping[str, PictureAnswer]
) -> dict[str, Any]:
    """How the dataset was made."""
    models = {(task, m) for each in answered.values() for task, m in each.models.items()}
    return {
        "verb": "label",
        "limner": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompts": table.source,
        "models": [{"task": task, "model": model} for task, model in sorted(models)],
        "format": options.format,
    }
