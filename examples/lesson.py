"""What the lessons share: their flags, scenes whose truth is known, and a sheet of pictures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from limner import Session
from limner.rle import from_rle

EXAMPLES = Path(__file__).parent
PROFILES = ("mini", "small", "base", "large")

Mask = npt.NDArray[np.bool_]
"""(H, W), True = the thing."""


@dataclass(frozen=True)
class Lesson:
    """What was asked for on the command line."""

    session: Session
    profile: str
    out: Path


@dataclass(frozen=True)
class Scene:
    """A picture, and what is known to be in it."""

    path: Path
    things: dict[str, tuple[Mask, ...]]
    """Noun -> the mask of each such thing, from left to right."""

    @property
    def image(self) -> Image.Image:
        with Image.open(self.path) as file:
            return file.convert("RGB")


def begin(about: str, name: str) -> Lesson:
    """Read the flags; make the folder and the session.

    Args:
        about: the script's docstring.
        name: the folder's name, under the current one, unless --out says otherwise.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="mini",
        help="mini ships with limner; the others are the real checkpoints (limner models pull)",
    )
    parser.add_argument("--out", type=Path, default=Path("lessons") / name, help="for pictures")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    return Lesson(Session(profile=given.profile, say=print), given.profile, given.out)


def scene(name: str) -> Scene:
    """``lawn`` or ``planks``."""
    coco = json.loads((EXAMPLES / "scenes" / f"{name}.json").read_text(encoding="utf-8"))
    nouns = {category["id"]: category["name"] for category in coco["categories"]}
    things: dict[str, tuple[Mask, ...]] = {}
    for row in sorted(coco["annotations"], key=lambda row: row["bbox"][0]):
        noun = nouns[row["category_id"]]
        things[noun] = (*things.get(noun, ()), from_rle(row["segmentation"]))
    return Scene(EXAMPLES / "scenes" / f"{name}.png", things)


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Of two XYXY boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return width * height / (sum(areas) - width * height)


def sheet(
    rows: Sequence[Sequence[Image.Image]],
    columns: Sequence[str],
    names: Sequence[str] = (),
    *,
    side: int = 200,
) -> Image.Image:
    """A table of pictures of ``side`` px: ``columns`` above, the rows' ``names`` beside it."""
    font = ImageFont.load_default(14)
    left = 8 + max((round(font.getlength(name)) + 10 for name in names), default=0)
    top, gap = 30, 6
    size = (left + len(columns) * (side + gap), top + len(rows) * (side + gap))
    table = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(table)
    for column, title in enumerate(columns):
        middle = left + column * (side + gap) + side / 2
        draw.text((middle, top / 2), title, "black", font, anchor="mm")
    for row, pictures in enumerate(rows):
        y = top + row * (side + gap)
        if row < len(names):
            draw.text((8, y + side / 2), names[row], "black", font, anchor="lm")
        for column, picture in enumerate(pictures):
            scaled = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
            table.paste(scaled, (left + column * (side + gap), y))
    return table
