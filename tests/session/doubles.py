"""A small picture with a red patch, and what is asked of it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from limner.ops.selection import parse_selection
from limner.options import (
    DetectOptions,
    EditOptions,
    InpaintOptions,
    SegmentOptions,
)
from limner.prompts import Box, Mask, Point, Text, VisualPrompt
from limner.session import FindOptions

WIDTH, HEIGHT = 64, 48
PATCH = (10, 8, 34, 30)
RED = VisualPrompt(text=Text("red"))
BOXED = VisualPrompt(box=Box(*PATCH))
CLICKED = VisualPrompt(points=(Point(20, 20),))
MISSING = VisualPrompt(text=Text("lime"))


def picture(seed: int = 0) -> Image.Image:
    """A red patch on grain."""
    pixels = np.random.default_rng(seed).integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    x0, y0, x1, y1 = PATCH
    pixels[y0:y1, x0:x1] = (255, 0, 0)
    return Image.fromarray(pixels)


def masked() -> VisualPrompt:
    array = np.zeros((HEIGHT, WIDTH), dtype=bool)
    array[20:30, 20:40] = True
    return VisualPrompt(mask=Mask(array))


FINDING = FindOptions(
    DetectOptions(threshold=0.2, phrase_thresholds=(("red", 0.3),)),
    SegmentOptions(),
    (parse_selection("largest"), parse_selection("nearest:3,4:2")),
)
EDIT = EditOptions(feather=2, dilate=1, context=1)
INPAINT = InpaintOptions(seed=5, num_images_per_prompt=2)
