"""Which values the formats hold that pictures are saved in, and what becomes of those they don't.

========  ===========================  ======================  =====================
format    bits a value                 colours                 transparency
========  ===========================  ======================  =====================
PNG       8, 16                        grey, RGB               yes, not premultiplied
TIFF      8 to 64, whole or floats     grey, RGB, CMYK, Lab    yes
WebP      8                            RGB                     yes, not premultiplied
JPEG      8, and every pixel changes   grey, RGB, CMYK         no
========  ===========================  ======================  =====================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from limner.io.raster import Raster

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""Endings of the pictures that limner writes."""

_NAMES = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WebP", "TIFF": "TIFF"}
_COLOURS = {
    "PNG": ("L", "RGB"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB",),
    "TIFF": ("L", "RGB", "CMYK", "LAB"),
}


@dataclass(frozen=True)
class Loss:
    """What a whole picture loses in a format, whatever was edited in it."""

    short: str
    """A few words, such as "16 bits became 8"."""
    sentence: str
    """The same with the reason, and which format would keep it."""


def fit(raster: Raster, kind: str) -> tuple[Raster, list[Loss]]:
    """The picture as a format can hold it, and what it loses by that.

    Args:
        kind: a value of ``FORMATS``.
    """
    losses: list[Loss] = []
    name = _NAMES[kind]
    deep = raster.dtype != np.uint8
    if deep and not (kind == "TIFF" or (kind == "PNG" and raster.dtype == np.uint16)):
        bits = raster.dtype.itemsize * 8
        keeps = ".png and .tif keep" if raster.dtype == np.uint16 else ".tif keeps"
        values = f"{bits}-bit floats" if raster.dtype.kind == "f" else f"{bits} bits"
        losses.append(
            Loss(
                f"its {values} became 8 bits",
                f"{name} holds 8 bits a value and this picture has {values}: all of it becomes 8 "
                f"bits; {keeps} them.",
            )
        )
        raster = raster.in_8_bits()
    if raster.premultiplied and kind != "TIFF":
        losses.append(
            Loss(
                "its premultiplied colours were divided by their alpha",
                f"{name} holds no colours multiplied by their alpha, as this picture has them: all "
                "of them are divided by it; .tif keeps them.",
            )
        )
        raster = raster.straight()
    if raster.has_alpha and kind == "JPEG":
        losses.append(
            Loss(
                "its transparency became white",
                "JPEG holds no transparency: the picture is laid on white; .png, .webp and .tif "
                "keep it.",
            )
        )
        return Raster(raster.view(), exif=raster.exif), losses
    colours = raster.colour_mode
    if colours not in _COLOURS[kind]:
        if colours != "L" or not raster.is_srgb:
            what = {"L": "greys with a profile", "CMYK": "CMYK", "LAB": "Lab"}[colours]
            losses.append(
                Loss(
                    f"its {what} became sRGB",
                    f"{name} holds no {what}: all colours become sRGB; .tif keeps them.",
                )
            )
        view = raster.rgba() if raster.has_alpha else raster.view()
        raster = Raster(view, exif=raster.exif)
    return raster, losses


def losses_of(raster: Raster, path: PurePath) -> list[Loss]:
    """What a picture loses in a file of this name; nothing where limner writes no such file."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        return []
    corner = raster.with_pixels(raster.window((0, 0, 1, 1)))  # it hangs on the kind of values alone
    return fit(corner, kind)[1]
