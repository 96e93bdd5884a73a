"""COCO files whose tables or rows are wrong: refused by row, or left out and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limner.errors import InputError
from limner.evaluation import datasets
from limner.evaluation.datasets.predictions import rows_for

from . import labelled

Content = dict[str, Any]


def written(folder: Path, edit: Callable[[Content], Any]) -> Path:
    labelled.photos(folder)
    content = labelled.coco_content()
    edit(content)
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def row(content: Content, **changes: Any) -> None:
    content["annotations"][1].update(changes)


BAD: dict[str, tuple[Callable[[Content], Any], str]] = {
    "an image id twice": (
        lambda c: c["images"].append({**c["images"][0], "file_name": "c.png"}),
        r"COCO image 2 \('c.png'\) has the id 7, which 'a.png' has already",
    ),
    "a category id twice": (
        lambda c: c["categories"].append({"id": 17, "name": "car"}),
        r"COCO category 2 \('car'\) has the id 17, which 'cat' has already",
    ),
    "a picture twice": (
        lambda c: c["images"].append({**c["images"][0], "id": 8}),
        "lists a.png twice",
    ),
    "a box outside": (
        lambda c: row(c, bbox=[600, 600, 12, 12]),
        r"annotation 1 \(id 1, a.png\) labels 600,600 to 612,612 in a picture of 60x40",
    ),
    "a box that begins outside": (lambda c: row(c, bbox=[-5, 10, 12, 12]), "labels -5,10"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_tables_are_refused_by_row(tmp_path: Path, case: str) -> None:
    """pycocotools takes the last of two rows: pictures counted twice, classes were renamed."""
    edit, says = BAD[case]
    with pytest.raises(InputError, match=says):
        datasets.read(written(tmp_path, edit), "bbox")


def test_a_polygon_outside_its_picture_is_refused(tmp_path: Path) -> None:
    far = [[90, 0, 120, 0, 120, 20]]
    with pytest.raises(InputError, match=r"annotation 1 \(id 1, a.png\) labels 90,0 to 120,20"):
        datasets.read(written(tmp_path, lambda c: row(c, segmentation=far)), "segm")


def in_parts_of_1(content: Content) -> None:
    for each in content["annotations"]:
        x, y, w, h = each["bbox"]
        x0, y0, x1, y1 = x / 60, y / 40, (x + w) / 60, (y + h) / 40
        each["bbox"] = [x0, y0, x1 - x0, y1 - y0]
        each["segmentation"] = [[x0, y0, x1, y0, x1, y1, x0, y1]]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_labels_in_parts_of_1_are_refused(tmp_path: Path, kind: Any) -> None:
    """They were scored as specks in the first pixel, or left out as enclosing nothing."""
    folder = written(tmp_path, in_parts_of_1)
    with pytest.raises(InputError, match=r"annotations\.json: all boxes .* parts of 1: multiply"):
        datasets.read(folder, kind)
    results = json.loads((folder / "annotations.json").read_text())["annotations"]
    boxes = [{"score": 1.0, **r, "segmentation": None} for r in results]
    (tmp_path / "results.json").write_text(json.dumps(boxes))
    data = datasets.read(written(tmp_path, lambda c: None), "bbox")
    with pytest.raises(InputError, match=r"results\.json: all boxes .* parts of 1"):
        rows_for(data, tmp_path / "results.json", ())


def test_a_label_of_the_first_pixel_is_a_label(tmp_path: Path) -> None:
    """And a box that nobody reads may be filled in: masks are labelled with such boxes."""
    data = datasets.read(written(tmp_path, lambda c: row(c, bbox=[0, 0, 1, 1])), "bbox")
    assert data.images[0].objects[1].xyxy == (0, 0, 1, 1)

    def unboxed(content: Content) -> None:
        for each in content["annotations"]:
            each["bbox"] = [0, 0, 1, 1]

    assert len(datasets.read(written(tmp_path, unboxed), "segm").images[0].objects) == 2


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("part", ["bbox", "segmentation"])
def test_box_and_outline_must_both_lie_in_their_picture(
    tmp_path: Path, kind: Any, part: str
) -> None:
    """A box in other units says that the file isn't meant for these pictures, whatever is read."""
    far = {"bbox": [600, 600, 12, 12], "segmentation": [[90, 0, 120, 0, 120, 20]]}[part]
    with pytest.raises(InputError, match=r"annotation 1 .* expected a label inside its picture"):
        datasets.read(written(tmp_path, lambda c: row(c, **{part: far})), kind)


DEGENERATE = {
    "two corners": [[1, 1, 2, 2]],
    "no corner": [[]],
    "a line": [[1, 1, 9, 1, 5, 1]],
    "no run": {"size": [40, 60], "counts": [2400]},
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_a_row_that_encloses_nothing_is_left_out_and_named(tmp_path: Path, case: str) -> None:
    """One such row blocked the whole set."""
    folder = written(tmp_path, lambda c: row(c, segmentation=DEGENERATE[case]))
    data = datasets.read(folder, "segm")
    assert [len(image.objects) for image in data.images] == [1, 1]
    assert len(data.truth["annotations"]) == 2
    assert data.notes == ("COCO annotation 1 (id 1, a.png) encloses nothing and was left out.",)


def test_a_part_of_two_corners_leaves_the_rest_of_its_object(tmp_path: Path) -> None:
    square = [40, 10, 50, 10, 50, 30, 40, 30]
    folder = written(tmp_path, lambda c: row(c, segmentation=[square, [1, 1, 2, 2]]))
    data = datasets.read(folder, "segm")
    assert data.images[0].objects[1].mask.sum() == 200
    assert "polygon of under three corners, which was left out" in data.notes[0]


def test_a_box_without_width_is_left_out_and_named(tmp_path: Path) -> None:
    data = datasets.read(written(tmp_path, lambda c: row(c, bbox=[40, 10, 0, 20])), "bbox")
    assert [len(image.objects) for image in data.images] == [1, 1]
    assert "annotation 1" in data.notes[0]


def test_sizes_that_a_file_does_not_say_are_those_of_the_pictures(tmp_path: Path) -> None:
    def sizeless(content: Content) -> None:
        for image in content["images"]:
            del image["width"], image["height"]

    data = datasets.read(written(tmp_path, sizeless), "segm")
    assert [image.size_wh for image in data.images] == [(60, 40)] * 2


def test_names_of_files_as_windows_writes_them(tmp_path: Path) -> None:
    labelled.photos(tmp_path / "sub")
    folder = written(tmp_path, lambda c: c["images"][0].update(file_name="sub\\a.png"))
    (folder / "a.png").unlink()
    assert datasets.read(folder, "bbox").images[0].path == folder / "sub" / "a.png"


# --- which classes a model is asked for -----------------------------------------------------------


@pytest.mark.parametrize("name", ["Cat", "cat", " CAT ", "animals"])
def test_a_class_that_nobody_labelled_is_not_asked_for(tmp_path: Path, name: str) -> None:
    """Roboflow adds one; where it differed by a capital it took all answers: AP .60 became 0."""
    folder = written(
        tmp_path, lambda c: c["categories"].insert(0, {"id": 0, "name": name, "supercategory": ""})
    )
    data = datasets.read(folder, "bbox").askable()
    assert (data.names, data.category_ids) == (("dog", "cat"), (18, 17))
    assert [r["id"] for r in data.truth["categories"]] == [18, 17]
    assert f"Nothing is labelled as {name.strip()}: not asked for" in data.notes[0]


def test_two_labelled_classes_that_a_model_can_not_tell_apart_are_refused(tmp_path: Path) -> None:
    def twice(content: Content) -> None:
        content["categories"].append({"id": 5, "name": "Cat"})
        row(content, category_id=5)

    data = datasets.read(written(tmp_path, twice), "bbox")
    with pytest.raises(InputError, match="as 'cat' and as 'Cat', which a model can't tell apart"):
        data.askable()
    assert data.only(["Cat"]).names == ("Cat",)
