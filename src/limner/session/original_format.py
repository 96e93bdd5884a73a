"""Edits as files hold them: put into the original's own depth, colour space and transparency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as pil

from limner import pipeline
from limner.io.raster import Layer, Raster, changed_pixels, cut, put_layers
from limner.models.classical.fill import fill

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
