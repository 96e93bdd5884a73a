"""Detections in the formats that other programs read, and as a picture that a person looks at.

Detections are ``sv.Detections`` with the keys of :mod:`limner.ops.detections`; masks may be dense
or compact, and may be missing where a format needs none. No rows are welcome everywhere. Nothing
here writes a file: :mod:`limner.io.save` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.errors import ImageError, OutputError
from limner.ops import masks
from limner.ops.detections import UNNAMED, category_ids, class_names, crop_of, mask_of
from limner.prompts import RgbArray, VisualPrompt

if TYPE_CHECKING:
    import supervision as sv


def asked_names(prompts: Iterable[VisualPrompt]) -> list[str]:
    """The classes that were asked for, in order."""
    return list(dict.fromkeys(prompt.class_name for prompt in prompts))


def categories_of(numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """COCO's table of ``category_ids``."""
    names: dict[int, str] = {}
    for name, number in numbers.items():
        names.setdefault(number, name)
    return [{"id": number, "name": name, "supercategory": ""} for number, name in names.items()]


def coco(
    items: Sequence[tuple[str, tuple[int, int], sv.Detections]],
    classes: Sequence[str] = (),
    first_id: int = 1,
) -> dict[str, Any]:
    """COCO's instances JSON, for ``json.dump``; pycocotools reads it.

    Rows without a mask, or with an empty one, get an empty ``segmentation`` and their box's area.

    Args:
        items: (file name, size_wh, detections) of each image.
        classes: those asked for, as ``category_ids`` takes them.
        first_id: the first image's id; the others follow.
    """
    names = (name for _, _, detections in items for name in class_names(detections))
    ids = category_ids(names, classes)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (file_name, (width, height), detections) in enumerate(items, start=first_id):
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for row, name in enumerate(class_names(detections)):
            annotation = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append(annotation | _coco_row(detections, row) | {"category_id": ids[name]})
    return {
        "info": {"description": "Made with limner"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories_of(ids),
    }


def _coco_row(detections: sv.Detections, row: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(side) for side in detections.xyxy[row])
    annotation: dict[str, Any] = {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "segmentation": [],
        "iscrowd": 0,
    }
    if detections.mask is not None:
        crop = crop_of(detections, row)
        if crop.area:  # a box whose detector outlined nothing is a box
            annotation |= {"area": crop.area, "segmentation": crop.to_rle()}
    if detections.confidence is not None:
        annotation["score"] = min(max(float(detections.confidence[row]), 0.0), 1.0)
    if "seen_xyxy" in detections.data and detections.data["seen_xyxy"][row].any():
        annotation["seen_xyxy"] = [int(side) for side in detections.data["seen_xyxy"][row]]
    if "agreed" in detections.data and detections.data["agreed"][row]:
        annotation["agreed"] = [opinion.to_dict() for opinion in detections.data["agreed"][row]]
    return annotation


def mask_pngs(
    detections: sv.Detections, stem: str
) -> Iterator[tuple[str, Callable[[], Image.Image]]]:
    """For each row a file name and what makes an 8-bit picture: 255 = the object, 0 = the rest.

    Pictures are made one by one: those of 300 objects would fill gigabytes.

    Args:
        stem: what the names begin with; they go on ``-<row>-<class>.png``.

    Raises:
        OutputError: there are boxes only.
    """
    _need_masks(detections)
    digits = len(str(max(len(detections) - 1, 0)))
    for row, name in enumerate(class_names(detections)):
        file_name = f"{PurePath(stem).name}-{row:0{digits}}-{file_safe(name)}.png"
        yield file_name, partial(_mask_png, detections, row)


def _mask_png(detections: sv.Detections, row: int) -> Image.Image:
    return Image.fromarray(mask_of(detections, row).view(np.uint8) * 255)


def file_safe(name: str) -> str:
    """Letters and digits of any script, the rest as single hyphens; short enough for any disk."""
    return re.sub(r"[\W_]+", "-", name).strip("-")[:40].strip("-") or UNNAMED


def semantic_map(
    detections: sv.Detections, size_wh: tuple[int, int], classes: Sequence[str] = ()
) -> tuple[npt.NDArray[np.uint8] | npt.NDArray[np.uint16], dict[int, str]]:
    """(H, W) class numbers and what they mean; 0 = nothing. The better score wins an overlap.

    uint8 up to 255 classes, uint16 beyond: both can be saved as PNG.

    Args:
        classes: those asked for, as ``category_ids`` takes them.
    """
    ids = category_ids(class_names(detections), classes)
    numbers = np.array([0] + [ids[name] for name in class_names(detections)])
    painted = numbers[_owners(detections, size_wh)]
    meaning = {row["id"]: row["name"] for row in categories_of(ids)}
    small = painted.astype(np.uint8) if len(meaning) < 256 else painted.astype(np.uint16)
    return small, meaning


def panoptic(
    detections: sv.Detections,
    size_wh: tuple[int, int],
    categories: Mapping[str, int] | None = None,
) -> tuple[RgbArray, list[dict[str, Any]]]:
    """COCO's panoptic format: a picture of segment ids, ``R + 256 G + 256² B``, and their list.

    Segments don't overlap: the better score wins. One that is hidden wholly is left out. Id 0 is
    "nothing", row k has the id k + 1.

    Args:
        categories: class name to category id, to number many images alike (``category_ids``).
    """
    names = class_names(detections)
    numbers = category_ids(names) if categories is None else categories
    owners = _owners(detections, size_wh)
    segments = []
    for row, name in enumerate(names):
        visible = owners == row + 1
        if (box := masks.box_of(visible)) is None:
            continue
        segments.append(
            {
                "id": row + 1,
                "category_id": numbers[name],
                "area": int(visible.sum()),
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "iscrowd": 0,
            }
        )
    encoded = np.stack([owners % 256, owners // 256 % 256, owners // 65536], axis=-1)
    return encoded.astype(np.uint8), segments


def cutout(image: Image.Image, alpha: npt.NDArray[Any]) -> Image.Image:
    """RGBA: the image's pixels, as opaque as ``alpha`` (H, W) says: bool, or float in 0–1.

    What is wholly transparent is black: no colour of the rest stays in the file.
    """
    if alpha.shape != (image.height, image.width):
        raise ImageError(
            f"Expected an alpha of shape {(image.height, image.width)}, got {alpha.shape}."
        )
    opacity = np.floor(np.clip(alpha.astype(np.float32), 0, 1) * 255 + 0.5).astype(np.uint8)
    picture = image.convert("RGB")
    picture.paste((0, 0, 0), mask=Image.fromarray((opacity == 0).astype(np.uint8) * 255))
    picture.putalpha(Image.fromarray(opacity))
    return picture


def _need_masks(detections: sv.Detections) -> None:
    if len(detections) and detections.mask is None:
        raise OutputError("There are boxes only, no masks to write: segment them first.")


def _owners(detections: sv.Detections, size_wh: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(H, W): 1 + the row that each pixel belongs to, the best scored of those over it; 0: none."""
    _need_masks(detections)
    scores = detections.data.get("mask_score", np.ones(len(detections)))
    if detections.confidence is not None:
        scores = detections.confidence
    owners = np.zeros(size_wh[::-1], dtype=np.int64)
    worst_first = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")[::-1]
    for row in worst_first.tolist():
        crop = crop_of(detections, row)
        if crop.size_wh != size_wh:
            raise OutputError(
                f"The masks are {crop.size_wh[0]}x{crop.size_wh[1]} pixels and the image "
                f"{size_wh[0]}x{size_wh[1]}: they belong to another image."
            )
        owners[crop.slices][crop.window] = row + 1
    return owners
