"""Labelled pictures from disk: COCO JSON, YOLO text files, Pascal VOC XML.

All three become one thing, a ``Dataset``, which holds the labels as COCO's content too: so every
format is checked by the same rules and scored by the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from limner.errors import InputError
from limner.evaluation.datasets.coco_json import read_coco
from limner.evaluation.datasets.values import Dataset, LabelledImage, TrueObject
from limner.evaluation.datasets.voc import read_voc
from limner.evaluation.datasets.yolo import read_yolo
from limner.evaluation.metrics.average_precision import IouType

__all__ = ["FORMATS", "Dataset", "LabelledImage", "TrueObject", "format_of", "read"]

FORMATS: dict[str, Callable[[Path, Path | None, IouType], Dataset]] = {
    "coco": read_coco,
    "yolo": read_yolo,
    "voc": read_voc,
}


def read(
    source: Path, kind: IouType, *, images: Path | None = None, name: str | None = None
) -> Dataset:
    """Labelled pictures.

    Args:
        source: a folder, a COCO annotation file, or a YOLO data.yaml.
        kind: ``bbox`` reads boxes, ``segm`` masks, which the labels must then have.
        images: where the pictures lie, if not beside the labels.
        name: the format, one of ``FORMATS``; None: see ``format_of``.

    Raises:
        InputError: nothing there that can be meant.
    """
    if not source.exists():
        raise InputError(f"There is no {source}: expected a folder of labelled pictures.")
    if images is not None and not images.is_dir():
        raise InputError(f"There is no folder {images} of pictures.")
    return FORMATS[name or format_of(source)](source, images, kind)


def format_of(source: Path) -> str:
    """The format of a folder's labels by its files: data.yaml is YOLO's, XML VOC's, JSON COCO's.

    Raises:
        InputError: none of them is there.
    """
    if source.is_file():
        return "yolo" if source.suffix.lower() in (".yaml", ".yml") else "coco"
    if (source / "data.yaml").is_file() or (source / "data.yml").is_file():
        return "yolo"
    if any(source.glob("*.xml")) or any(source.glob("[Aa]nnotations/**/*.xml")):
        return "voc"
    if any(source.glob("*.json")):
        return "coco"
    raise InputError(
        f"{source} holds no labels: expected COCO's JSON, YOLO's data.yaml with labels, or Pascal "
        "VOC's Annotations."
    )
