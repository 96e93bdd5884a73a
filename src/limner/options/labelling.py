"""Settings of a labelled dataset."""

from __future__ import annotations

from dataclasses import dataclass

from limner.options.base import Checked, setting

FORMATS = ("coco", "yolo-seg", "voc", "supervision")


@dataclass(frozen=True)
class LabelOptions(Checked):
    """What a dataset is written as."""

    format: str = setting(
        "coco",
        "How the dataset is written: COCO JSON, YOLO's segments, Pascal VOC's XML, or as "
        "supervision writes COCO.",
        choices=FORMATS,
    )
    recursive: bool = setting(False, "Of a folder its subfolders too.")
    overwrite: bool = setting(False, "Begin anew where a dataset lies already.")
    least_sure: int = setting(
        24, "Objects on the sheet of the least sure; 0: no sheet.", low=0, high=200
    )
