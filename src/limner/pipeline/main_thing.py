"""The main thing of a picture, which nobody pointed at, and the cut-out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from limner.errors import ResultError
from limner.io import coco as export
from limner.ops import detections as dets
from limner.ops import masks
from limner.options import EditOptions, check_honoured
from limner.pipeline.edit import cut_out
from limner.pipeline.ground import Grounding
from limner.pipeline.stopwatch import Stopwatch

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.protocols import Matting

NAME = "main thing"
HALF = 0.5
"""From this opacity a pixel belongs to the thing."""
SOFT_OBEYS = frozenset({"keep_metadata"})


def cut_out_main_thing(
    image: Image, model: Matting, edit: EditOptions | None = None
) -> tuple[Grounding, Image | None]:
    """What a model takes for the main thing, and that alone on transparency (RGBA).

    A soft matte is the cut-out's opacity; an outline gets the border of any other cut-out. None
    where no pixel is at least half the thing's.

    Raises:
        OptionError: a border was asked of a soft matte, which has its own.
        ResultError: a matte of another size than the picture.
    """
    if model.soft:
        reason = "the edges of its matte are soft by themselves"
        check_honoured(edit or EditOptions(), SOFT_OBEYS, model.ref.name, reason)
    watch = Stopwatch()
    with watch.stage("matte"):
        matte = model.matte(image)
    if matte.alpha.shape != image.size[::-1]:
        raise ResultError(f"{model.ref.name} gave a matte of {matte.alpha.shape} for {image.size}.")
    mask = np.asarray(matte.alpha >= HALF)
    box = masks.box_of(mask)
    if box is None:
        return Grounding(image.size, (), dets.empty(with_mask_keys=True), watch.seconds), None
    rows = dets.make(np.array([box]), [matte.score], [0], [NAME])
    detections = dets.with_masks(rows, [mask], [matte.score])
    picture = export.cutout(image, matte.alpha) if model.soft else cut_out(image, mask, edit)
    return Grounding(image.size, (), detections, watch.seconds), picture
