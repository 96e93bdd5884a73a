"""One command, one table: classes as asked for, images numbered, one file that lists all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from limner.evaluation import datasets
from limner.evaluation.datasets.predictions import rows_for
from tests.cli.command import Command
from tests.conftest import need_minis

SCENES = Path(__file__).parents[3] / "examples" / "scenes"
SHOWN = ("--point", "30,30", "--object", "--box", "60,20,90,70")
"""Asked in this order; sorted, it would be the other."""


def drawn(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (120, 90), "white")
    picture.paste("red", (20, 20, 45, 45))
    picture.paste("blue", (62, 22, 88, 68))
    picture.save(path)


def content(path: str) -> Any:
    return json.loads(Path(path).read_text())


def table(rows: Any) -> list[tuple[int, str]]:
    return [(row["id"], row["name"]) for row in rows["categories"]]


def test_classes_keep_their_order_and_images_their_numbers(limner: Command) -> None:
    """Numbers came from what was found, sorted, and every picture was number 1."""
    for name in "abc":
        drawn(Path(f"in/{name}.png"))
    limner("segment", "in", *SHOWN, "--semantic", "--panoptic", "-o", "out")
    for number, name in enumerate("abc", start=1):
        mine = content(f"out/{name}-segment.json")
        assert table(mine) == [(1, "point"), (2, "box")]
        assert [(i["id"], i["file_name"]) for i in mine["images"]] == [(number, f"{name}.png")]
        assert {row["image_id"] for row in mine["annotations"]} == {number}
        assert mine["info"]["limner"]["semantic"] == {"1": "point", "2": "box"}
        panoptic = content(f"out/{name}-segment-panoptic.json")
        assert table(panoptic) == table(mine)
        assert [row["image_id"] for row in panoptic["annotations"]] == [number]
        pixels = np.asarray(Image.open(f"out/{name}-segment-semantic.png"))
        assert (pixels[30, 30], pixels[40, 75], pixels[5, 5]) == (1, 2, 0)
    listing = COCO("out/annotations-segment.json")
    assert sorted(listing.imgs) == [1, 2, 3]
    assert sorted(listing.anns) == [1, 2, 3, 4, 5, 6]
    for row in listing.anns.values():
        assert coco_mask.area(row["segmentation"]) == row["area"]
    read = datasets.read(Path("out"), "segm", images=Path("in"))
    assert [len(image.objects) for image in read.images] == [2, 2, 2]
    assert read.names == ("point", "box")


def test_a_run_that_goes_on_takes_over_the_numbers(limner: Command) -> None:
    """A picture that came later sorts between others: no number is given twice or changes."""
    for name in "ac":
        drawn(Path(f"in/{name}.png"))
    limner("segment", "in", *SHOWN, "-o", "out")
    drawn(Path("in/b.png"))
    limner("segment", "in", *SHOWN, "-o", "out")
    ids = {name: content(f"out/{name}-segment.json")["images"][0]["id"] for name in "abc"}
    assert ids == {"a": 1, "c": 2, "b": 3}
    listing = content("out/annotations-segment.json")
    assert {image["file_name"][0]: image["id"] for image in listing["images"]} == ids
    before = Path("out/annotations-segment.json").read_bytes()
    assert limner("segment", "in", *SHOWN, "-o", "out").stdout.count("done already") == 4
    assert Path("out/annotations-segment.json").read_bytes() == before


def test_maps_are_written_where_nothing_was_found(limner: Command) -> None:
    """With the table of what was asked for, so that a set of maps has no holes."""
    Image.new("RGB", (99, 80), "white").save("blank.png")
    words = ("segment", "blank.png", "--text", "face", "--semantic", "--panoptic")
    for _ in range(2):
        answer = limner(*words)
    assert "done already" in answer.stdout
    assert table(content("blank-segment.json")) == [(1, "face")]
    for name in ("semantic", "panoptic"):
        assert not np.asarray(Image.open(f"blank-segment-{name}.png")).any()
    assert content("blank-segment-panoptic.json")["annotations"][0]["segments_info"] == []


@pytest.mark.parametrize("more", [(), ("--no-record",)])
def test_what_is_said_as_json_is_what_is_written(limner: Command, more: tuple[str, ...]) -> None:
    for name in "ab":
        drawn(Path(f"in/{name}.png"))
    words = ("segment", "in", *SHOWN, "-o", "out", "--json", *more)
    lines = limner(*words).stdout.splitlines()
    for line, name in zip(lines, "ab", strict=True):
        for key in ("annotations", "categories"):
            assert json.loads(line)[key] == content(f"out/{name}-segment.json")[key]
    assert [row["id"] for row in content("out/annotations-segment.json")["images"]] == [1, 2]


@pytest.mark.parametrize("there", ["{}", "of other pictures"])
def test_a_listing_of_others_is_not_replaced(limner: Command, there: str) -> None:
    drawn(Path("in/a.png"))
    drawn(Path("others/x.png"))
    file = Path("out/annotations-segment.json")
    if there == "{}":
        file.parent.mkdir()
        file.write_text(there)
    else:
        limner("segment", "others", *SHOWN, "-o", "out")
    before = file.read_bytes()
    answer = limner.run("segment", "in", *SHOWN, "-o", "out")
    assert answer.code == 2
    assert "annotations-segment.json" in answer.stderr
    assert not Path("out/a-segment.json").exists()
    assert file.read_bytes() == before
    limner("segment", "in", *SHOWN, "-o", "out", "--overwrite")
    assert [row["file_name"] for row in content(str(file))["images"]] == ["a.png"]


@pytest.mark.parametrize("second", ["apple", "Apple", " APPLE "])
def test_one_phrase_twice_is_refused(limner: Command, second: str) -> None:
    """One of the two took all answers, or each thing was two objects."""
    drawn(Path("a.png"))
    answer = limner.run("segment", "a.png", "--text", "apple", "--text", second)
    assert answer.code == 2
    assert "ask for the same things" in answer.stderr


@pytest.mark.slow
def test_limners_own_results_are_scored_as_the_model_itself(limner: Command) -> None:
    """Files, folder and listing of one run give what the model run now gives: mIoU was .050."""
    need_minis()
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    ids: dict[str, int] = {}
    for key, name in enumerate(("lawn", "planks"), start=1):
        one = content(str(SCENES / f"{name}.json"))
        names = {row["id"]: row["name"] for row in one["categories"]}
        truth["images"].append({**one["images"][0], "id": key})
        for row in one["annotations"]:
            number = ids.setdefault(names[row["category_id"]], len(ids) + 1)
            numbers = {"id": len(truth["annotations"]) + 1, "image_id": key}
            truth["annotations"].append({**row, **numbers, "category_id": number})
        drawn(Path("in") / f"{name}.png")
        Path(f"in/{name}.png").write_bytes((SCENES / f"{name}.png").read_bytes())
    truth["categories"] = [{"id": number, "name": name} for name, number in ids.items()]
    Path("in/annotations.json").write_text(json.dumps(truth))
    phrases = [word for name in ids for word in ("--text", name)]
    limner("segment", "in", *phrases, "--profile", "mini", "--semantic", "--panoptic", "-o", "out")
    assert table(content("out/lawn-segment.json")) == [(k, n) for n, k in ids.items()]
    assert table(content("out/planks-segment.json")) == [(k, n) for n, k in ids.items()]
    score = ("score", "segment", "in/annotations.json")
    now = limner.json(*score, "--profile", "mini")["scores"]
    assert now["miou"] > 0.7
    for predictions in ("out/annotations-segment.json", "out"):
        scores = limner.json(*score, "--predictions", predictions)["scores"]
        for key in ("objects", "missed", "surplus", "miou"):
            assert scores[key] == pytest.approx(now[key])
    rows = rows_for(datasets.read(Path("in"), "segm"), Path("out/annotations-segment.json"), ())
    assert {row["image_id"] for row in rows} == {1, 2}
