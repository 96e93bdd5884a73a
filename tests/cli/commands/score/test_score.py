"""``limner score`` through the real command line: shipped models, weightless ones, or none."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.models.blocks import perceptual
from limner.ops import masks
from tests.cli.command import Command
from tests.conftest import need_minis
from tests.evaluation import labelled

SCENES = Path(__file__).parents[4] / "examples" / "scenes"


def results(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text(json.dumps(list(rows)))
    return path


def row(image: Any, category: int, box: list[float], score: float = 0.9, **more: Any) -> Any:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score, **more}


EXACT = (row(7, 17, [10, 5, 20, 20]), row(7, 18, [40, 10, 10, 20]), row(9, 17, [0, 0, 20, 40]))
YOLO_EXACT = tuple(
    {**r, "image_id": {7: "a", 9: "b.png"}[r["image_id"]], "category_id": r["category_id"] - 16}
    for r in EXACT
)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return labelled.coco(tmp_path / "data")


# --- detect ---------------------------------------------------------------------------------------


def test_boxes_of_a_result_file(limner: Command, coco: Path) -> None:
    """One of three missed: the cat's AP is 1, the dog's 0."""
    file = results(Path("r.json"), EXACT[0], EXACT[2])
    report = limner.json("score", "detect", coco, "--predictions", file)
    assert report["scores"]["AP"] == 0.5
    assert report["data"]["objects"] == 3
    only = limner.json("score", "detect", coco, "--predictions", file, "--class", "cat")
    assert (only["scores"]["AP"], only["data"]["classes"]) == (1.0, ["cat"])
    table = limner("score", "detect", coco, "--predictions", file, "-o", "out/report.json").stdout
    assert re.search(r"AP +0\.5000 *\n", table)
    assert json.loads(Path("out/report.json").read_text()) == report


@pytest.mark.parametrize("write", [labelled.yolo, labelled.voc], ids=["yolo", "voc"])
def test_yolo_and_voc_folders_score_alike(
    limner: Command, tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    """Pictures may be named by file; classes count from 1 in the order of the labels."""
    folder, file = write(tmp_path / "data"), results(tmp_path / "r.json", *YOLO_EXACT)
    assert limner.json("score", "detect", folder, "--predictions", file)["scores"][
        "AP"
    ] == pytest.approx(1)


def test_charts_beside_the_numbers(limner: Command, coco: Path) -> None:
    """Each as PNG and SVG; what lies there is refused before anything is scored."""
    rows = [row(7, 17, [10, 5, 20, 20]), row(7, 17, [0, 0, 5, 5], 0.3)]
    asked = ["score", "detect", coco, "--predictions", results(Path("own.json"), *rows)]
    said = limner(*asked, "--charts", "drawn").stdout
    drawn = sorted(path.name for path in Path("drawn").iterdir())
    assert drawn == [
        f"{name}{kind}" for name in ("confidences", "precision-recall") for kind in (".png", ".svg")
    ]
    assert "drawn/precision-recall.png, .svg" in said
    assert "1 hit" in Path("drawn/confidences.svg").read_text()
    again = limner.run(*asked, "--charts", "drawn")
    assert (again.code, again.stdout) == (2, "")
    assert "--overwrite" in again.stderr
    json.loads(limner(*asked, "--charts", "drawn", "--overwrite", "--json").stdout)
    limner("score", "segment", coco, "--clicks", "2", "--charts", "clicks")
    assert "grabcut" in Path("clicks/clicks.svg").read_text()


def test_boxes_of_a_model_run_now(limner: Command, astronaut: Path, tmp_path: Path) -> None:
    """The weightless detector finds the one face."""
    box = [175, 65, 110, 130]
    content = {
        "images": [{"id": 1, "file_name": astronaut.name, "width": 512, "height": 512}],
        "categories": [{"id": 5, "name": "face"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": box, "area": 14300, "iscrowd": 0}
        ],
    }
    (tmp_path / "faces.json").write_text(json.dumps(content))
    report = limner.json("score", "detect", "faces.json", "--images", astronaut.parent)
    assert report["scores"]["AP50"] == pytest.approx(1)
    assert [model["name"] for model in report["models"]] == ["haar"]


def test_lvis_and_d3(limner: Command, coco: Path, tmp_path: Path) -> None:
    file = results(Path("r.json"), *EXACT)
    lvis = labelled.coco_content()
    for image in lvis["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for category, frequency in zip(lvis["categories"], "rf", strict=True):
        category["frequency"] = frequency
    (tmp_path / "lvis.json").write_text(json.dumps(lvis))
    asked = ["--images", coco, "--predictions", file, "--protocol", "lvis"]
    report = limner.json("score", "detect", "lvis.json", *asked)
    assert (report["scores"]["APr"], report["scores"]["APc"]) == (1.0, None)
    d3 = tmp_path / "d3"
    d3.mkdir()
    for name in ("full", "pres", "abs"):
        (d3 / f"d3_{name}_annotations.json").write_text(json.dumps(labelled.coco_content()))
    report = limner.json("score", "detect", d3, "--predictions", file, "--protocol", "d3")
    assert report["scores"] == pytest.approx({"FULL": 1, "PRES": 1, "ABS": 1})


def test_what_was_left_out_of_the_labels_is_said(limner: Command, coco: Path) -> None:
    """A row that encloses nothing neither blocks the set nor counts as missed, nor goes unsaid."""
    content = labelled.coco_content()
    content["annotations"][1]["bbox"] = [40, 10, 0, 20]
    (coco / "annotations.json").write_text(json.dumps(content))
    words = ("score", "detect", coco, "--predictions", results(Path("r.json"), EXACT[0], EXACT[2]))
    report = limner.json(*words)
    assert report["scores"]["AP"] == 1
    assert report["notes"] == ["COCO annotation 1 (id 1, a.png) encloses nothing and was left out."]
    assert f"limner: {report['notes'][0]}" in limner(*words).stderr


# --- segment --------------------------------------------------------------------------------------


def test_masks_of_a_folder_and_of_a_result_file(limner: Command, coco: Path) -> None:
    """The same three masks both ways; the dog's is its upper half."""
    boxes = {"a-0-cat": (10, 5, 30, 25), "a-1-dog": (40, 10, 50, 20), "b": (0, 0, 20, 40)}
    drawn = {name: labelled.rectangle(box) for name, box in boxes.items()}
    Path("masks").mkdir()
    for name, mask in drawn.items():
        Image.fromarray(mask).save(f"masks/{name}.png")
    rows = [
        {**r, "segmentation": masks.to_rle(mask)}
        for r, mask in zip(EXACT, drawn.values(), strict=True)
    ]
    by_folder = limner.json("score", "segment", coco, "--predictions", "masks")
    by_rows = limner.json("score", "segment", coco, "--predictions", results(Path("r.json"), *rows))
    assert by_folder["scores"]["miou"] == pytest.approx(2.5 / 3)
    assert by_folder["rows"] == by_rows["rows"]
    assert by_rows["scores"]["AP50"] == 1
    assert by_rows["scores"]["AP"] == pytest.approx((1 + 0.1) / 2)  # the dog at IoU .50 only


def test_a_black_mask_is_an_answer_nothing(limner: Command, coco: Path) -> None:
    Path("masks").mkdir()
    Image.new("L", labelled.SIZE_WH).save("masks/a.png")
    report = limner.json("score", "segment", coco, "--predictions", "masks")
    assert (report["scores"]["missed"], report["scores"]["miou"]) == (3, 0)


def test_outlines_of_a_model_run_now(limner: Command, coco: Path) -> None:
    """GrabCut on coloured rectangles, told their boxes; then clicked."""
    report = limner.json("score", "segment", coco, "--prompt", "box")
    assert report["scores"]["miou"] > 0.8
    assert [model["name"] for model in report["models"]] == ["grabcut"]
    clicked = limner.json("score", "segment", coco, "--clicks", "3")
    scores = clicked["scores"]
    assert {"NoC@85", "NoC@90", "NoF@85", "NoF@90", "mIoU@1", "mIoU@3"} <= set(scores)
    assert 1 <= scores["NoC@85"] <= scores["NoC@90"] <= 3
    assert len(clicked["rows"]) == 3


def test_mini_sam_on_the_drawn_scenes(limner: Command) -> None:
    need_minis("mini-sam")
    asked = ["--prompt", "point", "--profile", "mini"]
    report = limner.json("score", "segment", SCENES / "lawn.json", *asked)
    assert [model["name"] for model in report["models"]] == ["mini-sam"]
    assert report["scores"]["miou"] > 0.3


# --- edit and subject -----------------------------------------------------------------------------


def test_an_edit(limner: Command, coco: Path) -> None:
    Image.fromarray(labelled.rectangle((40, 10, 50, 30))).save("mask.png")
    before, after = coco / "a.png", Path("after.png")
    limner("remove", before, "--mask", "mask.png", "-o", after)
    report = limner.json("score", "edit", before, before, "--mask", "mask.png")
    assert report["scores"]["seam_added"] == 0
    assert (report["scores"]["psnr_outside"], report["scores"]["ssim_outside"]) == (100, 1)
    pixels = np.array(labelled.opened(after))
    pixels[0, 0] ^= 8
    Image.fromarray(pixels).save("worse.png")
    scores = limner.json("score", "edit", before, "worse.png", "-m", "mask.png")["scores"]
    assert scores["outside_changed_pixels"] >= 1
    assert scores["psnr_outside"] < 100


def test_edits_of_a_folder(limner: Command, coco: Path) -> None:
    Path("after").mkdir()
    for name in ("a", "b"):
        labelled.opened(coco / f"{name}.png").save(f"after/{name}.png")
    Image.fromarray(labelled.rectangle((0, 0, 9, 9))).save("mask.png")
    report = limner.json("score", "edit", coco, "after", "-m", "mask.png")
    assert (report["scores"]["pictures"], len(report["rows"])) == (2, 2)
    Path("after/b.png").rename("after/b-remove.png")  # as limner itself names it
    again = limner.json("score", "edit", coco, "after", "-m", "mask.png")
    assert again["scores"] == report["scores"]
    labelled.opened(coco / "b.png").save("after/b-edit.png")
    answer = limner.run("score", "edit", coco, "after", "-m", "mask.png")
    assert (answer.code, "which one is meant" in answer.stderr) == (2, True)
    for name in ("b-edit", "b-remove"):
        Path(f"after/{name}.png").unlink()
    answer = limner.run("score", "edit", coco, "after", "-m", "mask.png")
    assert (answer.code, "no picture named b" in answer.stderr) == (2, True)


def test_portraits_of_a_subject(limner: Command) -> None:
    """Crops of one drawn scene, by the shipped encoders: pictures of themselves are like 1."""
    need_minis("mini-clip", "mini-dino")
    scene = labelled.opened(SCENES / "lawn.png")
    for folder in ("real", "made"):
        Path(folder).mkdir()
    for k, corner in enumerate((0, 100)):
        scene.crop((corner, corner, corner + 96, corner + 96)).save(f"real/{k}.png")
    scene.crop((0, 0, 96, 96)).save("made/0.png")
    Path("made/prompts.json").write_text(json.dumps({"0.png": "a cat"}))
    asked = ["score", "subject", "real", "made", "--profile", "mini", "--class-images", "real"]
    report = limner.json(*asked)
    scores = report["scores"]
    assert [model["name"] for model in report["models"]] == ["mini-clip", "mini-dino"]
    assert scores["dino"] == pytest.approx((1 + scores["real_dino"]) / 2, abs=1e-5)
    assert scores["clip_i"] == pytest.approx((1 + scores["real_clip_i"]) / 2, abs=1e-5)
    assert -1 <= scores["clip_t"] <= 1
    assert scores["pres"] == pytest.approx((1 + scores["real_dino"]) / 2, abs=1e-5)
    Path("made/prompts.json").write_text("{}")
    answer = limner.run(*asked)
    assert (answer.code, "no prompt for 0.png" in answer.stderr) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "data/a.png", "data/a.png", "-m", "mask.png", "--lpips"),
        ("subject", "data", "data", "--profile", "mini", "--prompt", "a cat", "--div"),
        ("subject", "data", "data", "--profile", "mini", "--fid"),
    ],
    ids=["lpips", "div", "fid"],
)
def test_what_needs_an_extra_names_it(
    limner: Command, coco: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    need_minis("mini-clip", "mini-dino")
    for package in ("lpips", "torch_fidelity"):
        monkeypatch.setitem(sys.modules, package, None)
    perceptual.load_lpips.cache_clear()
    Image.fromarray(labelled.rectangle((0, 0, 9, 9))).save("mask.png")
    answer = limner.run("score", *words)
    assert (answer.code, "pip install 'limner[perceptual]'" in answer.stderr) == (2, True)


# --- bad input ------------------------------------------------------------------------------------

BAD: list[tuple[str, list[str], str]] = [
    ("no such folder", ["detect", "nowhere"], "There is no nowhere"),
    ("empty folder", ["detect", "empty"], "holds no labels"),
    ("unknown class", ["detect", "data", "--class", "cow"], "no class 'cow'"),
    ("unknown image", ["detect", "data", "--predictions", "image.json"], "image 8"),
    ("unknown category", ["detect", "data", "--predictions", "category.json"], "category_id 99"),
    ("no JSON", ["detect", "data", "--predictions", "data/a.png"], "not UTF-8 text"),
    ("no predictions", ["detect", "data", "--predictions", "none.json"], "There is no none.json"),
    (
        "a model and predictions",
        ["detect", "data", "--predictions", "image.json", "--detector", "haar"],
        "--detector has no effect",
    ),
    ("d3 without results", ["detect", "data", "--protocol", "d3"], "give --predictions"),
    (
        "d3 without its files",
        ["detect", "data", "--protocol", "d3", "--predictions", "image.json"],
        "d3_full",
    ),
    ("no LVIS", ["detect", "data", "--protocol", "lvis", "--predictions", "image.json"], "LVIS"),
    ("boxes only", ["segment", "boxes", "--prompt", "box"], "is a box only"),
    ("no masks", ["segment", "data", "--predictions", "empty"], "no image in"),
    ("masks of another size", ["segment", "data", "--predictions", "small"], "5x5 pixels"),
    ("clicks and prompts", ["segment", "data", "--clicks", "2", "--prompt", "box"], "--clicks"),
    ("report no JSON", ["detect", "data", "-o", "r.txt"], "end in .json"),
    ("report taken", ["detect", "data", "-o", "image.json"], "--overwrite"),
    (
        "edit: mask of another size",
        ["edit", "data/a.png", "data/a.png", "-m", "small/a.png"],
        "mask is 5x5",
    ),
    ("edit: another picture", ["edit", "data/a.png", "small/a.png", "-m", "small/a.png"], "5x5"),
    ("edit: two of one name", ["edit", "twins", "twins", "-m", "small/a.png"], "are both a"),
    ("edit: nothing there", ["edit", "data/a.png", "x.png", "-m", "small/a.png"], "no x.png"),
    (
        "detect: charts of lvis",
        ["detect", "data", "--charts", "c", "--protocol", "lvis"],
        "--charts",
    ),
    ("segment: no scores", ["segment", "data", "--charts", "c", "--prompt", "box"], "--charts"),
    (
        "segment: no folder",
        ["segment", "data", "--charts", "small/a.png", "--clicks", "1"],
        "folder",
    ),
    ("subject: no pictures", ["subject", "empty", "data", "--profile", "mini"], "no image in"),
    ("subject: nothing painted", ["subject", "data"], "those in MADE, or painted by --adapter"),
    ("subject: both", ["subject", "data", "data", "--adapter", "me"], "give one of them"),
    ("subject: idle", ["subject", "data", "data", "--seeds", "2"], "--seeds has no effect"),
    (
        "subject: idle beside an adapter",
        ["subject", "data", "--adapter", "me", "--class-images", "data"],
        "--class-images has no effect with --adapter",
    ),
    ("subject: no such adapter", ["subject", "data", "--adapter", "me"], "no subject 'me'"),
    ("subject: no encoder", ["subject", "data", "data"], "no model to encode"),
]


@pytest.fixture
def wrong(tmp_path: Path) -> None:
    """Things to go wrong with, in the working folder."""
    labelled.coco(tmp_path / "data")
    labelled.coco(tmp_path / "boxes")
    content = labelled.coco_content()
    for annotation in content["annotations"]:
        annotation["segmentation"] = []
    (tmp_path / "boxes" / "annotations.json").write_text(json.dumps(content))
    for folder in ("empty", "small"):
        (tmp_path / folder).mkdir()
    Image.new("L", (5, 5), 255).save(tmp_path / "small" / "a.png")
    (tmp_path / "twins").mkdir()
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (5, 5)).save(tmp_path / "twins" / name)
    results(tmp_path / "image.json", row(8, 17, [0, 0, 5, 5]))
    results(tmp_path / "category.json", row(7, 99, [0, 0, 5, 5]))


@pytest.mark.parametrize(("words", "says"), [pytest.param(*r[1:], id=r[0]) for r in BAD])
@pytest.mark.usefixtures("wrong")
def test_bad_input_is_one_sentence_and_exit_2(limner: Command, words: list[str], says: str) -> None:
    answer = limner.run("score", *words)
    assert answer.code == 2, answer.stderr
    assert says in answer.stderr
    assert answer.stderr.count("limner:") == 1
