"""What a file of prompts can't mean is one sentence with its row, before anything is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner import Session
from limner.errors import LimnerError
from limner.prompts import Point, VisualPrompt
from limner.session.labelling.prompt_table import PictureNames
from limner.session.labelling.read_prompts import read_prompts
from tests.session.labelling.places import COLUMNS, ROWS, coco, csv, photos

pytestmark = pytest.mark.usefixtures("doubles")

BAD_ROWS = [
    ("a column that is missing", "file,x0,y0,x1,y1", ["a.png,1,2,3,4"], ":1: The column label is"),
    ("two of them", "file,label,x0,y0", ["a.png,mug,1,2"], ":1: The columns x1, y1 are missing"),
    ("no place at all", "file,label", ["a.png,mug"], "The columns x0, y0, x1, y1 are missing"),
    ("half a point", "file,label,x", ["a.png,mug,1"], "The column y is missing"),
    (
        "a column twice",
        "file,label,x,y,x",
        ["a.png,mug,1,2,3"],
        ":1: The column 'x' is there twice",
    ),
    ("no numbers", COLUMNS, [ROWS[0], "b.png,mug,,,,,,"], ":3: The row has no numbers"),
    ("a row that ends early", COLUMNS, ["a.png,mug"], ":2: The row has no numbers"),
    ("one number missing", COLUMNS, ["a.png,mug,1,2,,4,,"], ":2: The column x1 is empty"),
    (
        "a word",
        COLUMNS,
        ["a.png,mug,1,2,wide,4,,"],
        ":2: Expected a number of pixels as x1, got 'w",
    ),
    (
        "no finite number",
        COLUMNS,
        ["a.png,mug,1,2,inf,4,,"],
        ":2: Expected a number of pixels as x1",
    ),
    ("inside out", COLUMNS, ["a.png,mug,9,2,3,4,,"], ":2: A box is left,top,right,bottom"),
    ("no label", COLUMNS, ["a.png,,1,2,3,4,,"], ":2: The column label is empty"),
    ("no file", COLUMNS, [",mug,1,2,3,4,,"], ":2: The column file is empty"),
    (
        "a box outside its picture",
        COLUMNS,
        [ROWS[0], "b.png,mug,1,2,90,4,,"],
        ":3 labels 1,2 to 90,4",
    ),
    (
        "a point outside",
        COLUMNS,
        ["a.png,mug,,,,,99,2"],
        ":2: The point 99,2 lies outside the image",
    ),
    ("parts of 1", COLUMNS, ["a.png,mug,.1,.2,.9,.8,,"], "seem to be parts of 1"),
    (
        "a picture that isn't there",
        COLUMNS,
        [ROWS[0], "z.png,mug,1,2,3,4,,"],
        ":3: There is no pic",
    ),
    ("a class in two spellings", COLUMNS, [ROWS[0], "b.png,Mug,1,2,3,4,,"], ":3: The class 'Mug'"),
    (
        "a picture in two ways",
        COLUMNS,
        [ROWS[0], "x/a.png,mug,1,2,3,4,,"],
        "names a.png in two ways",
    ),
    ("no rows", COLUMNS, [], "holds no prompt: there is no row"),
]


@pytest.mark.parametrize(
    ("columns", "rows", "sentence"), [pytest.param(*row[1:], id=row[0]) for row in BAD_ROWS]
)
def test_rows_that_cant_be_meant(
    tmp_path: Path, columns: str, rows: list[str], sentence: str
) -> None:
    """The file, the row and the column are named; no folder is made."""
    prompts = csv(tmp_path, *rows, columns=columns)
    with pytest.raises(LimnerError) as error:
        Session().label(photos(tmp_path), prompts, tmp_path / "out")
    assert sentence in str(error.value)
    assert "boxes.csv" in str(error.value)
    assert not (tmp_path / "out").exists()


BAD_FILES: list[tuple[str, str, str, str]] = [
    ("nothing in it", "boxes.csv", "", "boxes.csv is empty"),
    ("blank lines", "boxes.csv", "\n \n", "boxes.csv is empty"),
    ("an empty YAML", "classes.yaml", "", "classes.yaml is empty: expected the phrases"),
    ("an empty JSON", "classes.json", "", "classes.json is empty: expected the phrases"),
    ("a number", "classes.yaml", "3", "holds no classes"),
    (
        "a phrase of two classes",
        "c.yaml",
        "a: cup\nb: [mug, Cup]",
        "c.yaml:2: 'cup' is a phrase of",
    ),
    ("a mapping as a phrase", "c.yaml", "a: {b: c}", "c.yaml:1: A class's phrase is a text"),
    ("an empty phrase", "c.yaml", "a: ''", "c.yaml:1: A text prompt needs a phrase"),
    ("classes in two spellings", "c.yaml", "mug: cup\nMug: glass", "c.yaml:2: The class 'Mug'"),
    ("an unknown ending", "boxes.txt", "a", "boxes.txt can't be told: prompts are labels of COCO"),
    ("COCO of nothing", "b.json", '{"images": [], "annotations": []}', "COCO"),
    ("not UTF-8", "boxes.csv", "\udcff", "not UTF-8"),
]


@pytest.mark.parametrize(
    ("name", "content", "sentence"), [pytest.param(*row[1:], id=row[0]) for row in BAD_FILES]
)
def test_files_that_cant_be_meant(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(LimnerError, match=sentence):
        Session().label(photos(tmp_path), file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_isnt_there(tmp_path: Path) -> None:
    """The prompts, the data, the prompts for data without labels, and one picture as data."""
    data, missing = photos(tmp_path), tmp_path / "none.csv"
    for arguments, sentence in (
        ((data, missing), r"There is no .*none\.csv: prompts are labels"),
        ((tmp_path / "nowhere", csv(tmp_path, *ROWS)), "There is no .*nowhere: expected a folder"),
        ((data, None), "holds no labels: say with --prompts"),
        ((data / "a.png", csv(tmp_path, *ROWS)), "is one picture: limner segment"),
    ):
        with pytest.raises(LimnerError, match=sentence):
            Session().label(*arguments, out=tmp_path / "out")


def test_a_class_that_the_dataset_lacks(tmp_path: Path) -> None:
    """Its own classes are named, and the nearest; those it has get its numbers."""
    data = photos(tmp_path)
    coco(data, [("a.png", 3, (10, 8, 24, 22)), ("b.png", 17, (2, 2, 18, 18))])
    with pytest.raises(LimnerError, match=r"no class 'mugs' \(did you mean 'mug'\?\)"):
        Session().label(data, csv(tmp_path, "a.png,mugs,1,2,30,40,,"), tmp_path / "out")
    labelled = Session().label(data, csv(tmp_path, *ROWS), tmp_path / "out")
    assert labelled.classes == {"plate": 17, "mug": 3}


def test_labels_of_another_picture(tmp_path: Path) -> None:
    """COCO's file says the size that its boxes are for."""
    prompts = coco(tmp_path, [("a.png", 3, (10, 8, 24, 22))])
    content = json.loads(prompts.read_text())
    content["images"][0]["width"] = 640
    prompts.write_text(json.dumps(content))
    with pytest.raises(LimnerError, match=r"64x48 pixels .* 640x48"):
        Session().label(photos(tmp_path), prompts, tmp_path / "out")


def test_a_row_that_is_there_twice_is_one_object(tmp_path: Path) -> None:
    """Two masks on one thing would be a wrong label; that one was left out is said."""
    prompts = csv(tmp_path, *ROWS, ROWS[1], ROWS[0])
    labelled = Session().label(photos(tmp_path), prompts, tmp_path / "out")
    assert labelled.objects == {"mug": 2, "plate": 1}
    assert any("Rows that repeat others, left out: 5, 6." in note for note in labelled.notes)


def test_many_pictures_are_matched_in_one_pass() -> None:
    """Each name is looked up by its end: with 3000 pictures a comparison of all pairs, nine
    million, would take minutes."""
    names = [f"val/{k:05}.png" for k in range(3000)]
    pictures = PictureNames(names, "boxes.csv")
    assert [pictures.find(f"/data/{name}") for name in names] == names
    assert [pictures.find(f"{k:05}.png") for k in range(3000)] == names
    assert pictures.find("train/00001.png") is None


def test_prompts_as_values(tmp_path: Path) -> None:
    """Each picture's own, whatever they are: a box, a click, words; classes in their order."""
    prompts = {
        "b.png": [
            VisualPrompt(text="red", label="patch"),
            VisualPrompt(points=[(5, 5)], label="x"),
        ],
        "photos/a.png": VisualPrompt(box=(10, 8, 34, 30), label="patch"),
        "c.png": [],
    }
    labelled = Session().label(photos(tmp_path), prompts, tmp_path / "out", threshold=0.5)
    assert labelled.classes == {"patch": 1, "x": 2}
    assert labelled.objects == {"patch": 2, "x": 1}
    assert labelled.pictures == 3


def test_prompts_of_every_kind_are_shown_on_the_sheet(tmp_path: Path) -> None:
    """Where one says nothing that can be drawn, the object is shown alone."""
    array = np.zeros((48, 64), dtype=bool)
    array[10:20, 10:30] = True
    prompts = {
        "a.png": [
            VisualPrompt(mask=array, label="mask"),
            VisualPrompt(text="red", points=[Point(60, 40, False)], label="phrase"),
            VisualPrompt(box=(2, 2, 20, 20), points=[(5, 5), Point(19, 19, False)], label="box"),
            VisualPrompt(points=[(63, 47)], label="corner"),
        ]
    }
    labelled = Session().label(photos(tmp_path), prompts, tmp_path / "out")
    assert sum(labelled.objects.values()) == 4
    assert labelled.sheet is not None


@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ({}, "No prompts were given"),
        ({"a.png": [(1, 2, 30, 40)]}, "a.png: The prompt has no label"),
        ({"a.png": [object()]}, "a.png: A prompt is a phrase"),
        ({"a.png": VisualPrompt(box=(1, 2, 99, 40), label="m")}, "a.png labels 1,2 to 99,40"),
        ({"z.png": VisualPrompt(box=(1, 2, 9, 9), label="m")}, "z.png: There is no picture z.png"),
        ({"mug": ""}, "a phrase"),
    ],
)
def test_values_that_cant_be_meant(tmp_path: Path, prompts: Any, sentence: str) -> None:
    with pytest.raises(LimnerError, match=sentence):
        Session().label(photos(tmp_path), prompts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_spreadsheets_csv(tmp_path: Path, delimiter: str) -> None:
    """Its byte order mark, its delimiter, its line ends, columns in any order and in capitals."""
    file = tmp_path / "boxes.csv"
    rows = ["X,Y,Label,note,File", '20,20,"a mug",none,photos/a.png', ",,,,", "5,6,plate,,a.png"]
    text = "\r\n".join(rows).replace(",", delimiter)
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    table = read_prompts(file)
    assert table.classes == {"a mug": 1, "plate": 2}
    (entry,) = table.entries_of("photos/a.png")
    assert (entry.prompt.points[0].x, entry.prompt.label) == (20, "a mug")


def test_a_box_that_rounding_put_outside_is_cut(tmp_path: Path) -> None:
    """Many programs write a pixel too many."""
    labelled = Session().label(
        photos(tmp_path), csv(tmp_path, "a.png,mug,-1,0,65,48,,"), tmp_path / "o"
    )
    (row,) = json.loads(labelled.file.read_text())["annotations"]
    assert row["bbox"] == [0, 0, 64, 48]


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    """And a bare name that could be either is refused."""
    data = photos(tmp_path, ("x/a.png", "y/a.png"))
    settings: dict[str, Any] = {"recursive": True}
    with pytest.raises(LimnerError, match=r"a\.png could be x/a\.png or y/a\.png"):
        Session().label(data, csv(tmp_path, ROWS[0]), tmp_path / "out", **settings)
    rows = ("x/a.png,mug,1,2,30,40,,", "y/a.png,plate,1,2,30,40,,")
    labelled = Session().label(data, csv(tmp_path, *rows), tmp_path / "out", **settings)
    assert labelled.pictures == 2


def test_no_is_a_class(tmp_path: Path) -> None:
    """YAML makes false of it; the file's numbers are in its order."""
    file = tmp_path / "classes.yaml"
    file.write_text("yes: thumb up\nno: thumb down\n7:\n")
    assert read_prompts(file).classes == {"yes": 1, "no": 2, "7": 3}
    file.write_text("[mug, plate]")
    assert read_prompts(file).phrases == ["mug", "plate"]
