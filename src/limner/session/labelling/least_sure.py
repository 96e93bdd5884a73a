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
from limner.session.labelling.answers import LabelledObject
from limner.session.labelling.pictures import Picture

SHEET = "least-sure.jpg"
ACROSS = 6
MARGIN = 0.4
"""Around an object, in parts of its longer side."""
Doubtful = tuple[Picture, LabelledObject]


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
    """The object in its surroundings, square where the picture has room for it."""
    image = open_image(picture.path).image
    x, y, width, height = thing.row["bbox"]
    left, top, right, bottom = _around((x, y, width, height), image)
    shown, note = image.crop((left, top, right, bottom)), f"{thing.name}, {picture.name}"
    box = np.array([[x - left, y - top, x + width - left, y + height - top]])
    row = dets.make(box, [thing.sure], [0], [thing.name])
    if thing.is_empty:
        note = f"{note}: no outline"
    else:
        mask = thing.crop.full()[top:bottom, left:right]
        row = dets.with_masks(row, [MaskCrop.of(mask)], [thing.sure])
    return Cell(overlay(shown, row, labels=False), thing.sure, note)


def _around(
    xywh: tuple[float, float, float, float], image: Image.Image
) -> tuple[int, int, int, int]:
    """A square around a box, cut to the picture: left, top, right, bottom."""
    x, y, width, height = xywh
    half = max(width, height, 8) * (0.5 + MARGIN)
    middle_x, middle_y = x + width / 2, y + height / 2
    return (
        max(math.floor(middle_x - half), 0),
        max(math.floor(middle_y - half), 0),
        min(math.ceil(middle_x + half), image.width),
        min(math.ceil(middle_y + half), image.height),
    )
