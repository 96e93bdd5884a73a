"""The command that makes a cell of a sweep again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from limner.cli.options.flags import flag_name
from limner.evaluation.cells.cell import Cell
from limner.prompts.syntax import BoxDraft, Draft, Length
from limner.registry import catalog

MODEL_FLAGS = {"detect": "--detector", "segment": "--segmenter", "inpaint": "--inpainter"}


def command_of(cell: Cell) -> str:
    """What to type where the sweep was started."""
    words = ["limner", cell.ask.verb, str(cell.case.image)]
    for k, draft in enumerate(cell.ask.find):
        words += ["--object"] if k else []
        words += _thing(draft)
    if cell.ask.paint:
        words += ["--paint", cell.ask.paint.phrase]
        if cell.ask.paint.negative:
            words += ["--negative-prompt", cell.ask.paint.negative]
    settings = dict(cell.setting.values)
    if cell.ask.repaints and "seed" not in settings and _takes_a_seed(cell):
        settings["seed"] = 0  # what cells without one are painted with
    for name, value in settings.items():
        words += _setting(name, value)
    if cell.models.profile != "classical":
        words += ["--profile", cell.models.profile]
    for task, name in cell.models.models:
        words += [MODEL_FLAGS[task], name]
    return shlex.join(words)


def _takes_a_seed(cell: Cell) -> bool:
    """Whether the painter draws lots; a folder's does, as far as anyone can tell."""
    profile = catalog.profile(cell.models.profile)
    usual = profile["inpaint"] if cell.ask.paint else profile.get("remove", profile["inpaint"])
    name = dict(cell.models.models).get("inpaint") or usual
    known = catalog.catalog().get(name)
    return known is None or not known.weightless


def _thing(draft: Draft) -> Iterator[str]:
    if draft.text:
        yield from ("--text", draft.text.phrase)
        if draft.text.negative:
            yield from ("--not", draft.text.negative)
    if draft.exemplar:
        path, box = draft.exemplar
        yield from ("--exemplar", f"{path}@{_sides(box)}" if box else path)
    for box, positive in draft.likes:
        yield from ("--like" if positive else "--not-like", _sides(box))
    for point in draft.points:
        label = "" if point.foreground else ":bg"
        yield from ("--point", f"{_length(point.x)},{_length(point.y)}{label}")
    if draft.box:
        yield from ("--box", _sides(draft.box))
    if draft.mask:
        yield from ("--mask", draft.mask)
    if draft.label:
        yield from ("--label", draft.label)


def _sides(box: BoxDraft) -> str:
    return ",".join(map(_length, box.sides))


def _length(length: Length) -> str:
    return f"{length.value:.12g}" + ("%" if length.percent else "")


def _setting(name: str, value: Any) -> list[str]:
    if name == "select":
        return [word for text in value for word in ("--select", text)]
    if name == "phrase_thresholds":
        return [w for phrase, least in value for w in ("--threshold-for", f"{phrase}={least:.12g}")]
    if isinstance(value, bool):
        return [flag_name(name) if value else f"--no-{flag_name(name)[2:]}"]
    if value is None:
        return []
    return [flag_name(name), f"{value:.12g}" if isinstance(value, float) else str(value)]
