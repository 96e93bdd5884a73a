"""A labelled dataset as files: the pictures as they are, and their labels in one of the formats.

============== ===================== ============================================================
format         pictures              labels
============== ===================== ============================================================
coco           ``images/``           ``annotations.json``: run lengths, scores, the prompts' ids
yolo-seg       ``images/``           ``labels/*.txt``, ``data.yaml``
voc            ``JPEGImages/``       ``Annotations/*.xml``
supervision    ``images/``           ``annotations.json``, by ``sv.DetectionDataset.as_coco``
============== ===================== ============================================================
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from limner.errors import OutputError
from limner.home import temporary_name
from limner.io.coco import categories_of
from limner.io.label_files import Named, voc_xml, yolo_data, yolo_labels
from limner.io.save import write_atomic
from limner.session.labelling.answers import LabelledObject
from limner.session.labelling.pictures import Picture

if TYPE_CHECKING:
    import supervision as sv

COCO, YOLO_DATA = "annotations.json", "data.yaml"
IMAGES, JPEG_IMAGES, LABELS, ANNOTATIONS = "images", "JPEGImages", "labels", "Annotations"


@dataclass(frozen=True)
class LabelledPicture:
    """A picture with its objects, none of which is empty."""

    picture: Picture
    objects: tuple[LabelledObject, ...]

    @property
    def named_crops(self) -> list[Named]:
        return [(thing.name, thing.crop) for thing in self.objects]


@dataclass(frozen=True)
class Content:
    """All that a dataset holds."""

    pictures: Sequence[LabelledPicture]
    classes: Mapping[str, int]
    record: Mapping[str, Any]
    """How it was made."""


def write(folder: Path, form: str, content: Content) -> Path:
    """The dataset; what says what all the rest means is written last.

    Args:
        form: the format.

    Returns:
        The file that one names to other programs, or the folder of VOC's annotations.

    Raises:
        OutputError: something can't be written.
    """
    pictures = folder / pictures_folder(form)
    for each in content.pictures:
        _copy(each.picture.path, pictures / each.picture.name)
    return WRITERS[form](folder, content)


def remove(folder: Path, form: str, names: Iterable[str], *, whole: bool) -> None:
    """Take pictures and their labels out of a dataset.

    Args:
        whole: all of them are named: what lists them goes too.
    """
    listing = {"yolo-seg": YOLO_DATA, "voc": None}.get(form, COCO)
    paths = [folder / listing] if whole and listing else []
    for name in names:
        paths += [folder / pictures_folder(form) / name, *_label_files(folder, form, name)]
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path} can't be removed: {error.strerror or error}.") from error


def pictures_folder(form: str) -> str:
    """Where a format's pictures lie."""
    return JPEG_IMAGES if form == "voc" else IMAGES


def _label_files(folder: Path, form: str, name: str) -> list[Path]:
    """A picture's own label file, if the format has one."""
    kinds = {"yolo-seg": (LABELS, ".txt"), "voc": (ANNOTATIONS, ".xml")}
    return [
        folder / below / PurePosixPath(name).with_suffix(suffix)
        for kind, (below, suffix) in kinds.items()
        if kind == form
    ]


def _copy(source: Path, target: Path) -> None:
    """The same bytes and time, in one step."""
    temporary = target.parent / temporary_name()
    try:
        if target.exists() and filecmp.cmp(source, target):  # by size and time, as copied
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(source, temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target} can't be written: {error.strerror or error}.") from error


def _write_coco(folder: Path, content: Content) -> Path:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for each in content.pictures:
        (width, height), key = each.picture.size_wh, each.picture.id
        images.append({"id": key, "file_name": each.picture.name, "width": width, "height": height})
        for thing in each.objects:
            numbers = {
                "id": len(annotations) + 1,
                "image_id": key,
                "category_id": content.classes[thing.name],
            }
            annotations.append({**thing.row, **numbers})
    data = {
        "info": {"description": "Made with limner", "limner": content.record},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories_of(content.classes),
    }
    return write_atomic(folder / COCO, json.dumps(data), overwrite=True)


def _write_yolo(folder: Path, content: Content) -> Path:
    numbers = class_indices(content.classes)
    for each in content.pictures:
        (path,) = _label_files(folder, "yolo-seg", each.picture.name)
        write_atomic(path, yolo_labels(each.named_crops, numbers), overwrite=True)
    return write_atomic(folder / YOLO_DATA, yolo_data(list(numbers), IMAGES), overwrite=True)


def _write_voc(folder: Path, content: Content) -> Path:
    for each in content.pictures:
        (path,) = _label_files(folder, "voc", each.picture.name)
        text = voc_xml(each.picture.name, each.picture.size_wh, each.named_crops)
        write_atomic(path, text, overwrite=True)
    return folder / ANNOTATIONS


def _write_supervision(folder: Path, content: Content) -> Path:
    """By supervision itself, with the sizes of the upright pictures."""
    temporary = folder / temporary_name()
    try:
        supervision_dataset(folder, "supervision", content).as_coco(annotations_path=str(temporary))
        data = json.loads(temporary.read_bytes())
    finally:
        temporary.unlink(missing_ok=True)
    for row, each in zip(data["images"], content.pictures, strict=True):
        row["file_name"] = each.picture.name
        row["width"], row["height"] = each.picture.size_wh
    data["info"] = {**data.get("info", {}), "limner": content.record}
    return write_atomic(folder / COCO, json.dumps(data), overwrite=True)


def class_indices(classes: Mapping[str, int]) -> dict[str, int]:
    """Classes numbered from 0 without gaps, in the order of their numbers."""
    return {name: k for k, name in enumerate(sorted(classes, key=classes.__getitem__))}


def supervision_dataset(folder: Path, form: str, content: Content) -> sv.DetectionDataset:
    """The dataset as supervision holds it; masks as windows, for they are many."""
    import numpy as np
    import supervision as sv

    from limner.ops import detections as dets

    numbers = class_indices(content.classes)
    annotations: dict[str, sv.Detections] = {}
    for each in content.pictures:
        path = str(folder / pictures_folder(form) / each.picture.name)
        if not each.objects:
            annotations[path] = sv.Detections.empty()
            continue
        crops = [thing.crop for thing in each.objects]
        annotations[path] = sv.Detections(
            xyxy=np.array([crop.box_xyxy for crop in crops], dtype=np.float32),
            mask=sv.CompactMask.merge([dets.compact(crop) for crop in crops]),
            confidence=dets.clip_scores([thing.row.get("score", 1.0) for thing in each.objects]),
            class_id=np.array([numbers[thing.name] for thing in each.objects], dtype=np.int64),
        )
    return sv.DetectionDataset(list(numbers), list(annotations), annotations)


WRITERS: Mapping[str, Callable[[Path, Content], Path]] = {
    "coco": _write_coco,
    "yolo-seg": _write_yolo,
    "voc": _write_voc,
    "supervision": _write_supervision,
}
