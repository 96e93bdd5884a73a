"""``Session.label``; what it stands on is loaded when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Unpack

from limner.errors import OptionError
from limner.options import LabelOptions
from limner.prompts.prompt_list import AnyPrompts
from limner.protocols import OnStep
from limner.session.call import SegmentSettings, strict
from limner.session.labelling.asked import VERB, Asking
from limner.session.labelling.asked import Labelling as _Session
from limner.session.labelling.result import Labelled
from limner.session.results import FindOptions


class LabelSettings(SegmentSettings, total=False):
    """``LabelOptions`` by its fields, and those of finding."""

    format: str
    recursive: bool
    overwrite: bool
    least_sure: int


def label(
    session: _Session,
    data: str | Path,
    prompts: str | Path | Mapping[str, AnyPrompts | None] | None = None,
    out: str | Path | None = None,
    *,
    on_step: OnStep | None = None,
    **named: Unpack[LabelSettings],
) -> Labelled:
    """Turn prompts for many pictures into one dataset of masks; run again, it goes on.

    Args:
        data: a folder of pictures, or a dataset (COCO, YOLO, Pascal VOC).
        prompts: a file of boxes, points or phrases (docs/labelling.md); or phrases by class,
            ``{"mug": ["a mug", "a cup"]}``; or prompts by picture, ``{"a.png":
            [VisualPrompt(box=(1, 2, 30, 40), label="mug")]}``; None: the dataset's own boxes.
        out: the folder of the dataset; None: beside you, named after ``data``.
        on_step: told how many pictures are done, of how many.
        named: settings by their names, such as ``format="yolo-seg"`` or ``threshold=0.3``.

    Raises:
        PromptError, InputError: a prompt that can't be meant, or lies outside its picture; which
            file and row. Nothing is written then.
        OutputError: something else lies in ``out``, or it can't be written.
        OptionError: a setting that there isn't, or without effect.

    Example:
        ``Session().label("photos", "boxes.csv", "dataset").objects``
    """
    from limner.session.labelling.label import label_pictures

    options, finding = _settings(named)
    data = Path(data)
    folder = Path(f"{data.resolve().stem}-label") if out is None else Path(out)
    return label_pictures(session, data, prompts, folder, Asking(options, finding), on_step)


def _settings(named: Mapping[str, Any]) -> tuple[LabelOptions, FindOptions]:
    own = {spec.name for spec in fields(LabelOptions)}
    call = strict(VERB, None, {name: v for name, v in named.items() if name not in own})
    if call.prompts or call.settings:
        raise OptionError("label takes its prompts from a file, and no everything mode.")
    return LabelOptions(**{name: v for name, v in named.items() if name in own}), call.finding
