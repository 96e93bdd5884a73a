"""Prompts, boxes and masks as layers over the picture, for trackers that can show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from limner.trackers.protocol import Layer, Mark

if TYPE_CHECKING:
    import supervision as sv

    from limner.ops.masks import MaskCrop
    from limner.prompts import VisualPrompt

Outline = tuple[tuple[float, float], ...]

TOLERANCE = 0.75
"""Pixels by which an outline may leave the mask's border: far fewer corners, no visible loss."""

_CLICK = 0.01
"""Half the side of a click's mark, as a part of the picture's longer side."""


def layers_of(
    detections: sv.Detections, prompts: Sequence[VisualPrompt], size_wh: tuple[int, int]
) -> tuple[Layer, ...]:
    """``boxes``, ``masks`` (where there are some) and ``prompts``; empty layers are left out.

    Boxes and masks carry the same scores, so that one threshold filters both.
    """
    layers = (
        Layer("boxes", _boxes(detections)),
        Layer("masks", _masks(detections)),
        Layer("prompts", _prompts(prompts, size_wh)),
    )
    return tuple(layer for layer in layers if layer.marks)


def outlines(crop: MaskCrop) -> tuple[Outline, ...]:
    """The outer border of each part of a mask, in pixels of the picture.

    Holes are not drawn: a tracker's polygon has no inside out. The exact mask is the RLE.
    """
    import cv2
    import numpy as np

    contours, _ = cv2.findContours(
        crop.window.astype(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_NONE,
        offset=(crop.left, crop.top),
    )
    borders: list[Outline] = []
    for contour in contours:
        corners = cv2.approxPolyDP(contour, TOLERANCE, True)[:, 0]
        if len(corners) < 3:  # a line or a pixel: its own box instead
            x, y, width, height = cv2.boundingRect(contour)
            corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
            borders.append(tuple((float(x), float(y)) for x, y in corners))
        else:  # cv2 goes through the pixels' centres, which for us lie half a pixel further on
            borders.append(tuple((float(x) + 0.5, float(y) + 0.5) for x, y in corners))
    return tuple(borders)


def _boxes(detections: sv.Detections) -> tuple[Mark, ...]:
    labels, scores = _named(detections)
    rows = detections.xyxy.astype(float).tolist()
    return tuple(
        Mark(label, score, boxes=((x0, y0, x1, y1),))
        for label, score, (x0, y0, x1, y1) in zip(labels, scores, rows, strict=True)
    )


def _masks(detections: sv.Detections) -> tuple[Mark, ...]:
    from limner.ops.detections import crop_of

    if detections.mask is None:
        return ()
    labels, scores = _named(detections)
    borders = [outlines(crop_of(detections, row)) for row in range(len(detections))]
    return tuple(
        Mark(label, score, outlines=border)
        for label, score, border in zip(labels, scores, borders, strict=True)
        if border
    )


def _named(detections: sv.Detections) -> tuple[list[str], list[float | None]]:
    from limner.ops.detections import class_names

    scores = detections.confidence
    return (
        class_names(detections),
        [None] * len(detections) if scores is None else [round(float(s), 4) for s in scores],
    )


def _prompts(prompts: Sequence[VisualPrompt], size_wh: tuple[int, int]) -> tuple[Mark, ...]:
    """Boxes as given, clicks as small diamonds; what has no place in the picture is no mark."""
    reach = max(2.0, _CLICK * max(size_wh))
    marks: list[Mark] = []
    for prompt in prompts:
        if prompt.box is not None:
            box = prompt.box
            marks.append(Mark("box", boxes=((box.x0, box.y0, box.x1, box.y1),)))
        for point in prompt.points:
            x, y = point.x, point.y
            diamond = ((x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y))
            label = "click" if point.foreground else "click: not this"
            marks.append(Mark(label, outlines=(diamond,)))
    return tuple(marks)
