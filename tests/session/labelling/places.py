"""A folder of small pictures, and files of prompts for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.session.doubles import HEIGHT, WIDTH, picture

NAMES = ("a.png", "b.png", "c.png")
COLUMNS = "file,label,x0,y0,x1,y1,x,y"
ROWS = ("a.png,mug,10,8,34,30,,", "b.png,plate,2,2,20,20,,", "b.png,mug,30,10,50,40,,")


def photos(folder: Path, names: Sequence[str] = NAMES) -> Path:
    """A folder of pictures, each of its own grain."""
    for seed, name in enumerate(names):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(path)
    return folder / "photos"


def csv(folder: Path, *rows: str, columns: str = COLUMNS) -> Path:
    """A file of boxes."""
    path = folder / "boxes.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def coco(folder: Path, boxes: Sequence[tuple[str, int, Sequence[float]]]) -> Path:
    """COCO's JSON of (picture, category, x y w h), with category ids that have gaps."""
    names = sorted({name for name, *_ in boxes})
    ids = {name: 10 * k for k, name in enumerate(names, start=1)}
    content: dict[str, Any] = {
        "images": [
            {"id": ids[name], "file_name": name, "width": WIDTH, "height": HEIGHT} for name in names
        ],
        "categories": [{"id": 17, "name": "plate"}, {"id": 3, "name": "mug"}],
        "annotations": [
            {"id": k, "image_id": ids[name], "category_id": category, "bbox": list(box)}
            | {"area": box[2] * box[3], "iscrowd": 0}
            for k, (name, category, box) in enumerate(boxes, start=1)
        ],
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path
