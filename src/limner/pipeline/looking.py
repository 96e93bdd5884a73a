"""Asking a detector about a picture: whole, or whole and in tiles.

What is set of looking is answered here, for every detector alike; the detector itself is asked
about one picture and doesn't know that it is a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import supervision as sv

from limner import detections as dets
from limner.options import DetectOptions
from limner.pipeline.tiling import tiled
from limner.prompts import VisualPrompt
from limner.protocols import Detector

if TYPE_CHECKING:
    from PIL.Image import Image

ALL_BOXES = 1_000_000
"""``max_detections`` that cuts nothing off."""


def look(
    detector: Detector, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
) -> sv.Detections:
    """What a detector finds, as ``Detector.detect``; with ``look="tiles"`` it sees tiles as well.

    Each tile is asked with the same thresholds and without a limit; what makes boxes crowd each
    other out is applied to what all looks found together. An example image's scores are relative to
    what lies in the same tile, where a detector's scores of examples are relative.

    With ``look="zoom"`` this is the first look; ``zooming.zoomed`` goes on from it.
    """
    if options.look != "tiles":
        return detector.detect(image, prompts, replace(options, look="whole"))
    plain = replace(unlimited(options), look="whole", slice_wh=None, overlap_wh=None)
    found = tiled(image, lambda part: detector.detect(part, prompts, plain), *options.tiling())
    if len(found):
        found = found.with_nms(options.most_overlap(), options.class_agnostic_nms)
    return dets.take(dets.by_confidence(found), slice(options.max_detections))


def unlimited(options: DetectOptions) -> DetectOptions:
    """The same, without what makes boxes crowd each other out.

    "Not" and "where" are decided on all boxes: else the best dog elsewhere takes the place of the
    one that was clicked, and a dog's box suppresses the "poodle" that would have removed it.
    """
    return replace(options, class_agnostic_nms=False, max_detections=ALL_BOXES)
