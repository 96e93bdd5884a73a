"""Where a label may lie: in its picture, give or take what rounding does."""

from __future__ import annotations

from collections.abc import Iterable

from limner.errors import InputError

XYXY = tuple[float, float, float, float]

ROUNDING = 0.01
"""How far a label may leave its picture, in parts of the side; ``ROUNDING_PIXELS`` at least."""
ROUNDING_PIXELS = 2.0
"""VOC's boxes are written from 0 as often as from 1, and programs round outward."""


def check_inside(xyxy: XYXY, size_wh: tuple[int, int], where: str) -> None:
    """Refuse a label outside its picture: it is in other units, or another picture's.

    Args:
        xyxy: pixels.
        where: which label, for the sentence.

    Raises:
        InputError: a side lies further outside than rounding explains.
    """
    for low, high, side in zip(xyxy[:2], xyxy[2:], size_wh, strict=True):
        slack = max(ROUNDING_PIXELS, ROUNDING * side)
        if low < -slack or high > side + slack:
            x0, y0, x1, y1 = (f"{value:.6g}" for value in xyxy)
            raise InputError(
                f"{where} labels {x0},{y0} to {x1},{y1} in a picture of {size_wh[0]}x{size_wh[1]} "
                "pixels: expected a label inside its picture. Is it in other units, or for another "
                "picture?"
            )


def check_pixels(boxes: Iterable[XYXY], size_wh: Iterable[tuple[int, int]], where: str) -> None:
    """Refuse boxes that are meant in parts of 1: all of them lie in their picture's first pixel.

    Args:
        boxes: XYXY as they were written.
        size_wh: the sizes of the pictures.
        where: whose boxes, for the sentence.

    Raises:
        InputError: no box reaches beyond the first pixel of pictures that have more.
    """
    xyxy = list(boxes)
    furthest = max((max(box[2:]) for box in xyxy), default=0.0)
    if 0 < furthest <= 1 and max((max(size) for size in size_wh), default=0) > ROUNDING_PIXELS:
        x0, y0, x1, y1 = (f"{value:.6g}" for value in max(xyxy, key=lambda box: max(box[2:])))
        raise InputError(
            f"{where}: all boxes lie in the first pixel of their pictures, the largest is "
            f"{x0},{y0} to {x1},{y1}. Expected pixels, and these seem to be parts of 1: multiply "
            "them by the picture's width and height."
        )


def clipped(xyxy: XYXY, size_wh: tuple[int, int]) -> XYXY:
    """The part of a box that lies in the picture."""
    width, height = size_wh
    x0, x1 = (min(max(x, 0.0), float(width)) for x in xyxy[::2])
    y0, y1 = (min(max(y, 0.0), float(height)) for y in xyxy[1::2])
    return x0, y0, x1, y1


def box_around(polygons: Iterable[Iterable[float]]) -> XYXY:
    """The box around corners that are written x, y, x, y, …"""
    corners = [list(polygon) for polygon in polygons]
    xs = [x for polygon in corners for x in polygon[::2]]
    ys = [y for polygon in corners for y in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)
