"""What is drawn on a picture is the same whether it is drawn at once or in stripes."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from limner.ops import detections as dets
from limner.ops import masks
from limner.ops import overlay as drawing
from limner.prompts import Box, Point, VisualPrompt

WIDE, HIGH = 220, 170


def noise() -> Image.Image:
    rng = np.random.default_rng(5)
    return Image.fromarray(rng.integers(0, 255, (HIGH, WIDE, 3), dtype=np.uint8))


def outlined() -> sv.Detections:
    """A thin texture over all, and a bar on it."""
    texture = np.random.default_rng(6).random((HIGH, WIDE)) > 0.5
    bar = np.zeros((HIGH, WIDE), dtype=bool)
    bar[40:130, 20:200] = True
    boxes = np.array([masks.box_of(outline) for outline in (texture, bar)], dtype=float)
    rows = dets.make(boxes, [0.5, 0.4], [0, 1], ["grass", "bench"])
    crops = [masks.MaskCrop.of(outline) for outline in (texture, bar)]
    return dets.with_masks(rows, crops, [0.5, 0.4])


def boxed() -> sv.Detections:
    boxes = np.array([[3.4, 5.0, 216.0, 166.0], [50.0, 60.0, 90.0, 80.0]])
    return dets.make(boxes, [0.5, 0.4], [0, 1], ["grass", "bench"])


@pytest.mark.parametrize("detections", [outlined(), boxed()], ids=["outlines", "boxes"])
def test_stripes_leave_no_seam(detections: sv.Detections, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of 96 megapixels is drawn on in stripes, or `detect` and `segment` hold it in
    memory four times: a line that crosses two of them is the line it was."""
    prompts = [
        VisualPrompt(points=(Point(0, 0), Point(WIDE - 1, HIGH - 1, False), Point(110.3, 85))),
        VisualPrompt(box=Box(3, 3, 214, 160)),
    ]
    whole = drawing.overlay(noise(), detections, prompts)
    monkeypatch.setattr(drawing, "_AT_ONCE", 2000)
    assert np.array_equal(whole, drawing.overlay(noise(), detections, prompts))


def test_the_tint_is_supervisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the masks' windows, small masks on large ones: ``MaskAnnotator``'s own values."""
    monkeypatch.setattr(drawing, "_AT_ONCE", 2000)
    picture, rows, colours = noise(), outlined(), np.array([0, 1])
    drawing._tint(picture, rows, colours, 0.35)
    palette = sv.ColorPalette.from_hex(list(drawing.PALETTE))
    tint = sv.MaskAnnotator(color=palette, opacity=0.35)
    assert np.array_equal(picture, tint.annotate(noise(), rows, custom_color_lookup=colours))
