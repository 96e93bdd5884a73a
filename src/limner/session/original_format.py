"""Edits as files hold them: put into the original's own depth, colour space and transparency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as pil

from limner import pipeline
from limner.errors import OptionError
from limner.io.limits import MAX_PIXELS
from limner.io.raster import Layer, Raster, changed_pixels, cut, put_layers
from limner.models.classical.fill import fill
from limner.ops.masks import IntBox
from limner.options import FrameOptions

if TYPE_CHECKING:
    from PIL.Image import Image


def edited(
    original: Raster, edits: Sequence[pipeline.Edit], *, continued: bool
) -> tuple[tuple[pipeline.Edit, ...], tuple[Raster, ...]]:
    """The edits with their count taken on the file's own values, and those values.

    Args:
        continued: what was painted continues its surroundings, also in their transparency;
            otherwise it is opaque.
    """
    counted, rasters = [], []
    for edit in edits:
        if original.is_plain:  # then the view is the picture
            rasters.append(replace(original, pixels=edit.image))
            counted.append(edit)
            continue
        layers = edit.layers
        if continued and original.has_alpha:
            layers = tuple(_see_through(original, layer) for layer in layers)
        raster = put_layers(original, layers)
        count = changed_pixels(original, raster, ~edit.mask)
        rasters.append(raster)
        counted.append(replace(edit, outside_changed_pixels=count))
    return tuple(counted), tuple(rasters)


def cut_out(original: Raster, cutout: Image) -> tuple[Image, Raster]:
    """A cut-out's view and values; the original's own transparency counts as well.

    Args:
        cutout: RGBA, made of the original's view.
    """
    if original.is_plain:
        return cutout, replace(original, pixels=cutout)
    if original.colour_mode not in ("L", "RGB"):  # CMYK and Lab have no alpha
        original = replace(
            Raster(original.view(), exif=original.exif),
            lost=(*original.lost, f"its {original.mode} became sRGB"),
        )
    raster = cut(original, np.asarray(cutout.getchannel("A")))
    return raster.rgba(), raster


def framed(cutout: Image, raster: Raster, frame: FrameOptions) -> tuple[Image, Raster, IntBox]:
    """A cut-out's view and values on another canvas, and that canvas in pixels of the picture,
    which it may reach beyond.

    Raises:
        OptionError: it would be larger than pictures may be.
    """
    x0, y0, x1, y1 = 0, 0, *cutout.size
    if frame.trim:
        x0, y0, x1, y1 = cutout.getchannel("A").getbbox() or (x0, y0, x1, y1)
    room = frame.room(max(x1 - x0, y1 - y0))
    x0, y0, x1, y1 = x0 - room, y0 - room, x1 + room, y1 + room
    if frame.square:
        side = max(x1 - x0, y1 - y0)
        x0, y0 = x0 - (side - (x1 - x0)) // 2, y0 - (side - (y1 - y0)) // 2
        x1, y1 = x0 + side, y0 + side
    if (x1 - x0) * (y1 - y0) > max(MAX_PIXELS, cutout.width * cutout.height):
        raise OptionError(
            f"The cut-out would be {x1 - x0}x{y1 - y0} pixels, more than {MAX_PIXELS:,}: "
            "take trim, a smaller pad, or no square."
        )
    box = (x0, y0, x1, y1)
    return cutout.crop(box), raster.framed(box), box


def _see_through(original: Raster, layer: Layer) -> Layer:
    """The layer with the transparency of what surrounds it."""
    box = layer.xyxy
    part = original.with_pixels(original.window(box)).in_8_bits()
    assert isinstance(part.pixels, pil.Image)
    alpha, hole = np.asarray(part.pixels.getchannel("A")), np.asarray(layer.weight) > 0
    around = alpha[~hole]
    if not around.size:
        return layer
    if around.min() == around.max():
        return replace(layer, opacity=np.full(alpha.shape, around[0], np.uint8))
    filled = fill(np.repeat(alpha[..., None], 3, axis=2), hole, method="telea")
    return replace(layer, opacity=np.ascontiguousarray(filled[..., 0]))
