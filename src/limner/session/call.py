"""A verb called as people write it, made strict: prompts, words to paint, settings by their names.

``session.edit(image, "apple", "a red car", guidance_scale=7, seed=3)`` asks the same as the call
with ``VisualPrompt``, ``Text`` and ``InpaintOptions``. It happens here, and nowhere else.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypedDict

from limner.errors import OptionError
from limner.ops.selection import Selection, parse_selection
from limner.options import (
    CanvasOptions,
    DetectOptions,
    EditOptions,
    EverythingOptions,
    FrameOptions,
    InpaintOptions,
    RedactOptions,
    SegmentOptions,
)
from limner.prompts import VisualPrompt
from limner.prompts.coerce import AnyBox, AnyPoint, text_of
from limner.prompts.prompt_list import AnyPrompts, prompts_of
from limner.session.results import FindOptions
from limner.verbs import VERBS


class Finding(TypedDict, total=False):
    """How things are found, as one value; further ways to say where, see ``prompts_of``."""

    finding: FindOptions | None

    points: Iterable[AnyPoint]
    labels: Iterable[int | bool]
    boxes: Iterable[AnyBox]


class DetectSettings(Finding, total=False):
    """``DetectOptions`` and ``FindOptions.select`` by their fields."""

    threshold: float | None
    phrase_thresholds: tuple[tuple[str, float], ...]
    nms_threshold: float | None
    class_agnostic_nms: bool
    max_detections: int
    look: str | None
    slice_wh: int | None
    overlap_wh: int | None
    text_threshold: float | None
    phrases: str | None
    samples: int | None
    select: str | Selection | tuple[Selection | str, ...]


class SegmentSettings(DetectSettings, total=False):
    """``SegmentOptions`` by its fields, and those of ``detect``."""

    multimask_output: bool | None
    mask_threshold: float | None
    iterations: int | None


class OutlineSettings(SegmentSettings, total=False):
    """``EverythingOptions`` by its fields, and those of finding."""

    points_per_side: int | None
    points_per_batch: int
    pred_iou_thresh: float | None
    stability_score_thresh: float | None
    stability_score_offset: float
    box_nms_thresh: float | None
    min_mask_region_area: int


class EditSettings(SegmentSettings, total=False):
    """``EditOptions`` by its fields, and those of finding."""

    dilate: int | None
    feather: int | None
    context: float
    keep_metadata: bool


class CutoutSettings(EditSettings, total=False):
    """``FrameOptions`` by its fields, and those of editing."""

    trim: bool
    pad: str | None
    square: bool


class PaintSettings(EditSettings, total=False):
    """``InpaintOptions`` by its fields, and those of editing."""

    region: str | None
    num_inference_steps: int | None
    guidance_scale: float | None
    strength: float | None
    denoising_end: float | None
    scheduler: str | None
    num_images_per_prompt: int | None
    seed: int | None
    method: str | None
    radius: int | None


class CanvasSettings(TypedDict, total=False):
    """``CanvasOptions`` by its fields, and those of ``InpaintOptions`` that matter without a
    source."""

    width: int | None
    height: int | None
    num_inference_steps: int | None
    guidance_scale: float | None
    scheduler: str | None
    num_images_per_prompt: int | None
    denoising_end: float | None
    seed: int | None


class RedactSettings(SegmentSettings, total=False):
    """``RedactOptions`` by its fields, and those of finding."""

    region: str | None
    style: str
    amount: float | None
    colour: str | None
    dilate: int | None


OPTIONS: Mapping[str, type[Any]] = {
    "everything": EverythingOptions,
    "inpaint": InpaintOptions,
    "edit": EditOptions,
    "frame": FrameOptions,
    "redact": RedactOptions,
}
"""A verb's arguments that hold options."""
POINTING = ("points", "labels", "boxes")


@dataclasses.dataclass(frozen=True)
class StrictCall:
    """What a verb is asked, in limner's own values."""

    prompts: tuple[VisualPrompt, ...]
    finding: FindOptions
    settings: Mapping[str, Any]
    """The verb's own arguments."""


def strict(
    verb: str,
    prompts: AnyPrompts | None,
    named: Mapping[str, Any],
    **settings: Any,
) -> StrictCall:
    """A call in limner's own values.

    Args:
        named: ``finding``, points, labels, boxes, and settings by the names of their fields; each
            replaces the one in ``finding`` or in an options value.
        settings: the verb's own arguments.

    Raises:
        PromptError: prompts that can't be understood.
        OptionError: no such setting (the nearest name is said), or one out of its range.
    """
    homes = _homes(verb)
    named = dict(named)
    finding = named.pop("finding", None) or FindOptions()
    for name in named:
        if name not in homes and name not in POINTING:
            raise OptionError(_unknown(verb, name, homes))
    pointing = {name: named[name] for name in POINTING if name in named}
    if settings.get("everything") is True:
        settings["everything"] = EverythingOptions()
    by_home: dict[str, dict[str, Any]] = {}
    for name, value in named.items():
        if name not in POINTING:
            by_home.setdefault(homes[name], {})[name] = value
    if "detect" in by_home:
        finding = replace(finding, detect=replace(finding.detect, **by_home.pop("detect")))
    if "segment" in by_home:
        finding = replace(finding, segment=replace(finding.segment, **by_home.pop("segment")))
    if "select" in by_home:
        finding = replace(finding, select=_selections(by_home.pop("select")["select"]))
    for argument, changes in by_home.items():
        settings[argument] = replace(settings.get(argument) or OPTIONS[argument](), **changes)
    paints = VERBS[verb].paints
    if isinstance(settings.get(paints), str):
        settings[paints] = text_of(settings[paints])
    return StrictCall(tuple(prompts_of(prompts, **pointing)), finding, settings)


def strict_canvas(
    inpaint: InpaintOptions | None, named: Mapping[str, Any]
) -> tuple[CanvasOptions, InpaintOptions]:
    """What ``generate`` is asked, of which there is no picture and nothing to find.

    Raises:
        OptionError: as ``strict``.
    """
    homes = dict.fromkeys(CanvasSettings.__annotations__, "inpaint")
    homes |= {field.name: "canvas" for field in dataclasses.fields(CanvasOptions)}
    for name in named:
        if name not in homes:
            raise OptionError(_unknown("generate", name, homes))
    size = {name: value for name, value in named.items() if homes[name] == "canvas"}
    others = {name: value for name, value in named.items() if homes[name] == "inpaint"}
    return CanvasOptions(**size), replace(inpaint or InpaintOptions(), **others)


def options_from(verb: str, named: Mapping[str, Any], *kinds: type[Any]) -> tuple[Any, ...]:
    """A value of each kind of options, from the names of their fields.

    Raises:
        OptionError: a name that none of them has, with the nearest; a value out of its range.
    """
    homes = {field.name: kind.__name__ for kind in kinds for field in dataclasses.fields(kind)}
    for name in named:
        if name not in homes:
            raise OptionError(_unknown(verb, name, homes))
    return tuple(
        kind(**{name: value for name, value in named.items() if homes[name] == kind.__name__})
        for kind in kinds
    )


def _homes(verb: str) -> dict[str, str]:
    """Each setting that a verb takes by name -> the argument, or part of ``finding``, it is in."""
    row = VERBS[verb]
    parts: dict[str, type[Any]] = {name: OPTIONS[name] for name in row.options}
    if row.prompts:
        parts |= {"detect": DetectOptions}
        parts |= {"segment": SegmentOptions} if row.outlines else {}
    homes = {field.name: part for part, kind in parts.items() for field in dataclasses.fields(kind)}
    return homes | ({"select": "select"} if row.prompts else {})


def _unknown(verb: str, name: str, homes: Mapping[str, str]) -> str:
    pointing = POINTING if verb in VERBS else ()
    near = difflib.get_close_matches(name, [*homes, *pointing], n=1, cutoff=0.5)
    begins = [other for other in homes if other.startswith(name) or name.startswith(other)]
    meant = next(iter(begins or near), None)
    hint = f"did you mean {meant}?" if meant else f"it takes {', '.join(sorted(homes))}."
    return f"{verb} has no setting {name!r}: {hint}"


def _selections(value: Any) -> tuple[Selection, ...]:
    several = (value,) if isinstance(value, str | Selection) else tuple(value)
    return tuple(parse_selection(s) if isinstance(s, str) else s for s in several)
