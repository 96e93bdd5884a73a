"""Outlines as the label files of YOLO and Pascal VOC: one file a picture.

An outline is one polygon along the pixels' edges, which gives exactly its mask back; see
``ops.masks.one_polygon``. Nothing here writes a file.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import yaml

from limner.ops import masks
from limner.ops.masks import MaskCrop

Named = tuple[str, MaskCrop]
"""A class and a mask, which isn't empty."""


def yolo_labels(objects: Sequence[Named], numbers: Mapping[str, int]) -> str:
    """A line an object: its class's number and its polygon in parts of 1, which Ultralytics reads
    for segmentation.

    Args:
        numbers: from 0, by class.
    """
    return "".join(f"{numbers[name]} {_in_parts(crop)}\n" for name, crop in objects)


def _in_parts(crop: MaskCrop) -> str:
    corners = _polygon(crop) / crop.size_wh
    return " ".join(f"{value:.6f}" for value in corners.ravel())


def _polygon(crop: MaskCrop) -> npt.NDArray[np.int32]:
    """(K, 2) XY in the whole picture."""
    return masks.one_polygon(crop.window) + np.array([crop.left, crop.top], np.int32)


def yolo_data(names: Sequence[str], images: str) -> str:
    """A ``data.yaml``: what the numbers mean, and where the pictures are.

    Args:
        names: in the order of their numbers.
        images: the folder of the pictures, from the file's own.
    """
    content = {"train": images, "val": images, "names": dict(enumerate(names))}
    return str(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))


def voc_xml(name: str, size_wh: tuple[int, int], objects: Sequence[Named]) -> str:
    """A picture's annotation: of each object the box, which counts pixels from 1 and includes its
    last one, and the polygon.

    Args:
        name: the picture's, within the folder of pictures.
    """
    path = PurePosixPath(name)
    root = ElementTree.Element("annotation")
    _add(root, folder=path.parent.name or "JPEGImages", filename=path.name)
    size = ElementTree.SubElement(root, "size")
    _add(size, width=size_wh[0], height=size_wh[1], depth=3)
    _add(root, segmented=1)
    for class_name, crop in objects:
        thing = ElementTree.SubElement(root, "object")
        _add(thing, name=class_name, pose="Unspecified", truncated=0, difficult=0)
        x0, y0, x1, y1 = crop.box_xyxy or (0, 0, 1, 1)
        box = ElementTree.SubElement(thing, "bndbox")
        _add(box, xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
        polygon = ElementTree.SubElement(thing, "polygon")
        for number, (x, y) in enumerate((_polygon(crop) + 1).tolist(), start=1):
            _add(polygon, **{f"x{number}": x, f"y{number}": y})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, **values: object) -> None:
    for name, value in values.items():
        ElementTree.SubElement(parent, name).text = str(value)
