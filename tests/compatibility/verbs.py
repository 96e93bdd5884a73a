"""Each verb on one picture with one seed, and how what comes out now is held against what came out
of an older version: exactly where only whole numbers are computed, within what processors differ
by where tiny models answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools import mask as coco_mask

LEVELS = 2
"""Of 255: what a painted value may differ by between processors."""
PIXELS = 0.999
"""The least part of the pixels of which that must hold."""
MASK_IOU = 0.995
BOX_PIXELS = 0.5
SCORE = 0.01

DIFFERENCE = ".difference.png"
"""Modulo 256: nearly all of it is black, so the file is small."""

OUT = Path("out.png")
"""What every case writes, with ``out.json`` beside it where the verb finds things."""


@dataclass(frozen=True)
class Case:
    name: str
    words: str
    """Of the command line, in a folder with the samples' pictures."""
    exact: bool = True
    """Whether the same comes out on every processor: nothing but whole numbers and OpenCV."""

    @property
    def picture(self) -> Path:
        return Path(self.words.split()[1])


CUP = "--box 35,5,85,60"
SMALL = "--box 18,3,42,30"
STEPS = "--num-inference-steps 2 --seed 1 --device cpu --dtype float32"
MINI = "--profile mini --device cpu --dtype float32"

CASES = (
    Case("detect", "detect face.png --text face"),
    Case("detect-turned", "detect face.png --text face --look turned"),
    Case("segment", f"segment cup.png {CUP}"),
    Case(
        "segment-objects",
        "segment cup.png --point 60,30 --point 5,5:bg --object --box 90,40,118,78",
    ),
    Case("cutout", f"cutout cup.png {CUP}"),
    Case("remove", "remove cup.png --box 60,40,100,70"),
    Case("remove-telea", "remove cup.png --box 60,40,100,70 --method telea --dilate 2"),
    Case("background-colour", f"background cup.png {CUP} --colour teal"),
    Case("background-blur", f"background small.png {SMALL} --blur 6"),
    Case("background-picture", f"background small.png {SMALL} --picture face.png"),
    Case("redact", "redact face.png --text face"),
    Case("redact-pixelate", "redact face.png --box 18,12,46,46 --style pixelate"),
    Case("redact-blur", "redact face.png --box 18,12,46,46 --style blur"),
    Case("extend", "extend small.png --extend left=8,top=10%"),
    Case("edit", f"edit cup.png {CUP} --paint 'a car' --inpainter ./painter {STEPS}", exact=False),
    Case("mini-detect", f"detect scene.png --text apple {MINI}", exact=False),
    Case("mini-detect-like", f"detect scene.png --like 76,21,112,59 {MINI}", exact=False),
    Case("mini-segment", f"segment scene.png --text apple {MINI}", exact=False),
    Case("mini-segment-point", f"segment scene.png --point 94,40 {MINI}", exact=False),
    Case(
        "mini-everything",
        "segment scene.png --everything --points-per-side 5 --pred-iou-thresh 0.6"
        f" --stability-score-thresh 0.7 --box-nms-thresh 0.7 {MINI}",
        exact=False,
    ),
    Case("mini-what-is-here", f"detect scene.png --what-is-here {MINI}", exact=False),
    Case("mini-cutout", f"cutout scene.png --text apple {MINI}", exact=False),
    Case("mini-remove", f"remove scene.png --text apple {MINI}", exact=False),
    Case(
        "mini-edit",
        f"edit scene.png --find apple --paint 'a car' --profile mini {STEPS}",
        exact=False,
    ),
    Case(
        "mini-background",
        f"background scene.png --box 76,21,112,59 --paint 'a beach' --profile mini {STEPS}",
        exact=False,
    ),
    Case("mini-redact", f"redact scene.png --text apple {MINI}", exact=False),
    Case(
        "mini-extend",
        f"extend small.png --extend right=24 --paint 'a car' --profile mini {STEPS}",
        exact=False,
    ),
)

CAPTION = ("caption", "scene.png", *MINI.split())
COMPARE = ("compare", "cup.png", *CUP.split(), "--models", "grabcut,haar", "-o", "compared.png")


def pixels(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W, C) uint8 of a picture."""
    with Image.open(path) as picture:
        values = np.asarray(picture)
    return values[..., None] if values.ndim == 2 else values


def save_pixels(path: Path, values: npt.NDArray[np.uint8], picture: Path) -> None:
    """Keep what a verb made of ``picture``, as its difference to that where it is as large."""
    flat = values[..., 0] if values.shape[2] == 1 else values
    Image.fromarray(flat).save(path, optimize=True)
    before = pixels(picture)
    if values.shape == before.shape:
        change = path.with_suffix(DIFFERENCE)
        Image.fromarray(values - before).save(change, optimize=True)
        less = change.stat().st_size < path.stat().st_size
        (path if less else change).unlink()


def saved_pixels(path: Path, picture: Path) -> npt.NDArray[np.uint8] | None:
    """What ``save_pixels`` was given; None where nothing was kept."""
    if path.is_file():
        return pixels(path)
    change = path.with_suffix(DIFFERENCE)
    return pixels(change) + pixels(picture) if change.is_file() else None


def objects(path: Path) -> list[dict[str, Any]]:
    """What a COCO file says of each object, in its order; empty where there is no file."""
    if not path.is_file():
        return []
    content = json.loads(path.read_text(encoding="utf-8"))
    names = {each["id"]: each["name"] for each in content["categories"]}
    return [
        {
            "name": names[each["category_id"]],
            "box": each["bbox"],
            "score": each.get("score"),
            "mask": each.get("segmentation"),
        }
        for each in content["annotations"]
    ]


def unlike(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8], *, exact: bool) -> str:
    """How two pictures differ by more than they may; empty where they don't."""
    if before.shape != now.shape:
        return f"{now.shape} in place of {before.shape}"
    far = np.abs(before.astype(int) - now.astype(int)).max(-1)
    most = 0 if exact else LEVELS
    part = float((far <= most).mean())
    if part >= (1 if exact else PIXELS):
        return ""
    return f"{1 - part:.2%} of the pixels differ by more than {most} levels, by up to {far.max()}"


def unlike_objects(before: list[dict[str, Any]], now: list[dict[str, Any]], *, exact: bool) -> str:
    """How two lists of objects differ by more than they may; empty where they don't."""
    if exact:
        return "" if before == now else f"{now} in place of {before}"
    names = [[each["name"] for each in one] for one in (before, now)]
    if names[0] != names[1]:
        return f"{names[1]} in place of {names[0]}"
    for old, new in zip(before, now, strict=True):
        if np.abs(np.subtract(old["box"], new["box"])).max() > BOX_PIXELS and not old["mask"]:
            return f"{new['name']} at {new['box']} in place of {old['box']}"
        if abs((old["score"] or 0) - (new["score"] or 0)) > SCORE:
            return f"{new['name']} with {new['score']} in place of {old['score']}"
        if _iou(old["mask"], new["mask"]) < MASK_IOU:
            return f"the mask of {new['name']} differs"
    return ""


def _iou(first: Any, second: Any) -> float:
    if not first and not second:
        return 1.0
    one, other = (
        coco_mask.decode({**each, "counts": each["counts"].encode()}).astype(bool)
        for each in (first, second)
    )
    return float((one & other).sum() / max(1, (one | other).sum()))
