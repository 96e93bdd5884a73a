"""A run, told to experiment trackers: settings, numbers, pictures with their layers, files.

Only what the record holds is told, never the environment, the command line or a key. Of a redaction
the picture from before is not told either: what was to be hidden would lie in a tracker, perhaps on
somebody else's machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from limner.trackers.protocol import Layer, Tracker

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.runs.record import RunRecord
    from limner.session.generated import Generated
    from limner.session.results import Run

Shown: TypeAlias = "tuple[str, Image, tuple[Layer, ...]]"
"""A picture with its name, and what lies over it."""

ARTIFACT_KIND = "limner-run"
LONGEST_NAME = 60
"""Letters of what a picture from words is called."""

_UNNAMEABLE = re.compile(r"[\x00-\x1f\x7f/\\:]+")
"""What can't stand in a tracker's name; every script's letters and marks can."""


@dataclass(frozen=True)
class Account:
    """What is told of a run."""

    name: str
    record: RunRecord
    id: str | None
    """Of the run in the store."""
    parameters: Mapping[str, str | float | bool]
    numbers: Mapping[str, float]
    pictures: Sequence[Shown]


def record_run(recorders: Sequence[Tracker], run: Run, step: int = 0) -> None:
    """Tell every recorder everything about a run.

    Args:
        step: which picture of a batch it is, from 0. Settings and tags, which are one experiment's,
            come from the first; each picture's own are in its record, which is a file of each.
    """
    if not recorders:
        return
    settings = parameters(run.record)
    shown = list(pictures(run))
    account = Account(name_of(run), run.record, run.id, settings, numbers(run), shown)
    _tell(recorders, account, {"found.json": _coco(run)}, step)


def record_generated(recorders: Sequence[Tracker], generated: Generated) -> None:
    """Tell every recorder about pictures from words: settings, seeds, seconds, each picture."""
    if not recorders:
        return
    record = generated.record
    name = _named(str(record.job.options["prompt"])[:LONGEST_NAME])
    width, height = generated.image.size
    measured: dict[str, float] = {"output/width": width, "output/height": height}
    measured |= _seconds(record)
    measured |= {f"seed/{k}": seed for k, seed in enumerate(generated.seeds)}
    alone = len(generated.images) == 1
    shown: list[Shown] = [
        ("output" if alone else f"output-{k}", image, ())
        for k, image in enumerate(generated.images)
    ]
    account = Account(name, record, generated.id, parameters(record), measured, shown)
    _tell(recorders, account, {}, 0)


def _tell(
    recorders: Sequence[Tracker], account: Account, more: Mapping[str, bytes], step: int
) -> None:
    from limner.io.save import png

    name, facts = account.name, account.record.to_dict()
    record = json.dumps(facts | ({"run": account.id} if account.id else {}), indent=2).encode()
    files = {"record.json": record, **more}
    files |= {f"{part}.png": png(picture) for part, picture, _ in account.pictures}
    for recorder in recorders:
        if step == 0:
            recorder.parameters(account.parameters)
            recorder.tag(tags(account.record))
        recorder.log(account.numbers, step)
        for part, picture, layers in account.pictures:
            recorder.save_image(f"{name}/{part}", picture, layers, step)
        recorder.save_file(f"{name}/record.json", record, step)
        recorder.save_artifact(f"{account.record.job.verb}-{name}", ARTIFACT_KIND, files)


def end_all(recorders: Sequence[Tracker]) -> list[str]:
    """End each; where each one's experiment is found, leaving out those that have none."""
    return [place for recorder in recorders if (place := recorder.end())]


def name_of(run: Run) -> str:
    """What a picture's things are called in a tracker: the input's name, or its digest's start.

    A redaction is called by its run: the name of what was hidden isn't told.
    """
    if run.record.job.is_private:
        return f"redaction-{run.id[:8]}" if run.id else "redaction"
    path = run.source.path
    name = PurePath(path).stem if path else run.source.digest[:12]
    return _named(name)


def _named(name: str) -> str:
    return _UNNAMEABLE.sub("-", name).strip("-. ") or "picture"


def parameters(run_record: RunRecord) -> dict[str, str | float | bool]:
    """The settings, flat: ``options.finding.detect.threshold``; what wasn't set is left out."""
    record = run_record.to_dict()
    settings: dict[str, Any] = {
        key: record[key] for key in ("verb", "limner", "machine", "versions")
    }
    settings |= {"options": record["options"], "models": dict(run_record.job.models)}
    settings |= {"prompts": [_brief(prompt) for prompt in record["prompts"]]}
    settings |= {"settings": record["result"].get("settings", {}), "input": record["input"]}
    return dict(flat(settings))


def numbers(run: Run) -> dict[str, float]:
    """What was measured: seconds by stage, sizes, objects and their scores, the proof of edits."""
    record = run.record
    width, height = run.source.image.size
    measured: dict[str, float] = {"input/width": width, "input/height": height}
    measured |= _seconds(record)
    measured["objects"] = len(run.grounding)
    scores = run.grounding.detections.confidence
    if scores is not None and len(scores):
        measured |= {"score/best": float(max(scores)), "score/mean": float(scores.mean())}
        measured["score/least"] = float(min(scores))
    if run.grounding.detections.mask is not None and len(run.grounding):
        measured["mask/part_of_image"] = float(run.grounding.mask.mean())
    for k, edit in enumerate(run.edits):
        where = "edit" if len(run.edits) == 1 else f"edit-{k}"
        measured[f"{where}/outside_changed_pixels"] = edit.outside_changed_pixels
        measured |= {f"{where}/seam": edit.seam, f"{where}/mask_coverage": edit.mask_coverage}
    if run.redaction and run.redaction.verified is not None:
        measured["verified"] = float(run.redaction.verified)
    return measured


def _seconds(record: RunRecord) -> dict[str, float]:
    by_stage = {f"seconds/{stage}": float(each) for stage, each in record.seconds.items()}
    return by_stage | {"seconds/total": sum(by_stage.values())}


def tags(record: RunRecord) -> list[str]:
    """The verb and the models that answered."""
    models = [str(model["name"]) for model in record.models]
    return list(dict.fromkeys(["limner", record.job.verb, *models]))


def pictures(run: Run) -> Iterator[Shown]:
    """``input`` with its layers, ``overlay`` with them drawn in, and what was made of it.

    A redaction's layers lie over the result instead; one that its check refused shows nothing.
    """
    from limner.ops.overlay import overlay
    from limner.trackers.layers import layers_of

    detections, prompts = run.grounding.detections, run.grounding.prompts
    layers = layers_of(detections, prompts, run.source.image.size)
    results = [edit.image for edit in run.edits] if run.cutout is None else [run.cutout]
    names = ["output"] if len(results) == 1 else [f"output-{k}" for k in range(len(results))]
    if run.record.job.is_private:
        refused = run.redaction is not None and run.redaction.verified is False
        for name, picture in zip(names, results, strict=True) if not refused else ():
            yield name, picture, layers
        return
    yield "input", run.source.image, layers
    yield "overlay", overlay(run.source.image, detections, prompts), ()
    for name, picture in zip(names, results, strict=True):
        yield name, picture, ()


def _brief(prompt: Mapping[str, Any]) -> Mapping[str, Any]:
    """A prompt without its mask's run lengths, which are no setting that a person compares."""
    return {key: value for key, value in prompt.items() if key != "mask"}


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str | float | bool]]:
    """Leaves of nested JSON by their dotted names; None and what is empty are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and all(isinstance(x, int | float) for x in value):
        if value:
            yield name, ", ".join(map(str, value))
    elif isinstance(value, list | tuple):
        for k, inner in enumerate(value):
            yield from flat(inner, f"{name}.{k}")
    elif value is not None:
        yield name, value


def _coco(run: Run) -> bytes:
    """What was found, with exact masks as RLE."""
    from limner.io import coco as export

    path = None if run.record.job.is_private else run.source.path
    file_name = PurePath(path).name if path else name_of(run)
    item = (file_name, run.source.image.size, run.grounding.detections)
    rows = export.coco([item], export.asked_names(run.grounding.prompts))
    return json.dumps(rows).encode()
