"""A picture looked at turned as well: a face on its side is found by a detector of upright ones.

A box in a turned picture is read as the ellipse in it, and comes back as the box around that
ellipse: exactly what it was for quarter turns, and no larger for a round thing at any angle, where
the box around the turned box would be 1.3 times as wide at 25 degrees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image as pil

from limner.ops import detections as dets

if TYPE_CHECKING:
    from PIL.Image import Image

Floats: TypeAlias = npt.NDArray[np.float64]
Ask: TypeAlias = Callable[["Image"], sv.Detections]
"""Answers a picture with boxes in its own pixels."""

ANGLES = (0.0, 90.0, 180.0, 270.0, 25.0, -25.0)
"""Degrees, against the clock. A network finds faces up to about 30 degrees off, so that these
miss those around 135 and 225 degrees."""
SCALES = (1.0,)
SHOWN = 1280
"""px: a larger picture is made smaller before it is turned, which bounds the memory of a view."""
OVERLAP = 0.3
"""IoU above which two finds of two views are one thing, and the surer one stays."""


@dataclass(frozen=True)
class View:
    """A picture turned about its centre by ``angle`` degrees against the clock, then scaled, on a
    canvas that holds all of it. Coordinates are px as in ``limner.ops.transforms``."""

    source_wh: tuple[int, int]
    angle: float
    scale: float

    @property
    def target_wh(self) -> tuple[int, int]:
        """The canvas, in whole px."""
        width, height = self.source_wh
        across, along = abs(self._cos), abs(self._sin)
        sides = (width * across + height * along, width * along + height * across)
        wide, high = (max(1, math.ceil(side * self.scale - 1e-6)) for side in sides)
        return wide, high

    @property
    def _cos(self) -> float:
        return _exact(math.cos(math.radians(self.angle)))

    @property
    def _sin(self) -> float:
        return _exact(math.sin(math.radians(self.angle)))

    def forward_points(self, xy: npt.ArrayLike) -> Floats:
        """(N, 2) px of the picture -> (N, 2) px of the view."""
        dx, dy = (np.asarray(xy, np.float64).reshape(-1, 2) - np.array(self.source_wh) / 2).T
        turned = np.stack([dx * self._cos + dy * self._sin, dy * self._cos - dx * self._sin], 1)
        return np.asarray(turned * self.scale + np.array(self.target_wh) / 2)

    def inverse_points(self, xy: npt.ArrayLike) -> Floats:
        """(N, 2) px of the view -> (N, 2) px of the picture."""
        middle = np.array(self.target_wh) / 2
        dx, dy = ((np.asarray(xy, np.float64).reshape(-1, 2) - middle) / self.scale).T
        turned = np.stack([dx * self._cos - dy * self._sin, dy * self._cos + dx * self._sin], 1)
        return np.asarray(turned + np.array(self.source_wh) / 2)

    def inverse_boxes(self, xyxy: npt.ArrayLike) -> Floats:
        """(N, 4) boxes in the view -> (N, 4) boxes in the picture, cut at its edges."""
        boxes = np.asarray(xyxy, np.float64).reshape(-1, 4)
        middle = self.inverse_points((boxes[:, :2] + boxes[:, 2:]) / 2)
        wide, high = ((boxes[:, 2:] - boxes[:, :2]) / 2 / self.scale).T
        half = np.stack(
            [
                np.hypot(wide * self._cos, high * self._sin),
                np.hypot(wide * self._sin, high * self._cos),
            ],
            axis=1,
        )
        bounds = np.array(self.source_wh * 2)
        corners = np.concatenate([middle - half, middle + half], axis=1)
        return np.asarray(np.clip(corners, 0, bounds))

    def draw(self, image: Image) -> Image:
        """The view of a picture of ``source_wh``; what the picture doesn't cover is black."""
        (a, b), (c, d) = self.inverse_points([(1, 0), (0, 1)]) - self.inverse_points([(0, 0)])
        (x, y), *_ = self.inverse_points([(0, 0)])
        steps = (a, c, x, b, d, y)
        return image.transform(
            self.target_wh, pil.Transform.AFFINE, steps, resample=pil.Resampling.BILINEAR
        )


def _exact(value: float) -> float:
    """Sines of quarter turns are whole numbers."""
    return float(round(value)) if abs(value - round(value)) < 1e-12 else value


def detect_turned(
    image: Image,
    ask: Ask,
    angles: Sequence[float] = ANGLES,
    scales: Sequence[float] = SCALES,
    overlap: float = OVERLAP,
) -> sv.Detections:
    """What ``ask`` finds in views of a picture, each thing once, in px of the picture.

    Args:
        angles: degrees against the clock; 0 is the picture as it is.
        scales: how large each view is, of the picture or of ``SHOWN`` px, whichever is less.
        overlap: IoU above which the lesser of two boxes for one prompt goes, 0..1.

    Returns:
        Boxes best first; a find's score is that of the view that saw it best.
    """
    shown = image
    if max(image.size) > SHOWN:
        part = SHOWN / max(image.size)
        size_wh = (max(1, round(image.width * part)), max(1, round(image.height * part)))
        shown = image.resize(size_wh, pil.Resampling.BOX)
    grown = np.array(image.size * 2) / np.array(shown.size * 2)
    parts = []
    for angle in dict.fromkeys(angle % 360 for angle in angles):
        for scale in dict.fromkeys(scales):
            view = View(shown.size, angle, scale)
            whole = angle == 0 and scale == 1
            answer = ask(shown if whole else view.draw(shown))
            if len(answer):
                moved = dets.copy(answer)
                moved.xyxy = (view.inverse_boxes(answer.xyxy) * grown).astype(np.float32)
                parts.append(moved)
    return once(parts, overlap)


def once(parts: Sequence[sv.Detections], overlap: float) -> sv.Detections:
    """Several looks' finds in px of one picture, of those that overlap the surest, best first."""
    rows = dets.merge(parts)
    if len(rows):
        rows = rows.with_nms(overlap)
    return dets.by_confidence(rows)
