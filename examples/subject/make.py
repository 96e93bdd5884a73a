"""Makes the photographs of this folder: one drawing, four times, before four backgrounds.

The drawing is of a style that no mini was trained on. ``python examples/subject/make.py``
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from minis.drawings import TEST_STYLE, backgrounds, drawing
from minis.scenes import paste, turned

NOUN, SIDE = "backpack", 128


def main() -> None:
    rng = np.random.default_rng(5)
    for k, behind in enumerate(backgrounds(test=True)[:4]):
        side = min(behind.shape[:2])
        canvas = cv2.resize(behind[:side, :side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        canvas = canvas.astype(np.float32)
        stamp = turned(drawing(NOUN, TEST_STYLE).rgba, rng, 100, most_degrees=12)
        height, width = stamp.shape[:2]
        x, y = (SIDE - width) // 2, (SIDE - height) // 2
        paste(canvas, stamp, (x + int(rng.integers(-8, 8)), y + int(rng.integers(-8, 8))))
        picture = Image.fromarray(np.clip(np.round(canvas), 0, 255).astype(np.uint8))
        picture.save(Path(__file__).parent / f"{k}.png", optimize=True)


if __name__ == "__main__":
    main()
