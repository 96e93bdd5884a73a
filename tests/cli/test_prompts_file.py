"""``--prompts FILE``: each picture's own prompts, of every verb that takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.session.labelling.places import ROWS, coco, csv, photos


def test_classes_have_one_number_in_all_pictures(tmp_path: Path, limner: Command) -> None:
    """The first picture asks for a mug, the second for a plate first: the file's order counts, in
    each picture's file and in the folder's."""
    data = photos(tmp_path, ("a.png", "b.png"))
    csv(tmp_path, "b.png,plate,2,2,20,20,,", *ROWS[::2])
    first = limner("segment", data, "--prompts", "boxes.csv", "-o", "out")
    tables = [json.loads(path.read_text())["categories"] for path in Path("out").glob("*.json")]
    assert len(tables) == 3
    for table in tables:
        assert [(row["id"], row["name"]) for row in table] == [(1, "plate"), (2, "mug")]
    assert "out/b-segment.png  2 objects" in first.stdout
    again = limner("segment", data, "--prompts", "boxes.csv", "-o", "out")
    assert again.stdout.count("done already") == 3  # two lines and their sum


def test_numbers_stay_when_rows_are_put_in_another_order(tmp_path: Path, limner: Command) -> None:
    """A table that was sorted, and a picture that came: its classes have the old numbers."""
    data = photos(tmp_path, ("a.png", "b.png"))
    csv(tmp_path, "b.png,plate,2,2,20,20,,", ROWS[0])
    limner("segment", data, "--prompts", "boxes.csv", "-o", "out")
    photos(tmp_path)
    csv(tmp_path, ROWS[0], "b.png,plate,2,2,20,20,,", "c.png,mug,1,1,30,30,,")
    limner("segment", data, "--prompts", "boxes.csv", "-o", "out")
    files = sorted(Path("out").glob("*.json"))
    assert len(files) == 4
    tables = [json.loads(path.read_text())["categories"] for path in files]
    assert [[row["name"] for row in table] for table in tables] == [["plate", "mug"]] * 4


@pytest.mark.parametrize(
    ("verb", "own"),
    [
        ("segment", ()),
        ("cutout", ()),
        ("remove", ()),
        ("redact", ()),
        ("background", ("--blur", "3")),
    ],
)
def test_every_verb_takes_the_file(
    tmp_path: Path, limner: Command, verb: str, own: tuple[str, ...]
) -> None:
    """What it asks is what the flags would: the same job, so that one finds the other's result."""
    data = photos(tmp_path, ("a.png", "b.png"))
    csv(tmp_path, *ROWS)
    limner(verb, data, *own, "--prompts", "boxes.csv", "-o", "out")
    words = ["--box", "2,2,20,20", "--label", "plate", "--object"]
    words += ["--box", "30,10,50,40", "--label", "mug"]
    by_flags = limner(verb, data / "b.png", *own, *words, "-o", "out")
    assert "done already" in by_flags.stdout


def test_a_file_of_phrases_is_asked_of_all(tmp_path: Path, limner: Command) -> None:
    """A detector's settings count then, and with boxes they are refused."""
    data = photos(tmp_path, ("a.png",))
    Path("classes.yaml").write_text("person: face\n")
    limner("segment", data, "--prompts", "classes.yaml", "--threshold-for", "face=0.9", "-o", "o")
    (table,) = [json.loads(Path("o/a-segment.json").read_text())["categories"]]
    assert table == [{"id": 1, "name": "person", "supercategory": ""}]
    csv(tmp_path, *ROWS)
    refused = limner.run("segment", data, "--prompts", "boxes.csv", "--threshold", ".9", "-o", "p")
    assert refused.code == 2
    assert "--threshold has no effect" in refused.stderr


def test_boxes_are_no_question_for_a_detector(tmp_path: Path, limner: Command) -> None:
    """They say where, not what; phrases are, and an edit takes the file too."""
    data = photos(tmp_path, ("a.png",))
    csv(tmp_path, *ROWS)
    Path("classes.yaml").write_text("person: face\n")
    limner("detect", data, "--prompts", "classes.yaml", "-o", "out")
    refused = limner.run("detect", data, "--prompts", "boxes.csv", "-o", "boxes")
    assert refused.code == 2
    assert "says where, not what" in refused.stderr
    plan = limner.json(
        "edit", data, "--prompts", "boxes.csv", "--paint", "a car", "--profile", "mini", "--dry-run"
    )
    assert [row["task"] for row in plan["models"]] == ["segment", "inpaint"]


def test_a_plan_knows_the_file(tmp_path: Path, limner: Command) -> None:
    """Boxes need no detector, phrases do; no picture has to fit them."""
    data = photos(tmp_path)
    csv(tmp_path, *ROWS)
    Path("classes.yaml").write_text("[face]")
    tasks = {
        file: [
            row["task"]
            for row in limner.json("cutout", data, "--dry-run", "--prompts", file)["models"]
        ]
        for file in ("boxes.csv", "classes.yaml")
    }
    assert tasks == {"boxes.csv": ["segment"], "classes.yaml": ["detect", "segment"]}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["photos", "--prompts", "boxes.csv", "--box", "1,2,3,4"], "give it, or --point, --box"),
        (["photos", "--prompts", "none.csv"], "There is no none.csv"),
        (
            ["photos/c.png", "--prompts", "boxes.csv"],
            "holds no prompt for photos/c.png: it is for a",
        ),
        (["photos/a.png", "--prompts", "bad.csv"], "bad.csv:2 labels 1,2 to 99,40 in a picture of"),
        (
            ["photos/a.png", "--prompts", "boxes.json"],
            "a.png is 64x48 pixels and boxes.json is for",
        ),
    ],
)
@pytest.mark.parametrize("verb", ["segment", "redact"])
def test_what_cant_be_meant(
    tmp_path: Path, limner: Command, verb: str, words: list[str], sentence: str
) -> None:
    """One sentence before any model is asked, exit code 2, nothing written."""
    photos(tmp_path)
    csv(tmp_path, "a.png,mug,1,2,99,40,,").rename(tmp_path / "bad.csv")
    csv(tmp_path, *ROWS)
    boxes = coco(tmp_path, [("a.png", 3, (10, 8, 24, 22))])
    boxes.write_text(boxes.read_text().replace('"width": 64', '"width": 65'))
    answer = limner.run(verb, *words, "-o", "out")
    assert answer.code == 2
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("limner: ")]
    assert sentence in line
    assert not Path("out").exists()


def test_a_picture_without_prompts_fails_alone(tmp_path: Path, limner: Command) -> None:
    """A redaction that was asked nothing of it must not pass for one that found nothing."""
    csv(tmp_path, *ROWS)
    answer = limner.run("redact", photos(tmp_path), "--prompts", "boxes.csv", "-o", "out")
    assert answer.code == 2
    assert "limner: photos/c.png: boxes.csv holds no prompt for it." in answer.stderr.replace(
        f"{tmp_path}/", ""
    )
    assert sorted(path.stem for path in Path("out").glob("*.png")) == ["a-redact", "b-redact"]


def test_prompts_for_other_pictures_are_said(tmp_path: Path, limner: Command) -> None:
    csv(tmp_path, *ROWS)
    answer = limner("segment", photos(tmp_path) / "a.png", "--prompts", "boxes.csv", "-o", "out")
    assert "boxes.csv is also for pictures that aren't among these: b.png." in answer.stderr
