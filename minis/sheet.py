"""Draws the sheet in ``docs/minis.md``: every noun that a painter was taught, painted four times.

``python -m minis.sheet`` after a painter was trained anew. The holes and seeds are the first four
of each noun in ``minis.check``; beside each noun stands how many mini-clip knows at once, of 123.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minis.drawings import phrase
from minis.recipes.painter import NOUNS
from minis.scene import Pixels
from minis.scores.naming import Namer
from minis.scores.painting import Easel, named
from minis.scores.shipped_models import ShippedModels

PAGE = Path(__file__).parents[1] / "docs" / "pictures" / "painted.jpg"
SEEDS, NOUNS_A_ROW, SIDE, GAP, LABEL = 4, 4, 56, 10, 18


def main() -> None:
    models = ShippedModels()
    easel = Easel(models.session, Namer(models.encoder))
    groups = [group(easel, noun) for noun in NOUNS]
    table(groups).save(PAGE, quality=80, optimize=True)


def group(easel: Easel, noun: str) -> Image.Image:
    """A noun's pictures beside each other, its name above them."""
    shown = easel.painted(noun, SEEDS, named(noun))
    known = easel.namer.cosines(shown).argmax(axis=1) == easel.namer.nouns.index(noun)
    return labelled(shown, f"{phrase(noun)}: {int(known.sum())} of {SEEDS}")


def labelled(shown: Sequence[Pixels], label: str) -> Image.Image:
    """Pictures of ``SIDE`` px beside each other, words above."""
    row = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in shown]
    sheet = Image.new("RGB", (SIDE * len(row), SIDE + LABEL), "white")
    ImageDraw.Draw(sheet).text((1, 2), label, "black", ImageFont.load_default(12))
    sheet.paste(Image.fromarray(np.concatenate(row, axis=1)), (0, LABEL))
    return sheet


def table(groups: Sequence[Image.Image]) -> Image.Image:
    """Groups of one size in rows of ``NOUNS_A_ROW``."""
    width, height = groups[0].width + GAP, groups[0].height + GAP
    rows = -(-len(groups) // NOUNS_A_ROW)
    sheet = Image.new("RGB", (width * NOUNS_A_ROW + GAP, height * rows + GAP), "white")
    for k, group in enumerate(groups):
        sheet.paste(group, (GAP + width * (k % NOUNS_A_ROW), GAP + height * (k // NOUNS_A_ROW)))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
