"""Scenes on disk, what a command wrote about them, and whether it is right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from limner.ops import masks
from minis import scenes
from minis.scene import Scene, Thing
from minis.scores import samples
from minis.scores.naming import Namer
from minis.scores.shipped_models import ShippedModels, is_there


def needs(*minis: str) -> pytest.MarkDecorator:
    """Skip, loudly, where the weights of a mini are not there."""
    missing = [name for name in minis if not is_there(name)]
    return pytest.mark.skipif(bool(missing), reason=f"MINI MISSING: {', '.join(missing)}")


@dataclass(frozen=True, eq=False)
class Shown:
    """A scene and its file."""

    path: Path
    scene: Scene


def show(numbers: Sequence[int], count: tuple[int, int] = (2, 4)) -> list[Shown]:
    """Held-out scenes as PNG files in the working folder. None of them is scored by the check."""
    shown = []
    for k in numbers:
        scene = scenes.scene(k, scenes.test(), count=count)
        path = Path(f"scene-{k}.png")
        Image.fromarray(scene.image).save(path)
        shown.append(Shown(path, scene))
    return shown


def lone(scene: Scene) -> list[Thing]:
    """Things whose noun is in the scene only once."""
    nouns = [thing.noun for thing in scene.things]
    return [thing for thing in scene.things if nouns.count(thing.noun) == 1]


def words_for(box: Sequence[float]) -> str:
    """``x0,y0,x1,y1`` as the command line takes it."""
    return ",".join(f"{side:g}" for side in box)


def written_masks(path: str) -> list[np.ndarray]:
    """The (H, W) masks of a COCO file, in its order."""
    rows = json.loads(Path(path).read_text())["annotations"]
    return [coco_mask.decode(row["segmentation"]).astype(bool) for row in rows]


def written_boxes(path: str) -> list[tuple[float, ...]]:
    """(x0, y0, x1, y1) of a COCO file's rows, in its order."""
    rows = json.loads(Path(path).read_text())["annotations"]
    return [(x, y, x + w, y + h) for x, y, w, h in (row["bbox"] for row in rows)]


def best_iou(mask: np.ndarray, found: Sequence[np.ndarray]) -> float:
    return max((masks.iou(mask, other) for other in found), default=0.0)


def best_box_iou(box: Sequence[float], found: Sequence[Sequence[float]]) -> float:
    return max((_box_iou(box, other) for other in found), default=0.0)


def _box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def near(thing: Thing, reach: int) -> np.ndarray:
    """(H, W): the thing and what lies within ``reach`` px of it."""
    return masks.dilate(thing.mask, reach)


def near_box(thing: Thing, reach: int) -> np.ndarray:
    """(H, W): the thing's box and what lies within ``reach`` px of it."""
    box = np.zeros_like(thing.mask)
    x0, y0, x1, y1 = thing.box
    box[y0:y1, x0:x1] = True
    return masks.dilate(box, reach)


@cache
def namer() -> Namer:
    """mini-clip asked for nouns."""
    return Namer(ShippedModels().encoder)


def probability(image: np.ndarray, thing: Thing, noun: str) -> float:
    """How sure mini-clip is that the place of ``thing`` shows ``noun``."""
    piece = samples.around(image, thing.box)
    return float(namer().probabilities([piece])[0, namer().nouns.index(noun)])
