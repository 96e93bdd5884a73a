"""The objects that a person should look at first, on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet
from limner.io.images import open_image
from limner.io.save import save_image
from limner.ops import detections as dets
from limner.ops.masks import MaskCrop
from limner.ops.overlay import overlay
from limner.prompts import Box, Point, PromptKind, VisualPrompt
from limner.session.labelling.answers import LabelledObject
from limner.session.labelling.pictures import Picture

SHEET = "least-sure.jpg"
ACROSS = 6
MARGIN = 0.4
"""Around an object, in parts of its longer side."""
Doubtful = tuple[Picture, LabelledObject]
Xyxy = tuple[float, float, float, float]


def write_sheet(folder: Path, doubtful: Sequence[Doubtful]) -> Path | None:
    """The sheet, least sure first; None, and an old one is removed, where there is nothing to show.

    Args:
        doubtful: what is shown, in order.
    """
    path = folder / SHEET
    if not doubtful:
        path.unlink(missing_ok=True)
        return None
    across = min(ACROSS, len(doubtful))
    cells = {divmod(k, across): _cell(*each) for k, each in enumerate(doubtful)}
    rows = math.ceil(len(doubtful) / across)
    sheet = contact_sheet(
        Axis("", tuple(str(k + 1) for k in range(across))),
        Axis("", tuple(str(k * across + 1) for k in range(rows))),
        cells,
        title="least sure first",
        score="sure",
        best="",
    )
    return save_image(sheet, path, record={"sheet": "label"}, overwrite=True)


def _cell(picture: Picture, thing: LabelledObject) -> Cell:
    """The object in its surroundings, with the box or the clicks that asked for it; square where
    the picture has room for it."""
    image = open_image(picture.path).image
    x, y, width, height = thing.row["bbox"]
    xyxy = (x, y, x + width, y + height)
    asking = picture.prompts[thing.prompt : thing.prompt + 1]
    left, top, right, bottom = _around([xyxy, *(p.box.xyxy for p in asking if p.box)], image)
    shown, note = image.crop((left, top, right, bottom)), f"{thing.name}, {picture.name}"
    rows = dets.empty()
    if thing.is_empty:
        note = f"{note}: no outline"
    else:
        crop = MaskCrop.of(thing.crop.full()[top:bottom, left:right])
        rows = dets.make(np.array([crop.box_xyxy]), [thing.sure], [0], [thing.name])
        rows = dets.with_masks(rows, [crop], [thing.sure])
    marks = [
        _moved(prompt, -left, -top)
        for prompt in asking
        if prompt.kinds & {PromptKind.BOX, PromptKind.POINT}
    ]
    return Cell(overlay(shown, rows, marks, labels=False), thing.sure, note)


def _moved(prompt: VisualPrompt, right: int, down: int) -> VisualPrompt:
    """Where a prompt says that the thing is, in a part of the picture."""
    points = [Point(p.x + right, p.y + down, p.foreground) for p in prompt.points]
    if prompt.box is None:
        return VisualPrompt(points=points)
    x0, y0, x1, y1 = prompt.box.xyxy
    return VisualPrompt(box=Box(x0 + right, y0 + down, x1 + right, y1 + down), points=points)


def _around(boxes: Sequence[Xyxy], image: Image.Image) -> tuple[int, int, int, int]:
    """A square around boxes, cut to the picture: left, top, right, bottom."""
    sides = np.array(boxes)
    (x0, y0), (x1, y1) = sides[:, :2].min(axis=0), sides[:, 2:].max(axis=0)
    half = max(x1 - x0, y1 - y0, 8) * (0.5 + MARGIN)
    middle_x, middle_y = (x0 + x1) / 2, (y0 + y1) / 2
    return (
        max(math.floor(middle_x - half), 0),
        max(math.floor(middle_y - half), 0),
        min(math.ceil(middle_x + half), image.width),
        min(math.ceil(middle_y + half), image.height),
    )
