"""Asking a detector about a picture: whole, or whole and in tiles, or turned as well.

What is set of looking is answered here, for every detector alike; the detector itself is asked
about one picture and doesn't know that it is a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import supervision as sv

from limner.ops import detections as dets
from limner.ops.suppression import distinct
from limner.options import DetectOptions
from limner.pipeline import rotate
from limner.pipeline.tiles import tiled
from limner.prompts import VisualPrompt
from limner.protocols import Detector, DetectorGroup

if TYPE_CHECKING:
    from PIL.Image import Image

ALL_BOXES = 1_000_000
"""``max_detections`` that cuts nothing off."""
TILE = 1600
"""px: a side of tiles where a picture is looked at turned as well: what face models see at once."""


LEAST_TURNED = {"faces": 0.65}
"""Least score of a find that only a turned view shows, by the detector's family: a network of
upright faces takes shoes that stand on their heads for faces (docs/faces.md)."""


class InferenceMode:
    """A detector that looks turned as well, and in tiles, where nobody said how it is to look:
    a ``DetectorGroup`` of one."""

    def __init__(self, detector: Detector) -> None:
        self.ref, self.accepts = detector.ref, detector.accepts
        self.members = (detector,)

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """As ``look``, which turns the picture where ``options.look`` is None."""
        way = options.look or "turned"
        return look(self.members[0], image, prompts, replace(options, look=way))


def look(
    detector: Detector, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
) -> sv.Detections:
    """What a detector finds, as ``Detector.detect``; with ``look="tiles"`` it sees tiles as well,
    with ``look="turned"`` tiles of a large picture and the whole one turned (``rotate.ANGLES``).

    Each tile is asked with the same thresholds and without a limit; what makes boxes crowd each
    other out is applied to what all looks found together. What is like an example
    is held against the best match in the same tile, where a detector does that.

    With ``look="zoom"`` this is the first look; ``zoom.zoomed`` goes on from it.
    """
    if isinstance(detector, DetectorGroup):  # each of its members looks for itself
        return detector.detect(image, prompts, options)
    if options.look not in ("tiles", "turned"):
        return detector.detect(image, prompts, replace(options, look=None))
    plain = replace(unlimited(options), look=None, slice_wh=None, overlap_wh=None)

    def ask(part: Image) -> sv.Detections:
        return detector.detect(part, prompts, plain)

    if options.look == "tiles":
        rows = tiled(image, ask, *options.tiling())
        overlap = options.most_overlap()
    else:
        rows = _turned(image, ask, options, LEAST_TURNED.get(detector.ref.family, 0.0))
        overlap = options.most_overlap(rotate.OVERLAP)
    return distinct(rows, overlap, options)


def _turned(image: Image, ask: rotate.Ask, options: DetectOptions, least: float) -> sv.Detections:
    """What the picture and its tiles show, and what turned views show with at least a score."""
    overlap = options.most_overlap(rotate.OVERLAP)
    angles = [angle for angle in rotate.ANGLES if angle]
    upright = tiled(image, ask, *options.tiling(TILE))
    turned = rotate.detect_turned(image, ask, angles, overlap=overlap)
    if len(turned) and turned.confidence is not None:
        turned = dets.take(turned, turned.confidence >= least)
    return rotate.once([upright, turned], overlap)


def unlimited(options: DetectOptions) -> DetectOptions:
    """The same, without what makes boxes crowd each other out.

    "Not" and "where" are decided on all boxes: else the best dog elsewhere takes the place of the
    one that was clicked, and a dog's box suppresses the "poodle" that would have removed it.
    """
    return replace(options, class_agnostic_nms=False, max_detections=ALL_BOXES)
