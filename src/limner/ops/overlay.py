"""What was found, drawn on the picture for a person to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image

from limner.ops import lettering, palette
from limner.ops.detections import class_names, crop_of
from limner.ops.lettering import middle_cut, readable
from limner.prompts import Box, Point, RgbArray, VisualPrompt

PALETTE = palette.ON_PICTURES
"""Okabe and Ito's colours, told apart with any colour vision (Wong 2011, Nature Methods 8:441)."""

MOST_LABELS = 30
"""With more objects than this, labels would hide the picture."""

_WHITE, _INK = (255, 255, 255), (20, 20, 20)
_LATIN = 0x17F  # the last letter that Pillow's own font may have
_SUBPIXEL = 4  # bits after the binary point in cv2's coordinates


def overlay(
    image: Image.Image,
    detections: sv.Detections,
    prompts: Sequence[VisualPrompt] = (),
    *,
    opacity: float = 0.35,
    labels: bool | None = None,
    font_path: str | None = None,
) -> Image.Image:
    """The picture with each object tinted, outlined and named, and with the prompts' marks.

    Each class has its colour; when there is one class only, each object has. A foreground point is
    a filled disc, a background point a crossed one, a box a dashed rectangle.

    Args:
        labels: name and score of each object; None: if there are at most ``MOST_LABELS``.
        font_path: a font file for the labels; None: Pillow's own for Latin letters, and for others
            what ``lettering`` finds.
    """
    stroke = _stroke(image.size)
    picture = image.convert("RGB") if image.mode != "RGB" else image.copy()
    colours = _colours(detections)
    tint = sv.MaskAnnotator(color=_palette(PALETTE), opacity=opacity)
    picture = tint.annotate(picture, detections, custom_color_lookup=colours)
    pixels = np.array(picture)
    _outline(pixels, detections, colours, stroke)
    for prompt in prompts:
        if prompt.box is not None:
            _mark_box(pixels, prompt.box, stroke)
    if labels or (labels is None and len(detections) <= MOST_LABELS):
        labelled = _labelled(Image.fromarray(pixels), detections, colours, font_path)
        pixels = np.array(labelled)
    for prompt in prompts:
        for point in prompt.points:
            _mark_point(pixels, point, 3.5 * stroke + 2)
    return Image.fromarray(pixels)


def _stroke(size_wh: tuple[int, int]) -> int:
    """Thickness of a line in pixels: the same on paper whatever the picture's size.

    supervision's ``calculate_optimal_line_thickness`` knows two, 2 and 4 pixels: heavy on a picture
    of 200 and a hair on one of 3000.
    """
    return max(1, round(math.sqrt(size_wh[0] * size_wh[1]) / 300))


def _palette(colours: Sequence[str]) -> sv.ColorPalette:
    return sv.ColorPalette.from_hex(list(colours))


def _colours(detections: sv.Detections) -> npt.NDArray[np.int_]:
    """Index into the palette of each row: by class, or by row when there is one class."""
    names = class_names(detections)
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    by_class = len(order) > 1
    numbers = [order[name] if by_class else row for row, name in enumerate(names)]
    return np.array(numbers, dtype=np.int_) % len(PALETTE)


def _rgb(colour: str) -> tuple[int, int, int]:
    return sv.Color.from_hex(colour).as_rgb()


def _outline(
    pixels: RgbArray, detections: sv.Detections, colours: npt.NDArray[np.int_], stroke: int
) -> None:
    """The objects' borders, or boxes without masks: coloured on white, to be seen on anything."""
    for row in range(len(detections)):
        if detections.mask is None:
            x0, y0, x1, y1 = np.rint(detections.xyxy[row]).astype(np.int32).tolist()
            lines: Sequence[npt.NDArray[np.int32]] = [
                np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]], np.int32)
            ]
        else:
            crop = crop_of(detections, row)
            contours, _ = cv2.findContours(
                np.ascontiguousarray(crop.window).view(np.uint8),
                cv2.RETR_CCOMP,
                cv2.CHAIN_APPROX_NONE,
                offset=(crop.left, crop.top),
            )
            lines = [np.asarray(line, np.int32) for line in contours]
        colour = _rgb(PALETTE[colours[row]])
        cv2.polylines(
            pixels, lines, True, _WHITE, stroke + max(2, round(stroke * 0.7)), cv2.LINE_AA
        )
        # cv2's smooth line of one pixel is never opaque.
        smooth = cv2.LINE_AA if stroke > 1 else cv2.LINE_8
        cv2.polylines(pixels, lines, True, colour, stroke, smooth)


def _labelled(
    picture: Image.Image,
    detections: sv.Detections,
    colours: npt.NDArray[np.int_],
    font_path: str | None,
) -> Image.Image:
    at = sv.Position.TOP_LEFT if detections.mask is None else sv.Position.TOP_CENTER
    size = max(11, round(math.sqrt(picture.width * picture.height) / 40))
    padding = round(size / 3)
    ink = [_ink_on(_rgb(colour)) for colour in PALETTE]
    texts = class_names(detections)
    if font_path is None and any(ord(c) > _LATIN for text in texts for c in text):
        font_path = lettering.font_path("".join(texts))
        texts = [readable(text, font_path) for text in texts]
    annotator = sv.RichLabelAnnotator(
        color=_palette(PALETTE),
        text_color=_palette(ink),
        font_path=font_path,
        font_size=size,
        text_padding=padding,
        text_position=at,
        border_radius=padding,
        smart_position=True,
    )
    if detections.confidence is not None:
        scores = detections.confidence.tolist()
        texts = [f"{name} {score:.2f}" for name, score in zip(texts, scores, strict=True)]
    room = picture.width - 2 * padding - 1
    texts = [middle_cut(text, annotator.font, room) for text in texts]
    tips = _tips(detections)
    return annotator.annotate(picture, tips, labels=texts, custom_color_lookup=colours)


def _tips(detections: sv.Detections) -> sv.Detections:
    """Boxes of no width at each mask's upper end, where its label goes; else the boxes.

    The corner of a slanting object's box lies far from it.
    """
    xyxy = detections.xyxy.copy()
    for row in range(len(detections) if detections.mask is not None else 0):
        crop = crop_of(detections, row)
        if (box := crop.box_xyxy) is not None:
            top = box[1] - crop.top
            upper_end = crop.window[top : top + math.ceil((box[3] - box[1]) / 20)]
            middle = crop.left + float(np.median(np.nonzero(upper_end)[1]))
            xyxy[row] = middle, box[1], middle, box[3]
    return sv.Detections(xyxy=xyxy)


def _ink_on(rgb: tuple[int, int, int]) -> str:
    """Black or white, whichever stands out more (WCAG's relative luminance, gamma 2.2)."""
    red, green, blue = ((value / 255) ** 2.2 for value in rgb)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "#FFFFFF"


def _mark_point(pixels: RgbArray, point: Point, radius: float) -> None:
    unit = 1 << _SUBPIXEL
    # A pixel's centre is at its index for cv2 and half a pixel further on for us.
    centre = (round((point.x - 0.5) * unit), round((point.y - 0.5) * unit))
    fill = _rgb(palette.GREEN) if point.foreground else _rgb(palette.VERMILION)
    rim = max(1, round(radius / 4))
    for grow, colour in ((2 * rim, _INK), (rim, _WHITE), (0, fill)):
        size = round((radius + grow) * unit)
        cv2.circle(pixels, centre, size, colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL)
    if not point.foreground:
        arm = round(radius * 0.55 * unit)
        for up in (-1, 1):
            start = (centre[0] - arm, centre[1] - up * arm)
            end = (centre[0] + arm, centre[1] + up * arm)
            cv2.line(pixels, start, end, _WHITE, max(1, round(radius / 4)), cv2.LINE_AA, _SUBPIXEL)


def _mark_box(pixels: RgbArray, box: Box, stroke: int) -> None:
    """White and black dashes in turn, which no picture hides."""
    height, width = pixels.shape[:2]
    x0, y0 = (max(round(side), 0) for side in (box.x0, box.y0))
    x1, y1 = min(round(box.x1), width) - 1, min(round(box.y1), height) - 1
    dash = 5 * stroke + 2
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for (ax, ay), (bx, by) in pairwise(corners):
        length = max(abs(bx - ax), abs(by - ay), 1)
        for number, start in enumerate(range(0, length, dash)):
            end = min(start + dash, length)
            dash_start, dash_end = (
                (ax + (bx - ax) * offset // length, ay + (by - ay) * offset // length)
                for offset in (start, end)
            )
            cv2.line(pixels, dash_start, dash_end, _INK if number % 2 else _WHITE, stroke + 1)
