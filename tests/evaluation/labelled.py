"""Two labelled pictures, written in each of the three formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from limner.ops import masks
from limner.rle import BoolMask

SIZE_WH = (60, 40)
BOXES = {"a": [("cat", (10, 5, 30, 25)), ("dog", (40, 10, 50, 30))], "b": [("cat", (0, 0, 20, 40))]}
"""By picture: class and XYXY; every thing is a rectangle, and so is its mask."""
NAMES = ("cat", "dog")


def photos(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, things in BOXES.items():
        picture = Image.new("RGB", SIZE_WH, "white")
        for name, box in things:
            x0, y0, x1, y1 = box
            picture.paste("red" if name == "cat" else "blue", (x0, y0, x1, y1))
        picture.save(folder / f"{stem}.png")


def opened(path: Path | str) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def rectangle(box: tuple[int, int, int, int], size_wh: tuple[int, int] = SIZE_WH) -> BoolMask:
    mask = np.zeros(size_wh[::-1], dtype=bool)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    return mask


def coco(folder: Path) -> Path:
    photos(folder)
    (folder / "annotations.json").write_text(json.dumps(coco_content()))
    return folder


def coco_content() -> dict[str, Any]:
    """Ids as they are in the wild: images 7 and 9, categories 18 and 17."""
    images, rows = [], []
    ids = {"cat": 17, "dog": 18}
    for image_id, (stem, things) in zip((7, 9), BOXES.items(), strict=True):
        width, height = SIZE_WH
        images.append(
            {"id": image_id, "file_name": f"{stem}.png", "width": width, "height": height}
        )
        for name, (x0, y0, x1, y1) in things:
            row = {"id": len(rows), "image_id": image_id, "category_id": ids[name], "iscrowd": 0}
            row |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            rows.append(row | {"segmentation": masks.to_rle(rectangle((x0, y0, x1, y1)))})
    categories = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
    return {"images": images, "categories": categories, "annotations": rows}


def yolo(folder: Path, *, polygons: bool = False) -> Path:
    photos(folder / "images")
    (folder / "labels").mkdir()
    (folder / "data.yaml").write_text("names: [cat, dog]\n")
    width, height = SIZE_WH
    for stem, things in BOXES.items():
        lines = []
        for name, (x0, y0, x1, y1) in things:
            corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
            numbers = [((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0)]
            said = [(x / width, y / height) for x, y in (corners if polygons else numbers)]
            lines.append(" ".join([str(NAMES.index(name)), *(f"{v:.8f}" for p in said for v in p)]))
        (folder / "labels" / f"{stem}.txt").write_text("\n".join(lines))
    return folder


def voc(folder: Path) -> Path:
    photos(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for stem, things in BOXES.items():
        (folder / "Annotations" / f"{stem}.xml").write_text(voc_xml(things))
    return folder


def voc_xml(things: list[tuple[str, tuple[int, int, int, int]]], width: int = SIZE_WH[0]) -> str:
    """Boxes count from 1 and include their last pixel."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in things
    )
    size = f"<size><width>{width}</width><height>{SIZE_WH[1]}</height><depth>3</depth></size>"
    return f"<annotation>{size}{objects}</annotation>"
