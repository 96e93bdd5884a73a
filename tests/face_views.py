"""Ten views of one face on one picture, each hard in another way."""

from __future__ import annotations

import numpy as np
from PIL import Image

VIEWS = {
    "upright": (20, 20, 190, 230),
    "tilted": (240, 20, 190, 230),
    "on its side": (460, 20, 230, 190),
    "upside down": (720, 20, 190, 230),
    "mirrored": (940, 20, 190, 230),
    "small": (20, 320, 60, 73),
    "tiny": (100, 320, 32, 39),
    "dark": (240, 290, 190, 230),
    "covered": (460, 290, 190, 230),
    "squashed": (720, 320, 190, 120),
}
"""x, y, width and height of each in px."""


def ten_views(astronaut: Image.Image) -> Image.Image:
    """1200 x 560 px, from the astronaut's portrait."""
    face = astronaut.crop((130, 0, 320, 230))
    covered = face.copy()
    covered.paste((30, 30, 30), (60, 120, 140, 170))
    drawn = {
        "upright": face,
        "tilted": face.rotate(25, fillcolor=(90, 110, 120)),
        "on its side": face.rotate(90, expand=True),
        "upside down": face.rotate(180),
        "mirrored": face.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "small": face.resize((60, 73)),
        "tiny": face.resize((32, 39), Image.Resampling.LANCZOS),
        "dark": Image.fromarray((np.asarray(face) * 0.22).astype(np.uint8)),
        "covered": covered,
        "squashed": face.resize((190, 120)),
    }
    picture = Image.new("RGB", (1200, 560), (90, 110, 120))
    for name, view in drawn.items():
        picture.paste(view, VIEWS[name][:2])
    return picture
