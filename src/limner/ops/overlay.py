"""What was found, drawn on the picture for a person to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image

from limner.ops import lettering, palette
from limner.ops.detections import class_names, crop_of
from limner.ops.lettering import middle_cut, readable
from limner.ops.masks import IntBox
from limner.prompts import Box, Point, RgbArray, VisualPrompt

PALETTE = palette.ON_PICTURES
"""Okabe and Ito's colours, told apart with any colour vision (Wong 2011, Nature Methods 8:441)."""

MOST_LABELS = 30
"""With more objects than this, labels would hide the picture."""

_WHITE, _INK = (255, 255, 255), (20, 20, 20)
_LATIN = 0x17F  # the last letter that Pillow's own font may have
_AT_ONCE = 1 << 21
"""Pixels, so that a large picture needs no further copy."""
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
    colours = _colours(detections)
    picture = image.convert("RGB") if image.mode != "RGB" else image.copy()
    _tint(picture, detections, colours, opacity)
    for row in range(len(detections)):
        _outline(picture, detections, row, _rgb(PALETTE[colours[row]]), stroke)
    for prompt in prompts:
        if prompt.box is not None:
            _mark_box(picture, prompt.box, stroke)
    if labels or (labels is None and len(detections) <= MOST_LABELS):
        _add_labels(picture, detections, colours, font_path)
    for prompt in prompts:
        for point in prompt.points:
            _mark_point(picture, point, 3.5 * stroke + 2)
    return picture


def _draw(
    picture: Image.Image, xyxy: IntBox, margin: int, draw: Callable[[RgbArray, int, int], None]
) -> None:
    """Change a part of a picture, so that a large one needs no second copy.

    Args:
        margin: pixels around a stripe that are drawn with it, for lines that lie across its edge.
        draw: gets a stripe's (h, w, 3) values and the left and top of it in the picture.
    """
    x0, y0 = max(0, xyxy[0]), max(0, xyxy[1])
    x1, y1 = min(xyxy[2], picture.width), min(xyxy[3], picture.height)
    rows = max(1, _AT_ONCE // max(1, x1 - x0))
    for top in range(y0, y1, rows) if x0 < x1 else ():
        bottom = min(top + rows, y1)
        left, first = max(0, x0 - margin), max(0, top - margin)
        right, last = min(x1 + margin, picture.width), min(bottom + margin, picture.height)
        pixels = np.array(picture.crop((left, first, right, last)))
        draw(pixels, left, first)
        inner = pixels[top - first : bottom - first, x0 - left : x1 - left]
        picture.paste(Image.fromarray(np.ascontiguousarray(inner)), (x0, top))


def _tint(
    picture: Image.Image,
    detections: sv.Detections,
    colours: npt.NDArray[np.int_],
    opacity: float,
) -> None:
    """Each mask in its colour, small ones on large ones, as supervision's ``MaskAnnotator``."""
    if detections.mask is None or not len(detections):
        return
    crops = [crop_of(detections, row) for row in range(len(detections))]
    largest_first = np.flip(np.argsort([crop.area for crop in crops])).tolist()

    def tint(pixels: RgbArray, left: int, top: int) -> None:
        coloured = pixels.copy()
        bottom = top + len(pixels)
        for row in largest_first:
            crop = crops[row]
            begin, end = max(top, crop.top), min(bottom, crop.top + len(crop.window))
            if begin < end:
                window = crop.window[begin - crop.top : end - crop.top]
                columns = slice(crop.left - left, crop.left - left + window.shape[1])
                coloured[begin - top : end - top, columns][window] = _rgb(PALETTE[colours[row]])
        pixels[:] = cv2.addWeighted(coloured, opacity, pixels, 1 - opacity, 0)

    spans = [(crop.slices[1], crop.slices[0]) for crop in crops]
    window = (
        min(x.start for x, _ in spans),
        min(y.start for _, y in spans),
        max(x.stop for x, _ in spans),
        max(y.stop for _, y in spans),
    )
    _draw(picture, window, 0, tint)


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
    picture: Image.Image,
    detections: sv.Detections,
    row: int,
    colour: tuple[int, int, int],
    stroke: int,
) -> None:
    """An object's border, or its box without a mask: coloured on white, to be seen on anything."""
    if detections.mask is None:
        x0, y0, x1, y1 = np.rint(detections.xyxy[row]).astype(np.int32).tolist()
        lines = [np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]], np.int32)]
    else:
        crop = crop_of(detections, row)
        contours, _ = cv2.findContours(
            np.ascontiguousarray(crop.window).view(np.uint8),
            cv2.RETR_CCOMP,
            cv2.CHAIN_APPROX_NONE,
            offset=(crop.left, crop.top),
        )
        lines = [np.asarray(line, np.int32).reshape(-1, 2) for line in contours]
    if not lines:
        return
    rim = stroke + max(2, round(stroke * 0.7))
    # cv2's smooth line of one pixel is never opaque.
    smooth = cv2.LINE_AA if stroke > 1 else cv2.LINE_8

    def draw(pixels: RgbArray, left: int, top: int) -> None:
        here = [line - (left, top) for line in lines]
        here = [np.asarray(line, np.int32) for line in here]
        cv2.polylines(pixels, here, True, _WHITE, rim, cv2.LINE_AA)
        cv2.polylines(pixels, here, True, colour, stroke, smooth)

    ends = np.concatenate(lines)
    (x0, y0), (x1, y1) = ends.min(axis=0).tolist(), ends.max(axis=0).tolist()
    reach = rim + 2
    _draw(picture, (x0 - reach, y0 - reach, x1 + reach + 1, y1 + reach + 1), reach, draw)


def _add_labels(
    picture: Image.Image,
    detections: sv.Detections,
    colours: npt.NDArray[np.int_],
    font_path: str | None,
) -> None:
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
    annotator.annotate(picture, tips, labels=texts, custom_color_lookup=colours)


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


def _mark_point(picture: Image.Image, point: Point, radius: float) -> None:
    unit = 1 << _SUBPIXEL
    fill = _rgb(palette.GREEN) if point.foreground else _rgb(palette.VERMILION)
    rim = max(1, round(radius / 4))

    def draw(pixels: RgbArray, left: int, top: int) -> None:
        # A pixel's centre is at its index for cv2 and half a pixel further on for us.
        centre = (round((point.x - left - 0.5) * unit), round((point.y - top - 0.5) * unit))
        for grow, colour in ((2 * rim, _INK), (rim, _WHITE), (0, fill)):
            size = round((radius + grow) * unit)
            cv2.circle(pixels, centre, size, colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL)
        arm = 0 if point.foreground else round(radius * 0.55 * unit)
        for up in (-1, 1) if arm else ():
            start = (centre[0] - arm, centre[1] - up * arm)
            end = (centre[0] + arm, centre[1] + up * arm)
            cv2.line(pixels, start, end, _WHITE, rim, cv2.LINE_AA, _SUBPIXEL)

    x, y, reach = int(point.x), int(point.y), math.ceil(radius + 2 * rim) + 2
    _draw(picture, (x - reach, y - reach, x + reach + 1, y + reach + 1), reach, draw)


def _mark_box(picture: Image.Image, box: Box, stroke: int) -> None:
    """White and black dashes in turn, which no picture hides."""
    x0, y0 = (max(round(side), 0) for side in (box.x0, box.y0))
    x1, y1 = min(round(box.x1), picture.width) - 1, min(round(box.y1), picture.height) - 1
    dash = 5 * stroke + 2
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]

    def draw(pixels: RgbArray, left: int, top: int) -> None:
        for (ax, ay), (bx, by) in pairwise(corners):
            length = max(abs(bx - ax), abs(by - ay), 1)
            for number, start in enumerate(range(0, length, dash)):
                end = min(start + dash, length)
                dash_start, dash_end = (
                    (
                        ax - left + (bx - ax) * offset // length,
                        ay - top + (by - ay) * offset // length,
                    )
                    for offset in (start, end)
                )
                colour = _INK if number % 2 else _WHITE
                cv2.line(pixels, dash_start, dash_end, colour, stroke + 1)

    reach = stroke + 3
    _draw(picture, (x0 - reach, y0 - reach, x1 + reach + 1, y1 + reach + 1), reach, draw)
