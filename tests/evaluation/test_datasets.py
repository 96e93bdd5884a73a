"""Labelled folders: three formats, one meaning; and what is wrong with them, in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.errors import InputError
from limner.evaluation import datasets, evaluate

from . import labelled

WRITERS: dict[str, Callable[[Path], Path]] = {
    "coco": labelled.coco,
    "yolo": labelled.yolo,
    "voc": labelled.voc,
}


def things(data: datasets.Dataset) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    return {
        image.path.stem: [(o.name, tuple(round(v, 3) for v in o.xyxy)) for o in image.objects]
        for image in data.images
    }


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_told_and_means_the_same(tmp_path: Path, name: str) -> None:
    folder = WRITERS[name](tmp_path / "data")
    assert datasets.format_of(folder) == name
    data = datasets.read(folder, "bbox")
    assert things(data) == labelled.BOXES
    assert sorted(data.names) == sorted(data.present) == ["cat", "dog"]
    assert all(image.path.is_file() and image.size_wh == (60, 40) for image in data.images)
    found = [
        {**{k: row[k] for k in ("image_id", "category_id", "bbox")}, "score": 1.0}
        for row in data.truth["annotations"]
    ]
    assert evaluate(data.truth, found, "bbox").AP == 1


def test_masks_of_coco_and_of_yolos_polygons(tmp_path: Path) -> None:
    for folder in (labelled.coco(tmp_path / "c"), labelled.yolo(tmp_path / "y", polygons=True)):
        data = datasets.read(folder, "segm")
        masks = [thing.mask for thing in data.images[0].objects]
        expected = [labelled.rectangle(box) for _, box in labelled.BOXES["a"]]
        assert np.array_equal(masks, expected), folder


def test_only_some_classes(tmp_path: Path) -> None:
    data = datasets.read(labelled.coco(tmp_path), "bbox").only(["dog"])
    assert things(data) == {"a": labelled.BOXES["a"][1:], "b": []}
    assert (data.names, data.category_ids) == (("dog",), (18,))
    assert [row["category_id"] for row in data.truth["annotations"]] == [18]
    with pytest.raises(
        InputError, match=r"no class 'dgo' \(did you mean 'dog'\?\): it has dog, cat"
    ):
        data = datasets.read(tmp_path, "bbox").only(["dgo"])


def test_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    labelled.photos(tmp_path / "photos")
    (tmp_path / "labels.json").write_text(json.dumps(labelled.coco_content()))
    data = datasets.read(tmp_path / "labels.json", "bbox", images=tmp_path / "photos")
    assert data.images[0].path.is_file()


def test_a_crowd_is_kept_as_one(tmp_path: Path) -> None:
    content = labelled.coco_content()
    content["annotations"][0]["iscrowd"] = 1
    labelled.photos(tmp_path)
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    assert [o.crowd for o in datasets.read(tmp_path, "bbox").images[0].objects] == [True, False]


def spoil(path: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_text(text) and None


def without(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def changed(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        content = labelled.coco_content()
        edit(content)
        (folder / "annotations.json").write_text(json.dumps(content))

    return write


BAD = [
    ("coco", "cut off", spoil("annotations.json", "{"), "not JSON"),
    (
        "coco",
        "no images",
        changed(lambda c: c.update(images=[], annotations=[])),
        "lists no images",
    ),
    ("coco", "a nameless class", changed(lambda c: c["categories"][0].pop("name")), "no name"),
    ("coco", "a nameless image", changed(lambda c: c["images"][0].pop("file_name")), "file_name"),
    ("yolo", "a line of words", spoil("labels/a.txt", "cat 1 2"), r"a\.txt"),
    (
        "yolo",
        "an unknown class",
        spoil("labels/a.txt", "5 .5 .5 .1 .1"),
        r"a\.txt:1: .* names no class '5'",
    ),
    (
        "yolo",
        "labels of no picture",
        spoil("labels/c.txt", "0 .5 .5 .1 .1"),
        r"c\.txt labels a pic",
    ),
    ("yolo", "no names", spoil("data.yaml", "nc: 2"), "names"),
    ("voc", "no XML", spoil("Annotations/a.xml", "<annotation>"), r"a\.xml is no XML"),
    (
        "voc",
        "no box",
        spoil("Annotations/a.xml", "<a><object><name>x</name></object></a>"),
        "bndbox",
    ),
    ("voc", "another size", spoil("Annotations/a.xml", labelled.voc_xml([], 99)), "for 99x40"),
    (
        "voc",
        "a bomb",
        spoil("Annotations/a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'),
        "no XML that can be read",
    ),
]


@pytest.mark.parametrize(
    ("name", "break_it", "says"), [pytest.param(n, b, s, id=f"{n}: {i}") for n, i, b, s in BAD]
)
def test_bad_labels_are_refused_in_a_sentence(
    tmp_path: Path, name: str, break_it: Callable[[Path], None], says: str
) -> None:
    folder = WRITERS[name](tmp_path / "data")
    break_it(folder)
    with pytest.raises(InputError, match=says):
        datasets.read(folder, "bbox")


def test_folders_that_hold_no_labels(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no labels"):
        datasets.read(tmp_path, "bbox")
    with pytest.raises(InputError, match="There is no"):
        datasets.read(tmp_path / "nowhere", "bbox")
    with pytest.raises(InputError, match="no folder"):
        datasets.read(labelled.coco(tmp_path), "bbox", images=tmp_path / "nowhere")


def test_labels_for_a_picture_of_another_size_are_refused(tmp_path: Path) -> None:
    image = datasets.read(labelled.coco(tmp_path), "bbox").images[0]
    image.check_size((60, 40))
    with pytest.raises(InputError, match="61x40 pixels and its labels are for 60x40"):
        image.check_size((61, 40))
