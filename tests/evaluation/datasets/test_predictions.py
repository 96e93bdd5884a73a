"""Result files and masks of other programs: whose they are, or that it can't be known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.errors import InputError
from limner.evaluation import datasets, evaluate
from limner.evaluation.datasets import Dataset
from limner.evaluation.datasets.mask_folder import files_of
from limner.evaluation.datasets.picture_names import PictureNames
from limner.evaluation.datasets.predictions import names_of, rows_for
from limner.io.save import save_image
from tests.evaluation import labelled

ROW = {"bbox": [0, 0, 5, 5], "score": 1.0}


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Images 7 (a.png) and 9 (b.png), categories 17 (cat) and 18 (dog)."""
    return datasets.read(labelled.coco(tmp_path / "data"), "bbox")


def own(folder: Path, **changes: Any) -> Path:
    """A result file with tables of its own: other ids than the labels'."""
    content = {
        "images": [
            {"id": 1, "file_name": "b.png", "width": 60, "height": 40},
            {"id": 2, "file_name": "a.png"},
        ],
        "categories": [{"id": 17, "name": "dog"}, {"id": 1, "name": "Cat"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, **ROW},
            {"image_id": 2, "category_id": 17, **ROW},
        ],
    }
    file = folder / "own.json"
    file.write_text(json.dumps({**content, **changes}))
    return file


def ids(rows: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
    return [(row["image_id"], row["category_id"]) for row in rows]


def test_a_file_with_its_own_tables_is_matched_by_name(data: Dataset, tmp_path: Path) -> None:
    """limner's own JSON was read with the labels' ids: mIoU .050 instead of .746, in silence."""
    assert ids(rows_for(data, own(tmp_path), ())) == [(9, 17), (7, 18)]
    assert ids(rows_for(data.only(["dog"]), own(tmp_path), ["dog"])) == [(7, 18)]


def test_a_bare_list_has_the_labels_ids_or_their_names(data: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    rows = [{"image_id": key, "category_id": 18, **ROW} for key in (7, "a", "b.png", "x/b.png")]
    file.write_text(json.dumps(rows))
    assert ids(rows_for(data, file, ())) == [(7, 18), (7, 18), (9, 18), (9, 18)]


TABLES: dict[str, tuple[dict[str, Any], str]] = {
    "a class that the labels lack": (
        {"categories": [{"id": 1, "name": "cow"}, {"id": 17, "name": "dog"}]},
        "result 0 is a 'cow', which the labels don't have: they have dog, cat",
    ),
    "a picture that they lack": (
        {"images": [{"id": 1, "file_name": "c.png"}]},
        "of 'c.png', which the labels don't list",
    ),
    "a picture of another size": (
        {"images": [{"id": 1, "file_name": "b.png", "width": 6, "height": 4}]},
        "b.png is 6x4 pixels in the results and 60x40 in the labels",
    ),
    "a class of no table": ({"categories": []}, "result 0: class 1 isn't in the file's own table"),
    "an image of no table": ({"images": []}, "result 0: image 1 isn't in the file's own table"),
    "an image id twice": (
        {"images": [{"id": 1, "file_name": n} for n in ("a.png", "b.png")]},
        "Two images of the results have the id 1",
    ),
    "a nameless class": ({"categories": [{"id": 1}]}, "Category 0 of the results has no id"),
}


@pytest.mark.parametrize("case", TABLES)
def test_what_can_not_be_matched_is_refused(data: Dataset, tmp_path: Path, case: str) -> None:
    changes, says = TABLES[case]
    with pytest.raises(InputError, match=says):
        rows_for(data, own(tmp_path, **changes), ())


def test_the_library_takes_no_ids_of_another_table(data: Dataset, tmp_path: Path) -> None:
    """``evaluate`` matches by id alone; a file that says that its ids mean others is refused."""
    with pytest.raises(InputError, match="'dog' as number 17 of their categories, and the truth"):
        evaluate(data.truth, own(tmp_path), "bbox")
    swapped = [{"id": 7, "file_name": "b.png"}, {"id": 9, "file_name": "a.png"}]
    with pytest.raises(InputError, match=r"'b\.png' as number 7 of their images"):
        evaluate(data.truth, own(tmp_path, categories=[], images=swapped), "bbox")


# --- names of files -------------------------------------------------------------------------------

PLAIN = {1: "a.png", 2: "a-1.png", 3: "sub/b.jpg", 4: "dog.v2.png", 5: "dog.png"}
TWINS = {1: "s1/1.png", 2: "s2/1.png", 3: "x.jpg", 4: "x.png"}

FILES = [
    (PLAIN, "a.png", 1),
    (PLAIN, "a", 1),
    (PLAIN, "b", 3),
    (PLAIN, "data/sub/b.jpg", 3),
    (PLAIN, "sub\\b.jpg", 3),
    (PLAIN, "dog.v2", 4),
    (PLAIN, "dog.jpg", 5),
    (PLAIN, "c", None),
    (PLAIN, "", None),
    (TWINS, "s2/1", 2),
    (TWINS, "x.jpg", 3),
    (TWINS, "/home/bob/s1/1.png", 1),
]


@pytest.mark.parametrize(("names", "name", "expected"), FILES)
def test_which_picture_a_name_means(names: dict[int, str], name: str, expected: int | None) -> None:
    assert PictureNames(names).find(name) == expected


MASKS = [
    (PLAIN, "a.png", 1),
    (PLAIN, "a-0-cat.png", 1),
    (PLAIN, "a-1-0-cat.png", 2),
    (PLAIN, "b.png", 3),
    (PLAIN, "deeper/sub/b-0.png", 3),
    (PLAIN, "a-segment-masks/a-segment-1-cat.png", 1),
    (PLAIN, "ab.png", None),
    (TWINS, "s1/1-0-cat.png", 1),
    (TWINS, "s2/1-segment-masks/1-segment-0-cat.png", 2),
    (TWINS, "x-jpg.png", 3),
    (TWINS, "x.png.png", 4),
    (TWINS, "x-png-segment-masks/x-png-segment-0-cat.png", 4),
]


@pytest.mark.parametrize(("names", "name", "expected"), MASKS)
def test_which_picture_a_mask_is_of(names: dict[int, str], name: str, expected: int | None) -> None:
    found = PictureNames(names).of_mask(name)
    assert (found and found[0]) == expected


@pytest.mark.parametrize("name", ["1", "1.png", "x"])
def test_a_name_of_two_pictures_is_refused(name: str) -> None:
    """The last one took it: 1.jpg beside 1.png, and 1.png in two folders, scored as nothing."""
    with pytest.raises(InputError, match=r"could belong to .* or "):
        PictureNames(TWINS).find(name)


@pytest.mark.parametrize("name", ["1.png", "1-0-cat.png", "x.png", "x-0-cat.png", "other/1.png"])
def test_a_mask_of_two_pictures_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"could belong to .* or "):
        PictureNames(TWINS).of_mask(name)


def test_a_class_name_that_two_classes_have_in_files_is_refused(
    data: Dataset, tmp_path: Path
) -> None:
    Image.new("L", labelled.SIZE_WH).save(tmp_path / "a-0-red-apple.png")
    with pytest.raises(InputError, match="a mask of 'red apple' or of 'red-apple'"):
        files_of(tmp_path, names_of(data), ["red apple", "red-apple"])


def test_overlays_and_maps_of_a_result_folder_are_no_masks(data: Dataset, tmp_path: Path) -> None:
    """They were taken for masks of everything: each was a find too many."""
    folder = tmp_path / "out"
    record = {"verb": "segment", "stem": "a-segment", "job": "x"}
    black = Image.fromarray(np.zeros((40, 60), np.uint8))
    for name in (
        "a-segment.png",
        "a-segment.jpg",
        "a-segment-semantic.png",
        "a-segment-panoptic.png",
    ):
        save_image(black.convert("RGB"), folder / name, record=record)
    with pytest.raises(InputError, match="holds no masks"):
        files_of(folder, names_of(data), data.names)
    save_image(black, folder / "a-segment-masks" / "a-segment-0-cat.png", record=record)
    found, notes = files_of(folder, names_of(data), data.names)
    assert {k: [(p.name, c) for p, c in v] for k, v in found.items()} == {
        7: [("a-segment-0-cat.png", "cat")]
    }
    assert not notes
