"""Prompts for many pictures become one dataset, whatever happens on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
from pycocotools.coco import COCO

from limner import Session
from limner.errors import LimnerError, OptionError, OutputError, WeightsMissing
from limner.evaluation import datasets
from limner.session.labelling.answers import ANSWERS
from tests.session.labelling.places import ROWS, coco, csv, photos

pytestmark = pytest.mark.usefixtures("doubles")


def files_in(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def objects_in(file: Path) -> list[tuple[str, str, tuple[float, ...]]]:
    """(picture, class, box) of each annotation, by name."""
    data = json.loads(file.read_text())
    images = {row["id"]: row["file_name"] for row in data["images"]}
    names = {row["id"]: row["name"] for row in data["categories"]}
    return [
        (images[row["image_id"]], names[row["category_id"]], tuple(row["bbox"]))
        for row in data["annotations"]
    ]


def test_boxes_become_a_dataset_that_pycocotools_and_supervision_read(tmp_path: Path) -> None:
    """The 28 lines that this replaces: masks of all boxes, and one table of classes, which is the
    prompts' own (ids 3 and 17) though each picture begins with another class."""
    boxes = [
        ("a.png", 3, (10, 8, 24, 22)),
        ("b.png", 17, (2, 2, 18, 18)),
        ("b.png", 3, (30, 10, 20, 30)),
    ]
    prompts, data = coco(tmp_path, boxes), photos(tmp_path)
    labelled = Session().label(data, prompts, tmp_path / "out")
    read = COCO(str(labelled.file))
    assert {c["name"]: c["id"] for c in read.cats.values()} == {"mug": 3, "plate": 17}
    answers = [
        (read.imgs[row["image_id"]]["file_name"], row["category_id"], tuple(row["bbox"]))
        for row in read.anns.values()
    ]
    assert answers == boxes
    for row in read.anns.values():
        x, y, width, height = (int(side) for side in row["bbox"])
        assert read.annToMask(row)[y : y + height, x : x + width].all()
        assert read.annToMask(row).sum() == row["area"] == width * height
    again = sv.DetectionDataset.from_coco(
        str(tmp_path / "out" / "images"), str(labelled.file), force_masks=True
    )
    names = {Path(path).name: rows.data["class_name"].tolist() for path, _, rows in again}
    assert names == {"a.png": ["mug"], "b.png": ["plate", "mug"]}
    assert [rows.mask.sum() for _, _, rows in again] == [24 * 22, 18 * 18 + 20 * 30]
    assert (tmp_path / "out/images/a.png").read_bytes() == (data / "a.png").read_bytes()
    assert labelled.objects == {"plate": 1, "mug": 2}


@pytest.mark.parametrize("form", ["coco", "yolo-seg", "voc", "supervision"])
def test_every_format_is_read_back_by_limner_and_by_supervision(tmp_path: Path, form: str) -> None:
    """With the same classes, and by limner with the same pixels."""
    rows = (*ROWS, "c.png,bowl,5,5,50,40,20,20")
    session = Session()
    labelled = session.label(photos(tmp_path), csv(tmp_path, *rows), tmp_path / "o", format=form)
    data = datasets.read(tmp_path / "o", "segm")
    assert {image.path.name for image in data.images} == {"a.png", "b.png", "c.png"}
    things = {(i.path.name, o.name): o.mask.sum() for i in data.images for o in i.objects}
    expected = {
        ("a.png", "mug"): 24 * 22,
        ("b.png", "plate"): 18 * 18,
        ("b.png", "mug"): 20 * 30,
        ("c.png", "bowl"): 45 * 35,
    }
    if form != "supervision":  # whose polygons run through the middle of pixels
        assert things == expected
        assert data.category_ids == (1, 2, 3)
    assert things.keys() == expected.keys()
    folder = str(tmp_path / "o")
    if form == "yolo-seg":
        by_supervision = sv.DetectionDataset.from_yolo(
            f"{folder}/images", f"{folder}/labels", f"{folder}/data.yaml", force_masks=True
        )
    elif form == "voc":
        by_supervision = sv.DetectionDataset.from_pascal_voc(
            f"{folder}/JPEGImages", f"{folder}/Annotations", force_masks=True
        )
    else:
        by_supervision = sv.DetectionDataset.from_coco(
            f"{folder}/images", f"{folder}/annotations.json", force_masks=True
        )
    for dataset in (by_supervision, labelled.dataset):
        names = {
            (Path(path).name, dataset.classes[k]) for path, _, d in dataset for k in d.class_id
        }
        assert names == expected.keys()


def test_phrases_are_looked_for_in_all_pictures(tmp_path: Path) -> None:
    """A class may have several; a picture without a find is part of the dataset, without labels."""
    data = photos(tmp_path)
    phrases = {"patch": ["red", "lime"], "blue": None}
    labelled = Session().label(data, phrases, tmp_path / "out")
    assert labelled.classes == {"patch": 1, "blue": 2}
    assert labelled.objects == {"patch": 3, "blue": 0}
    file = tmp_path / "classes.yaml"
    file.write_text("patch: [red, lime]\nblue:\n")
    again = Session().label(data, file, tmp_path / "again")
    assert objects_in(again.file) == objects_in(labelled.file)


# --- going on -------------------------------------------------------------------------------------


class Killed(BaseException):
    """What a signal does."""


def test_a_killed_run_goes_on_and_repeats_nothing(
    tmp_path: Path, doubles: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the second picture and in the middle of a line: the rest alone is asked, and what
    comes is what an undisturbed run writes."""
    rows = (*ROWS, "c.png,bowl,5,5,50,40,,")
    data, prompts = photos(tmp_path), csv(tmp_path, *rows)
    whole = Session().label(data, prompts, tmp_path / "whole")
    answer = Session.answer

    def killed(self: Session, request: Any, image: Any, on_step: Any = None) -> Any:
        if Path(image).name == "b.png":
            raise Killed
        return answer(self, request, image, on_step)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "answer", killed)
        with pytest.raises(Killed):
            Session().label(data, prompts, tmp_path / "out")
    assert files_in(tmp_path / "out") == []
    with (tmp_path / "out" / ANSWERS).open("ab") as file:
        file.write(b'{"name": "b.png", "key": "')
    doubles["segment"].asked.clear()
    labelled = Session().label(data, prompts, tmp_path / "out")
    assert [len(prompts) for prompts in doubles["segment"].asked] == [2, 1]
    assert labelled.done_before == 1
    assert objects_in(labelled.file) == objects_in(whole.file)
    doubles["segment"].asked.clear()
    assert Session().label(data, prompts, tmp_path / "out").done_before == 3
    assert doubles["segment"].asked == []
    assert objects_in(labelled.file) == objects_in(whole.file)


def test_a_row_that_changed_is_asked_anew_and_no_other(
    tmp_path: Path, doubles: dict[str, Any]
) -> None:
    """And a class that comes first now renumbers all pictures alike."""
    data = photos(tmp_path)
    Session().label(data, csv(tmp_path, *ROWS), tmp_path / "out")
    doubles["segment"].asked.clear()
    changed = csv(tmp_path, "a.png,bowl,10,8,34,30,,", *ROWS[1:])
    labelled = Session().label(data, changed, tmp_path / "out")
    assert len(doubles["segment"].asked) == 1
    assert labelled.classes == {"bowl": 1, "plate": 2, "mug": 3}
    assert [name for _, name, _ in objects_in(labelled.file)] == ["bowl", "plate", "mug"]


@pytest.mark.parametrize("form", ["coco", "yolo-seg", "voc"])
def test_a_picture_without_prompts_any_longer_leaves_the_dataset(tmp_path: Path, form: str) -> None:
    """YOLO and VOC are folders: a label file that stays is a label that stays."""
    data, out = photos(tmp_path), tmp_path / "out"
    Session().label(data, csv(tmp_path, *ROWS), out, format=form)
    assert any("a.png" in name for name in files_in(out))
    Session().label(data, csv(tmp_path, *ROWS[1:]), out, format=form)
    assert [image.path.name for image in datasets.read(out, "segm").images] == ["b.png"]
    assert not any(Path(name).stem == "a" for name in files_in(out))


def test_what_was_made_otherwise_is_replaced_only_when_asked(tmp_path: Path) -> None:
    """And then nothing of the old format stays beside the new one."""
    data, prompts, out = photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out"
    Session().label(data, prompts, out)
    before = files_in(out)
    with pytest.raises(OutputError, match=r"made otherwise.*--overwrite"):
        Session().label(data, prompts, out, format="voc")
    assert files_in(out) == before
    Session().label(data, prompts, out, format="voc", overwrite=True)
    assert files_in(out) == [
        "Annotations/a.xml",
        "Annotations/b.xml",
        "JPEGImages/a.png",
        "JPEGImages/b.png",
        "least-sure.jpg",
    ]


def test_what_all_pictures_would_meet_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that aren't here, a phrase that a detector doesn't know: the next try isn't told
    that something was made otherwise, for nothing was."""
    data, prompts, out = photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out"

    def refused(self: Session, request: Any, image: Any, on_step: Any = None) -> Any:
        raise WeightsMissing("not here")

    for kept in (False, True):
        out.mkdir() if kept else None
        with monkeypatch.context() as patch:
            patch.setattr(Session, "answer", refused)
            with pytest.raises(WeightsMissing):
                Session(profile="small").label(data, prompts, out)
        assert out.exists() is kept
    assert Session().label(data, prompts, out).pictures == 2


def test_somebodys_folder_is_left_alone(tmp_path: Path) -> None:
    data, prompts = photos(tmp_path), csv(tmp_path, *ROWS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other things"):
        Session().label(data, prompts, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"bbox": [10.0', '"bbox": [99.0'),
        ('"name": "mug"', '"name": "jug"'),
        ('"area": 528', '"area": 527'),
        ('"counts": "', '"counts": "0'),
        ('"size_wh": [64', '"size_wh": [65'),
        ('"sure": 0.75', '"sure": "x"'),
        ('"prompt": 0', '"prompt": 0.5'),
        ('"iscrowd": 0', '"iscrowd": "x"'),
    ],
)
def test_a_spoilt_answer_is_asked_again(
    tmp_path: Path, doubles: dict[str, Any], old: str, new: str
) -> None:
    """A disk or a person changed the line: no crash, and no label that nobody gave."""
    data, prompts, out = photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out"
    before = objects_in(Session().label(data, prompts, out).file)
    lines = (out / ANSWERS).read_text().splitlines(keepends=True)
    assert old in lines[1]
    (out / ANSWERS).write_text("".join([lines[0], lines[1].replace(old, new, 1), *lines[2:]]))
    doubles["segment"].asked.clear()
    labelled = Session().label(data, prompts, out)
    assert len(doubles["segment"].asked) == 1
    assert objects_in(labelled.file) == before


def test_a_strangers_folder_removes_nothing_elsewhere(tmp_path: Path) -> None:
    """What a folder of results says that it held is taken away when it is no longer asked for;
    a name that leads out of the folder isn't followed."""
    data, prompts, out = photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out"
    Session().label(data, prompts, out)
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"precious")
    with (out / ANSWERS).open("a") as file:
        for name in ("../../mine.png", str(mine), "..\\..\\mine.png"):
            file.write(json.dumps({"name": name, "key": ""}) + "\n")
    Session().label(data, prompts, out)
    Session().label(data, prompts, out, format="voc", overwrite=True)
    assert mine.read_bytes() == b"precious"


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [600, 20, 0], ids=["cut off", "a bare header", "empty"])
def test_a_picture_that_cant_be_read_fails_alone(tmp_path: Path, length: int) -> None:
    """Whether its header tells or not until it is decoded; the rest is a dataset."""
    data, prompts = photos(tmp_path), csv(tmp_path, *ROWS)
    path = data / "a.png"
    path.write_bytes(path.read_bytes()[:length])
    labelled = Session().label(data, prompts, tmp_path / "out")
    assert list(labelled.failed) == ["a.png"]
    assert [name for name, *_ in objects_in(labelled.file)] == ["b.png", "b.png"]
    with pytest.raises(LimnerError, match=r"a\.png"):
        Session().label(data, csv(tmp_path, ROWS[0]), tmp_path / "none")


def test_an_outline_without_pixels_is_named_and_shown_first(tmp_path: Path) -> None:
    """It isn't in the dataset, and isn't lost in silence."""
    rows = (*ROWS, "c.png,mug,10.6,10.6,11.4,11.4,,")
    labelled = Session().label(photos(tmp_path), csv(tmp_path, *rows), tmp_path / "out")
    assert labelled.empty == ("mug, c.png",)
    assert labelled.objects == {"mug": 2, "plate": 1}
    assert labelled.sheet == tmp_path / "out" / "least-sure.jpg"
    assert (
        Session()
        .label(tmp_path / "photos", csv(tmp_path, *rows), tmp_path / "none", least_sure=0)
        .sheet
        is None
    )


def test_a_click_without_an_outline_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no box to be shown by."""
    monkeypatch.setattr(
        "tests.pipeline.doubles._filled",
        lambda prompt, size_wh: np.zeros(size_wh[::-1], dtype=bool),
    )
    labelled = Session().label(photos(tmp_path), csv(tmp_path, "a.png,x,,,,,20,20"), tmp_path / "o")
    assert labelled.empty == ("x, a.png",)
    assert labelled.sheet is not None
    assert json.loads(labelled.file.read_text())["annotations"] == []


def test_an_error_of_a_model_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a model can't open isn't the folder of results that can't be written."""

    def broken(self: Session, request: Any, image: Any, on_step: Any = None) -> Any:
        raise OSError("weights")

    monkeypatch.setattr(Session, "answer", broken)
    with pytest.raises(OSError, match="weights"):
        Session().label(photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out")


def test_a_dataset_is_its_own_prompts(tmp_path: Path) -> None:
    """Named twice it is the same."""
    Session().label(photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "v", format="voc")
    labelled = Session().label(tmp_path / "v", tmp_path / "v", tmp_path / "out")
    assert labelled.objects == {"mug": 2, "plate": 1}


def test_a_name_that_leads_out_of_the_folder_stays_in_it(tmp_path: Path) -> None:
    """Labels from a stranger say where pictures lie, and not where copies go."""
    photos(tmp_path, ("a.png",))
    (tmp_path / "labels").mkdir()
    boxes = coco(tmp_path / "labels", [("../photos/a.png", 3, (10, 8, 24, 22))])
    labelled = Session().label(boxes, out=tmp_path / "deep" / "out")
    assert files_in(tmp_path / "deep") == [
        "out/annotations.json",
        "out/images/a.png",
        "out/least-sure.jpg",
    ]
    assert objects_in(labelled.file) == [("a.png", "mug", (10, 8, 24, 22))]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"threshold": 0.3}, "Settings of a detector have no effect"),
        ({"format": "coco8"}, "format is one of coco, yolo-seg"),
        ({"treshold": 0.3}, "did you mean threshold"),
        ({"points_per_side": 8}, "no everything mode"),
        ({"points": [[1, 2]]}, "from a file"),
    ],
)
def test_settings_without_effect(tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        Session().label(photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_label_files_of_two_pictures_would_be_one(tmp_path: Path) -> None:
    """a.png and a.jpg: COCO holds both, YOLO and VOC can't."""
    data = photos(tmp_path, ("a.png", "a.jpg"))
    prompts = csv(tmp_path, ROWS[0], "a.jpg,mug,1,1,20,20,,")
    with pytest.raises(LimnerError, match=r"one label file for a\.jpg and a\.png"):
        Session().label(data, prompts, tmp_path / "out", format="voc")
    assert len(objects_in(Session().label(data, prompts, tmp_path / "out").file)) == 2


def test_two_processes_dont_write_one_dataset(tmp_path: Path) -> None:
    from filelock import FileLock

    from limner.session.labelling.answers import LOCK

    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / LOCK),
        pytest.raises(OutputError, match="Another limner label is at work"),
    ):
        Session().label(photos(tmp_path), csv(tmp_path, *ROWS), tmp_path / "out")
