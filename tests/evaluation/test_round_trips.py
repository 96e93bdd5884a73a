"""Through every pair of label formats: boxes, masks, class names and ids come out as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from limner.errors import InputError
from limner.evaluation import datasets
from limner.evaluation.datasets.mask_folder import files_of
from limner.evaluation.datasets.predictions import names_of, rows_for
from limner.io import coco as export
from limner.ops import detections
from limner.rle import BoolMask, from_rle

from .label_writers import BOXES, MASKS, WRITERS, Picture, Thing

SIZES = {"a.png": (64, 48), "sub/b.png": (101, 333), "c.png": (37, 53)}
NAMES = ("apple pie", "no", "007")


def drawn(size_wh: tuple[int, int], seed: int) -> tuple[Thing, ...]:
    """A rectangle, an L, a single pixel and a ragged thing without holes, in one piece each."""
    w, h = size_wh
    rng = np.random.default_rng(seed)
    shapes = np.zeros((5, h, w), bool)
    shapes[0, 3:17, 5:21] = True
    shapes[1, h - 9 : h, 0:20] = shapes[1, h - 25 : h, 0:6] = True
    shapes[2, h - 1, w - 1] = True
    for k, width in enumerate(rng.integers(1, 12, 15)):
        shapes[3, 20 + k, 22 : 22 + width] = True
    shapes[4] = True
    return tuple(Thing(NAMES[k % 3], box_of(m), m) for k, m in enumerate(shapes))


def box_of(mask: BoolMask) -> tuple[float, float, float, float]:
    ys, xs = np.nonzero(mask)
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)


PICTURES = [Picture(name, wh, drawn(wh, k)) for k, (name, wh) in enumerate(SIZES.items())]


def read_back(folder: Path, *, masked: bool) -> list[Picture]:
    data = datasets.read(folder, "segm" if masked else "bbox")
    names = {row["id"]: row["file_name"] for row in data.truth["images"]}
    pictures = [
        Picture(
            names[image.id],
            image.size_wh or (0, 0),
            tuple(Thing(o.name, o.xyxy, o.mask if masked else None) for o in image.objects),
            image.id,
        )
        for image in data.images
    ]
    return sorted(pictures, key=lambda picture: list(SIZES).index(picture.name))


def assert_same(found: list[Picture], *, masked: bool) -> None:
    compared = 0
    for read, true in zip(found, PICTURES, strict=True):
        assert (read.name, read.size_wh) == (true.name, true.size_wh)
        assert [t.name for t in read.things] == [t.name for t in true.things]
        for one, other in zip(read.things, true.things, strict=True):
            assert np.abs(np.subtract(one.xyxy, other.xyxy)).max() <= 0.5
            if masked:
                assert one.mask is not None
                assert np.array_equal(one.mask, other.mask)
            compared += 1
    assert compared == 15


@pytest.mark.parametrize("second", WRITERS)
@pytest.mark.parametrize("first", WRITERS)
def test_a_round_trip_through_two_formats(tmp_path: Path, first: str, second: str) -> None:
    """Masks to the pixel where both formats hold them, boxes to half a pixel, names as written."""
    once = read_back(WRITERS[first](tmp_path / "1", PICTURES, NAMES), masked=first in MASKS)
    assert_same(once, masked=first in MASKS)
    both = first in MASKS and second in MASKS
    twice = read_back(WRITERS[second](tmp_path / "2", once, NAMES), masked=both)
    assert_same(twice, masked=both)
    if "coco" in first and "coco" in second:
        assert [picture.id for picture in twice] == [50, 49, 48]


@pytest.mark.parametrize("name", BOXES)
def test_what_holds_boxes_alone_is_no_mask_in_any_format(tmp_path: Path, name: str) -> None:
    """VOC's boxes were empty masks, YOLO's were filled and COCO's refused."""
    folder = WRITERS[name](tmp_path, PICTURES, NAMES)
    with pytest.raises(InputError, match="is a box only"):
        datasets.read(folder, "segm")


@pytest.mark.parametrize("name", WRITERS)
def test_supervision_reads_the_same_boxes(tmp_path: Path, name: str) -> None:
    """A second reader, so that this writer and limner's reader can't be wrong alike."""
    flat = [Picture(Path(p.name).name, p.size_wh, p.things) for p in PICTURES]
    folder = WRITERS[name](tmp_path, flat, NAMES)
    if name.startswith("coco"):
        other = sv.DetectionDataset.from_coco(str(folder), str(folder / "annotations.json"))
    elif name.startswith("yolo"):
        other = sv.DetectionDataset.from_yolo(
            *(str(folder / part) for part in ("images", "labels", "data.yaml"))
        )
    else:
        other = sv.DetectionDataset.from_pascal_voc(
            str(folder / "JPEGImages"), str(folder / "Annotations")
        )
    data = datasets.read(folder, "bbox")
    assert len(data) == 3
    for image in data.images:
        found = other.annotations[str(image.path)]
        mine = [o.xyxy for o in image.objects]
        # its polygons' boxes end at the last pixel, not after it
        assert np.abs(found.xyxy - np.array(mine)).max() <= 1.01
        assert [other.classes[k] for k in found.class_id] == [o.name for o in image.objects]


def test_what_limner_writes_comes_back_as_predictions(tmp_path: Path) -> None:
    """limner's own JSON, whose numbers are its own, and its mask pictures, against any labels."""
    data = datasets.read(MASKS["coco polygons"](tmp_path / "data", PICTURES, NAMES), "segm")
    items = []
    for picture in reversed(PICTURES):
        things = picture.things
        made = detections.make(
            np.array([t.xyxy for t in things]),
            np.linspace(0.9, 0.1, len(things)),
            [NAMES.index(t.name) for t in things],
            [t.name for t in things],
        )
        masks = [t.mask for t in things if t.mask is not None]
        items.append((picture, detections.with_masks(made, masks, np.ones(len(things)))))
    content = export.coco([(p.name, p.size_wh, made) for p, made in items])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(content))
    rows = rows_for(data, file, ())
    by_image = {image.id: image for image in data.images}
    assert len(rows) == 15
    for k, row in enumerate(rows):
        thing = by_image[row["image_id"]].objects[k % 5]
        assert data.names[data.category_ids.index(row["category_id"])] == thing.name
        assert np.array_equal(from_rle(row["segmentation"]), thing.mask)

    for picture, made in items:
        stem = f"{Path(picture.name).stem}-segment"
        folder = tmp_path / "masks" / Path(picture.name).parent / f"{stem}-masks"
        folder.mkdir(parents=True)
        for name, image in export.mask_pngs(made, stem):
            image().save(folder / name)
    files, notes = files_of(tmp_path / "masks", names_of(data), data.names)
    assert not notes
    for key, masks_of in files.items():
        for (path, name), thing in zip(sorted(masks_of), by_image[key].objects, strict=True):
            assert name == thing.name
            with Image.open(path) as opened:
                assert np.array_equal(np.asarray(opened) > 0, thing.mask)
