"""The same labels in every format, by the formats' own definitions and none of limner's code but
``masks.polygons``; so that what is read can be compared with what was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from limner.ops import masks
from limner.rle import BoolMask

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    name: str
    xyxy: Box
    mask: BoolMask | None = None

    @property
    def polygons(self) -> list[list[float]]:
        """Along the pixels' edges; a box's four corners where there is no mask."""
        if self.mask is None:
            x0, y0, x1, y1 = self.xyxy
            return [[x0, y0, x1, y0, x1, y1, x0, y1]]
        return [[float(v) for v in outline.ravel()] for outline in masks.polygons(self.mask)]


@dataclass(frozen=True)
class Picture:
    name: str
    size_wh: tuple[int, int]
    things: tuple[Thing, ...]
    id: int = 0


def write_photos(folder: Path, pictures: Sequence[Picture]) -> None:
    for picture in pictures:
        (folder / picture.name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", picture.size_wh, "white").save(folder / picture.name)


def rle_of(mask: BoolMask) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode()}


def coco(
    shape: Callable[[Thing], Any],
) -> Callable[[Path, Sequence[Picture], Sequence[str]], Path]:
    def write(folder: Path, pictures: Sequence[Picture], names: Sequence[str]) -> Path:
        write_photos(folder, pictures)
        ids = {name: 10 * k + 7 for k, name in enumerate(names)}
        images: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for k, picture in enumerate(pictures):
            w, h = picture.size_wh
            key = picture.id or 50 - k
            images.append({"id": key, "file_name": picture.name, "width": w, "height": h})
            for thing in picture.things:
                x0, y0, x1, y1 = thing.xyxy
                rows.append(
                    {
                        "id": len(rows) + 100,
                        "image_id": key,
                        "category_id": ids[thing.name],
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": 0,
                        "segmentation": shape(thing),
                    }
                )
        categories = [{"id": key, "name": name} for name, key in ids.items()]
        content = {"images": images, "categories": categories, "annotations": rows}
        (folder / "annotations.json").write_text(json.dumps(content))
        return folder

    return write


def runs_of(thing: Thing) -> Any:
    """Uncompressed run lengths."""
    if thing.mask is None:
        return []
    flat = thing.mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(thing.mask.shape), "counts": [0, *counts] if flat[0] else counts}


def yolo(*, polygons: bool) -> Callable[[Path, Sequence[Picture], Sequence[str]], Path]:
    def write(folder: Path, pictures: Sequence[Picture], names: Sequence[str]) -> Path:
        write_photos(folder / "images", pictures)
        (folder / "data.yaml").write_text(json.dumps({"names": list(names)}))
        for picture in pictures:
            w, h = picture.size_wh
            lines = []
            for thing in picture.things:
                x0, y0, x1, y1 = thing.xyxy
                numbers = [(x0 + x1) / 2 / w, (y0 + y1) / 2 / h, (x1 - x0) / w, (y1 - y0) / h]
                if polygons:
                    (corners,) = thing.polygons  # one is all that a line holds
                    numbers = [v / (h if k % 2 else w) for k, v in enumerate(corners)]
                lines.append(
                    " ".join([str(names.index(thing.name)), *(f"{v:.6f}" for v in numbers)])
                )
            file = folder / "labels" / Path(picture.name).with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(lines) + "\n")
        return folder

    return write


def voc(*, polygons: bool) -> Callable[[Path, Sequence[Picture], Sequence[str]], Path]:
    def write(folder: Path, pictures: Sequence[Picture], names: Sequence[str]) -> Path:
        write_photos(folder / "JPEGImages", pictures)
        for picture in pictures:
            w, h = picture.size_wh
            objects = ""
            for thing in picture.things:
                x0, y0, x1, y1 = thing.xyxy
                objects += f"<object><name>{thing.name}</name><bndbox><xmin>{x0 + 1}</xmin>"
                objects += f"<ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
                for corners in thing.polygons if polygons else ():
                    named = [f"{'xy'[k % 2]}{k // 2 + 1}" for k in range(len(corners))]
                    inner = "".join(
                        f"<{n}>{v + 1}</{n}>" for n, v in zip(named, corners, strict=True)
                    )
                    objects += f"<polygon>{inner}</polygon>"
                objects += "</object>\n"
            size = f"<size><width>{w}</width><height>{h}</height><depth>3</depth></size>"
            file = folder / "Annotations" / Path(picture.name).with_suffix(".xml")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"<annotation>\n{size}\n{objects}</annotation>")
        return folder

    return write


BOXES = {
    "coco boxes": coco(lambda thing: []),
    "yolo boxes": yolo(polygons=False),
    "voc boxes": voc(polygons=False),
}
MASKS = {
    "coco polygons": coco(lambda thing: thing.polygons),
    "coco run lengths": coco(
        lambda thing: thing.polygons if thing.mask is None else rle_of(thing.mask)
    ),
    "coco counts": coco(lambda thing: thing.polygons if thing.mask is None else runs_of(thing)),
    "yolo polygons": yolo(polygons=True),
    "voc polygons": voc(polygons=True),
}
WRITERS = BOXES | MASKS
