"""YOLO's text files and Pascal VOC's XML, through supervision's own readers.

They know what is easy to get wrong: VOC's boxes count from 1 and include their last pixel, YOLO's
polygons, boxes with a trailing score and key points; they refuse a class that has no name. Checked
here on top of them: that there are labels at all, that none lacks its picture, and that VOC's own
``size`` is the picture's. VOC's ``difficult`` objects count like all others.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from pathlib import Path

import supervision as sv

from limner import images as pictures
from limner.errors import InputError
from limner.evaluation.coco import IouType
from limner.evaluation.datasets.coco_json import coco_of, dataset_of
from limner.evaluation.datasets.values import Dataset

SPLITS = ("val", "valid", "test", "train")
"""Looked for in this order: what was held out is what one scores on."""


def read_yolo(folder: Path, images: Path | None, kind: IouType) -> Dataset:
    """A folder with ``data.yaml``, pictures in ``images`` and labels in ``labels``.

    Both may have the splits ``val``, ``valid``, ``test`` or ``train`` below or above them, of
    which the first that exists is read.

    Raises:
        InputError: no such folder, or a label that can't be meant; which file.
    """
    names = next((p for n in ("data.yaml", "data.yml") if (p := folder / n).is_file()), None)
    if names is None:
        raise InputError(f"{folder} has no data.yaml, which says what YOLO's numbers mean.")
    photos, labels = _yolo_folders(folder)
    photos = images or photos

    def read() -> sv.DetectionDataset:
        return sv.DetectionDataset.from_yolo(
            str(photos), str(labels), str(names), force_masks=kind == "segm"
        )

    return _dataset(folder, photos, labels, ".txt", read, kind)


def read_voc(folder: Path, images: Path | None, kind: IouType) -> Dataset:
    """A folder with XML files in ``Annotations`` and pictures in ``JPEGImages``, or both in it.

    Raises:
        InputError: no such folder, or a label that can't be meant; which file.
    """
    labels = _first(folder, ("Annotations", "annotations", "."))
    photos = images or _first(folder, ("JPEGImages", "images", "."))
    for file in sorted(labels.glob("*.xml")):
        _check_voc(file, photos)

    def read() -> sv.DetectionDataset:
        return sv.DetectionDataset.from_pascal_voc(
            str(photos), str(labels), force_masks=kind == "segm"
        )

    return _dataset(folder, photos, labels, ".xml", read, kind)


def _dataset(
    folder: Path,
    photos: Path,
    labels: Path,
    suffix: str,
    read: Callable[[], sv.DetectionDataset],
    kind: IouType,
) -> Dataset:
    there = {path.stem for path in pictures.find_images(photos)}
    files = [f for f in sorted(labels.glob(f"*{suffix}")) if f.stem not in ("classes", "README")]
    if not files:
        raise InputError(f"There are no labels ({suffix} files) in {labels}.")
    alone = [file.name for file in files if file.stem not in there]
    if alone:
        raise InputError(f"{labels / alone[0]} labels a picture that isn't in {photos}.")
    try:
        found = read()
    except (ValueError, OSError, KeyError, ElementTree.ParseError) as error:
        raise InputError(f"The labels in {labels} can't be read: {error}") from error
    rows = [
        (Path(path).name, pictures.open_image(path).image.size, found.annotations[path])
        for path in sorted(found.image_paths)
    ]
    return dataset_of(coco_of(found.classes, rows), folder / labels.name, photos, kind)


def _check_voc(file: Path, photos: Path) -> None:
    """That a file is XML, and made for a picture of this size."""
    from defusedxml.ElementTree import parse

    try:
        size = parse(file).getroot().find("size")
        said = None if size is None else (size.findtext("width"), size.findtext("height"))
    except Exception as error:  # expat's, defusedxml's and the decoders' errors have no one base
        raise InputError(f"{file} is no XML that can be read: {error}.") from error
    photo = next((p for p in photos.glob(f"{file.stem}.*") if p.suffix != ".xml"), None)
    if said is None or photo is None or not all(said):
        return
    width, height = pictures.open_image(photo).image.size
    if said != (str(width), str(height)):
        raise InputError(
            f"{photo} is {width}x{height} pixels and its labels are for {said[0]}x{said[1]}: "
            "they belong to another picture."
        )


def _yolo_folders(folder: Path) -> tuple[Path, Path]:
    tried = [("images", "labels")]
    tried += [(f"images/{split}", f"labels/{split}") for split in SPLITS]
    tried += [(f"{split}/images", f"{split}/labels") for split in SPLITS]
    for photos, labels in tried:
        if any((folder / labels).glob("*.txt")):
            return folder / photos, folder / labels
    return folder, folder


def _first(folder: Path, names: Iterable[str]) -> Path:
    return next((folder / name for name in names if (folder / name).is_dir()), folder)
