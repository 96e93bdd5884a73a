"""``limner probe`` and ``limner tune``, through the real command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import need_minis
from tests.evaluation import labelled

from .command import Command

SCENES = Path(__file__).parents[2] / "examples" / "scenes"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return labelled.coco(tmp_path / "data") / "a.png"


def test_a_box_that_is_moved(limner: Command, picture: Path) -> None:
    """GrabCut told a box a little wrong; the true mask is known."""
    Image.fromarray(labelled.rectangle((10, 5, 30, 25))).save("truth.png")
    asked = ["probe", picture, "--box", "8,3,32,27", "--times", "3"]
    charts = ["--charts", "charts"]
    said = limner(*asked, "--truth", "truth.png", "-o", "out/worst.png", *charts).stdout
    assert "as given" in Path("charts/probe.svg").read_text()
    taken = limner.run(*asked, "-o", "other.png", *charts)
    assert (taken.code, Path("other.png").exists()) == (2, False)
    report = json.loads(Path("out/worst.json").read_text())
    assert (report["measure"], len(report["trials"])) == ("iou", 3)
    assert report["worst"] == min(trial["value"] for trial in report["trials"])
    assert report["asked"] > 0.7
    assert f"worst {report['worst']:.3f}" in said
    assert labelled.opened("out/worst.png").size == labelled.SIZE_WH
    again = limner.json(*asked, "--truth", "truth.png", "-o", "again.png")
    assert again["trials"] == report["trials"]


def test_without_a_true_mask_answers_are_held_against_the_first(
    limner: Command, picture: Path
) -> None:
    report = limner.json("probe", picture, "--box", "8,3,32,27", "--times", "2")
    assert report["against"] == "the answer to the prompt as given"
    assert Path("a-probe.png").is_file()
    assert Path("a-probe.json").is_file()


def test_a_click_on_mini_sam(limner: Command) -> None:
    need_minis("mini-sam")
    scene = SCENES / "lawn.png"
    content = json.loads((SCENES / "lawn.json").read_text())
    x, y, width, height = content["annotations"][0]["bbox"]
    click = f"{x + width // 2},{y + height // 2}"
    report = limner.json("probe", scene, "--point", click, "--times", "3", "--profile", "mini")
    assert [model["name"] for model in report["models"]] == ["mini-sam"]
    assert 0 <= report["worst"] <= report["mean"] <= 1


def test_a_phrase_said_otherwise(limner: Command, astronaut: Path) -> None:
    """The weightless detector knows two words for it."""
    asked = ["--text", "face", "--template", "{thing}s", "-o", "p.png"]
    report = limner.json("probe", astronaut, *asked)
    assert [trial["how"] for trial in report["trials"]] == ["“faces”"]
    assert report["mean"] == 1  # one cascade, two words


BAD = [
    ("nothing asked", [], "0 were given"),
    ("two objects", ["--point", "5,5", "--object", "--point", "9,9"], "2 were given"),
    ("a template without a phrase", ["--point", "15,15", "--template", "x {thing}"], "--template"),
    ("a template without a place", ["--text", "face", "--template", "x"], "{thing}"),
    ("a mask of another size", ["--point", "15,15", "--truth", "small.png"], "5x5"),
    ("nothing to vary", ["--mask", "truth.png"], "nothing to vary"),
    ("no picture", ["--point", "15,15", "-o", "x.json"], "--out is a picture"),
    ("taken", ["--point", "15,15", "-o", "small.png"], "--overwrite"),
    ("outside", ["--point", "99,15"], "outside"),
]


@pytest.mark.parametrize(("words", "says"), [pytest.param(*r[1:], id=r[0]) for r in BAD])
def test_bad_probes_are_one_sentence_and_exit_2(
    limner: Command, picture: Path, words: list[str], says: str
) -> None:
    Image.new("L", (5, 5), 255).save("small.png")
    Image.fromarray(labelled.rectangle((10, 5, 30, 25))).save("truth.png")
    answer = limner.run("probe", picture, *words)
    assert answer.code == 2, answer.stderr
    assert says in answer.stderr


def test_a_threshold_for_faces(limner: Command, astronaut: Path, tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": astronaut.name, "width": 512, "height": 512}],
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "tree"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [175, 65, 110, 130],
                "area": 14300,
                "iscrowd": 0,
            }
        ],
    }
    (tmp_path / "faces.json").write_text(json.dumps(content))
    answer = limner(
        "tune", "faces.json", "--images", astronaut.parent, "-o", "report.json", "--charts", "c"
    )
    (tuned,) = json.loads(Path("report.json").read_text())["scores"]
    assert (tuned["phrase"], tuned["f1"], tuned["images"]) == ("face", 1.0, 1)
    assert 0 < tuned["threshold"] < 1
    assert sorted(path.name for path in Path("c").iterdir()) == [
        "threshold-1-face.png",
        "threshold-1-face.svg",
    ]
    assert "1 in 1 of 1 pictures is little to go by" in answer.stderr
    pasted = re.search(r"--threshold-for 'face=(0\.\d+)'", answer.stdout)
    assert pasted
    found = limner.json(
        "detect", astronaut, "--text", "face", "--threshold-for", f"face={pasted[1]}"
    )
    assert len(found["annotations"]) == 1


def test_nothing_to_tune_on(limner: Command, tmp_path: Path) -> None:
    content = labelled.coco_content()
    content["annotations"] = []
    labelled.photos(tmp_path / "data")
    (tmp_path / "data" / "annotations.json").write_text(json.dumps(content))
    answer = limner.run("tune", "data")
    assert (answer.code, "labels no object" in answer.stderr) == (2, True)
