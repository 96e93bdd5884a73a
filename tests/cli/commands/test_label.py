"""``limner label``: one command for a dataset, one sentence for what can't be one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import Command
from tests.session.labelling.places import ROWS, coco, csv, photos


def test_boxes_to_a_dataset(tmp_path: Path, limner: Command) -> None:
    """What is written is said: how much of what, under which numbers; again, that it was there."""
    data, prompts = photos(tmp_path), csv(tmp_path, *ROWS)
    first = limner("label", data, "--prompts", prompts, "-o", "out", "--store", "runs")
    assert first.stdout.splitlines() == [
        "out/annotations.json  2 pictures, 3 objects",
        "  1 mug: 2, 2 plate: 1",
        "  the least sure: out/least-sure.jpg",
    ]
    assert "says nothing of 1 picture, left out: c.png." in first.stderr
    with Image.open("out/least-sure.jpg") as sheet:
        assert sheet.width > 400
    again = limner.json("label", data, "--prompts", prompts, "-o", "out")
    assert again["done_before"] == 2
    assert again["classes"] == {"mug": 1, "plate": 2}
    assert again["objects"] == {"mug": 2, "plate": 1}
    assert limner("runs", "list", "--store", "runs").stdout.count("segment") == 2


def test_a_dataset_of_boxes_needs_no_prompts(tmp_path: Path, limner: Command) -> None:
    """Its own boxes are outlined; the folder is named after it."""
    limner(
        "label", photos(tmp_path), "--prompts", csv(tmp_path, *ROWS), "--format", "voc", "-o", "v"
    )
    answer = limner("label", "v")
    assert answer.stdout.startswith("v-label/annotations.json  2 pictures, 3 objects")


def test_a_picture_that_cant_be_read_is_said_and_the_exit_code(
    tmp_path: Path, limner: Command
) -> None:
    data, prompts = photos(tmp_path), csv(tmp_path, *ROWS)
    (data / "a.png").write_bytes((data / "a.png").read_bytes()[:600])
    answer = limner.run("label", data, "--prompts", prompts, "-o", "out")
    assert answer.code == 2
    assert "1 picture, 2 objects, 1 failed" in answer.stdout
    assert answer.stderr.count("a.png") == 1
    assert len(json.loads(Path("out/annotations.json").read_text())["images"]) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--prompts", "none.csv"], "There is no none.csv"),
        ([], "holds no labels: say with --prompts"),
        (["--prompts", "boxes.csv", "--threshold", ".3"], "Settings of a detector have no effect"),
        (["--prompts", "boxes.csv", "--detector", "haar"], "--detector has no effect: boxes.csv"),
        (["--prompts", "boxes.csv", "--format", "tfrecord"], "tfrecord"),
        (["--prompts", "boxes.csv", "-o", "boxes.csv"], "boxes.csv"),
        (
            ["--prompts", "boxes.csv", "-o", "photos"],
            "no image in photos but the results in photos",
        ),
        (["--prompts", "boxes.csv", "--segmenter", "no-such"], "no-such"),
        (["--prompts", "bad.csv"], "bad.csv:2: The row has no numbers"),
    ],
)
def test_what_cant_be_meant(
    tmp_path: Path, limner: Command, words: list[str], sentence: str
) -> None:
    """Exit code 2, one sentence, and nothing half written."""
    photos(tmp_path)
    csv(tmp_path, "a.png,mug").rename(tmp_path / "bad.csv")
    csv(tmp_path, *ROWS)
    before = sorted(tmp_path.rglob("*"))
    answer = limner.run("label", "photos", *words)
    assert answer.code == 2
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("limner: ")]
    assert sentence in line
    assert sorted(path for path in tmp_path.rglob("*") if ".home" not in str(path)) == before


def test_only_classes_with_objects_are_listed(tmp_path: Path, limner: Command) -> None:
    """A table of eighty classes isn't a line; that there are others is said, and all are in the
    file."""
    prompts = coco(tmp_path, [("a.png", 3, (10, 8, 24, 22))])
    answer = limner("label", photos(tmp_path), "--prompts", prompts, "-o", "out")
    assert "  3 mug: 1, no object of 1 other class" in answer.stdout.splitlines()
    categories = json.loads(Path("out/annotations.json").read_text())["categories"]
    assert [(row["id"], row["name"]) for row in categories] == [(17, "plate"), (3, "mug")]
