"""Pascal VOC's XML: one file a picture.

A ``bndbox`` counts pixels from 1 and includes its last one; a ``polygon``'s corners count from 1
and lie along the pixels' edges, as COCO's do, and are filled by pycocotools. ``difficult`` objects
count like all others; parts of objects aren't read.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from limner.errors import InputError
from limner.evaluation.datasets.bounds import XYXY
from limner.evaluation.datasets.coco_json import dataset_of
from limner.evaluation.datasets.drawn import Label, LabelledPhoto, coco_of
from limner.evaluation.datasets.files import pairs
from limner.evaluation.datasets.values import Dataset
from limner.evaluation.metrics.average_precision import IouType
from limner.io.images import upright_size
from limner.untrusted.regular_files import MB, read_bytes

MOST_BYTES = 16 * MB
LINE = "limner-line"
"""The attribute in which an element's line is kept."""

Element = ElementTree.Element


def read_voc(folder: Path, images: Path | None, kind: IouType) -> Dataset:
    """A folder with XML files in ``Annotations`` and pictures in ``JPEGImages``, or both in it.

    Subfolders are read too. Category ids number the classes by name, from 1.

    Raises:
        InputError: no such folder, or a label that can't be meant; which file and line.
    """
    labels = _first(folder, ("Annotations", "annotations", "."))
    photos_in = images or _first(folder, ("JPEGImages", "images", "."))
    read: list[tuple[Path, str, tuple[int, int], list[tuple[str, Label]]]] = []
    for pair in pairs(photos_in, labels, ".xml"):
        size_wh = upright_size(pair.picture)
        things = []
        if pair.labels is not None:
            root = _parsed(pair.labels)
            _check_size(root, pair.picture, size_wh)
            things = [_label(element, pair.labels) for element in root.iterfind("object")]
        read.append((pair.picture, pair.name, size_wh, things))
    names = sorted({name for *_, things in read for name, _ in things})
    ids = {name: number for number, name in enumerate(names, start=1)}
    photos = [
        LabelledPhoto(
            path,
            photo_name,
            size_wh,
            tuple(Label(ids[name], d.where, d.box, d.polygons) for name, d in things),
        )
        for path, photo_name, size_wh, things in read
    ]
    categories = {number: name for name, number in ids.items()}
    content, notes = coco_of(photos, categories, kind, labels)
    paths = {photo.name: photo.path for photo in photos}
    return dataset_of(content, labels, paths.__getitem__, kind, notes)


def _first(folder: Path, names: Iterable[str]) -> Path:
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def _parsed(file: Path) -> Element:
    """The root element; tags without their namespace, elements with their line."""
    from defusedxml.ElementTree import DefusedXMLParser

    content = read_bytes(file, limit=MOST_BYTES, what="label file")
    builder = _Lines()
    try:
        parser = DefusedXMLParser(target=builder)
        builder.expat = parser.parser
        parser.feed(content)
        root: Element = parser.close()
    except Exception as error:  # expat's, defusedxml's and the decoders' errors have no one base
        raise InputError(f"{file} is no XML that can be read: {error}.") from error
    return root


class _Lines(ElementTree.TreeBuilder):
    """Builds elements that know where they begin."""

    expat: Any = None

    def start(self, tag: str, attrs: dict[Any, Any], /) -> Element:
        element = super().start(re.sub(r"^\{.*?\}", "", tag), attrs)
        element.set(LINE, str(self.expat.CurrentLineNumber))
        return element


def _check_size(root: Element, picture: Path, size_wh: tuple[int, int]) -> None:
    """That a file was made for a picture of this size; many programs leave 0."""
    sides = [root.findtext(f"size/{name}", "").strip() for name in ("width", "height")]
    if all(side.isdecimal() and int(side[:9]) for side in sides) and sides != [*map(str, size_wh)]:
        raise InputError(
            f"{picture} is {size_wh[0]}x{size_wh[1]} pixels and its labels are for "
            f"{sides[0]}x{sides[1]}: they belong to another picture."
        )


def _label(element: Element, file: Path) -> tuple[str, Label]:
    """An object's class and what was drawn of it."""
    where = f"{file}:{element.get(LINE)}"
    name = (element.findtext("name") or "").strip()
    if not name:
        raise InputError(f"{where}: An object has no name, which says its class.")
    polygons = tuple(_polygon(each, where) for each in element.iterfind("polygon"))
    box = element.find("bndbox")
    if box is None and not polygons:
        raise InputError(f"{where}: The {name} has no bndbox, which says where it is.")
    return name, Label(0, where, None if box is None else _box(box, where), polygons)


def _box(box: Element, where: str) -> XYXY:
    xs = sorted(_number(box, name, where) for name in ("xmin", "xmax"))
    ys = sorted(_number(box, name, where) for name in ("ymin", "ymax"))
    return xs[0] - 1, ys[0] - 1, xs[1], ys[1]


def _polygon(polygon: Element, where: str) -> tuple[float, ...]:
    """``x1``, ``y1``, ``x2``, ``y2``, …"""
    count = sum(child.tag.startswith("x") for child in polygon)
    if count < 3:
        raise InputError(f"{where}: A polygon has three corners or more, got {count}.")
    names = (f"{axis}{k}" for k in range(1, count + 1) for axis in "xy")
    return tuple(_number(polygon, name, where) - 1 for name in names)


def _number(parent: Element, name: str, where: str) -> float:
    text = (parent.findtext(name) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: Expected a number of pixels as {name}, got {text!r:.40}.")
    return value
