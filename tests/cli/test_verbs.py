"""Every verb through the real command line, on a real photograph, with no network and no weights.

The photograph is NASA's portrait of Eileen Collins (public domain), 512 x 512: a face in the upper
middle, a model of the shuttle at the upper right.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from limner.io.save import read_record
from limner.ops import masks

from .command import Command

FACE = "150,40,300,240"
SHUTTLE = "395,0,490,160"


def opened(path: Path | str) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def pixels(path: Path) -> np.ndarray:
    return np.asarray(opened(path).convert("RGB"))


def box_mask(box: str, grow: int = 0) -> np.ndarray:
    left, top, right, bottom = (int(v) for v in box.split(","))
    mask = np.zeros((512, 512), dtype=bool)
    mask[max(0, top - grow) : bottom + grow, max(0, left - grow) : right + grow] = True
    return mask


def test_segment_writes_an_overlay_masks_and_coco_json(limner: Command, astronaut: Path) -> None:
    """Two objects, one by click and one by box, come out in all the formats that are promised."""
    limner("segment", astronaut, "--point", "440,70", "--object", "--box", FACE, "-o", "out.png")
    coco = COCO("out.json")
    assert {c["name"] for c in coco.dataset["categories"]} == {"point", "box"}
    by_click, by_box = (coco.annToMask(a).astype(bool) for a in coco.dataset["annotations"])
    assert by_click[70, 440], "the click lies in its own mask"
    assert masks.iou(by_box, box_mask(FACE)) > 0.3
    assert not (by_box & ~box_mask(FACE, grow=8)).any(), "the outline stays by its box"
    assert len(list(Path("out-masks").glob("*.png"))) == 2
    assert opened("out.png").size == (512, 512)


def test_segment_maps_on_request(limner: Command, astronaut: Path) -> None:
    limner("segment", astronaut, "--box", FACE, "--semantic", "--panoptic", "-o", "out.png")
    assert np.asarray(opened("out-semantic.png")).max() == 1
    ids = np.asarray(opened("out-panoptic.png")).astype(int)
    listed = json.loads(Path("out-panoptic.json").read_text())
    (annotation,) = listed["annotations"]
    assert annotation["file_name"] == "out-panoptic.png"
    assert {"id": 1, "name": "box", "supercategory": ""} in listed["categories"]
    segments = annotation["segments_info"]
    values = set(np.unique(ids @ [1, 256, 65536])) - {0}
    assert values == {segment["id"] for segment in segments}


def test_detect_finds_the_face_by_name(limner: Command, astronaut: Path) -> None:
    limner("detect", astronaut, "--text", "face", "-o", "out.png")
    (found,) = json.loads(Path("out.json").read_text())["annotations"]
    left, top, width, height = found["bbox"]
    centre = (left + width / 2, top + height / 2)
    assert 180 < centre[0] < 270
    assert 70 < centre[1] < 180


def test_remove_changes_nothing_outside(limner: Command, astronaut: Path) -> None:
    """The shuttle goes; every pixel further than the mask's growth from it is the original's."""
    answer = limner.json("remove", astronaut, "--box", SHUTTLE, "-o", "out.png")
    (edit,) = answer["result"]["edits"]
    assert edit["outside_changed_pixels"] == 0
    before, after = pixels(astronaut), pixels(Path("out.png"))
    changed = (before != after).any(axis=2)
    assert changed.sum() > 1000
    assert not (changed & ~box_mask(SHUTTLE, grow=16)).any()


def test_cutout_keeps_the_objects_own_pixels(limner: Command, astronaut: Path) -> None:
    limner("cutout", astronaut, "--box", FACE, "-o", "out.png")
    rgba = np.asarray(opened("out.png"))
    opaque = rgba[..., 3] == 255
    assert opaque.sum() > 3000
    assert np.array_equal(rgba[opaque][:, :3], pixels(astronaut)[opaque])
    assert rgba[500, 10, 3] == 0


@pytest.mark.parametrize(
    "behind", [("--blur", "9"), ("--colour", "#00ff00"), ("--picture", "other.png")]
)
def test_background_keeps_the_subject(
    limner: Command, astronaut: Path, behind: tuple[str, str]
) -> None:
    Image.new("RGB", (30, 20), "purple").save("other.png")
    limner("background", astronaut, "--box", FACE, *behind, "-o", "out.png")
    before, after = pixels(astronaut), pixels(Path("out.png"))
    same = (before == after).all(axis=2)
    assert same[100:140, 205:235].all(), "the middle of the face stays"
    assert not same[400:, :100].all(), "the far corner doesn't"


@pytest.mark.slow
def test_redact_hides_the_face_and_looks_again(limner: Command, astronaut: Path) -> None:
    answer = limner.json("redact", astronaut, "--text", "face", "-o", "out.png")
    assert answer["result"]["verified"] is True
    assert answer["result"]["looked_by"] == ["haar"], "who finds none, not that there is none"
    assert answer["result"]["edits"][0]["outside_changed_pixels"] == 0
    limner("detect", "out.png", "--text", "face", "-o", "again.png")
    assert json.loads(Path("again.json").read_text())["annotations"] == []


def test_redact_verify_looks_at_the_whole_result(limner: Command, astronaut: Path) -> None:
    """A sleeve was covered and the face is still there: whoever asks for faces must be told."""
    answer = limner.run(
        "redact", astronaut, "--box", "0,300,100,400", "--verify", "face", "-o", "out.png"
    )
    assert answer.code == 1
    assert "face can still be found" in answer.stderr
    assert not Path("out.png").exists()


def test_a_mask_is_taken_as_it_was_drawn(limner: Command, astronaut: Path) -> None:
    """A cut-out from a mask is that mask to the pixel; only `segment` refines it."""
    drawn = box_mask("100,200,250,300")
    Image.fromarray(drawn.astype(np.uint8) * 255).save("mask.png")
    limner("cutout", astronaut, "--mask", "mask.png", "--feather", "0", "-o", "out.png")
    assert np.array_equal(np.asarray(opened("out.png"))[..., 3] == 255, drawn)


def test_the_input_is_never_replaced(limner: Command, astronaut: Path) -> None:
    """Not with --overwrite either: that is for results."""
    opened(astronaut).save("photo.png")
    before = Path("photo.png").read_bytes()
    for more in ((), ("--overwrite",)):
        answer = limner.run("redact", "photo.png", "--box", FACE, "-o", "./photo.png", *more)
        assert answer.code == 2
        assert "another file than the input" in answer.stderr
    assert Path("photo.png").read_bytes() == before


def test_a_result_explains_itself(limner: Command, astronaut: Path) -> None:
    """The record inside the picture names input, prompt, model, settings and versions."""
    limner("remove", astronaut, "--box", SHUTTLE, "-o", "out.png")
    record = read_record("out.png")
    assert record is not None
    assert record["verb"] == "remove"
    assert record["prompts"] == [{"box": {"xyxy": [395.0, 0.0, 490.0, 160.0]}}]
    assert {model["name"] for model in record["models"]} == {"grabcut", "opencv-inpaint"}
    assert record["result"]["settings"]["method"]
    assert len(record["input"]["digest"]) == 64
    assert record["versions"]["numpy"] == np.__version__


def test_percentages_are_pixels(limner: Command, astronaut: Path) -> None:
    limner("segment", astronaut, "--box", "128,64,256,192", "-o", "pixels.png")
    limner("segment", astronaut, "--box", "25%,12.5%,50%,37.5%", "-o", "percent.png")
    first, second = (json.loads(Path(p).read_text()) for p in ("pixels.json", "percent.json"))
    assert first["annotations"] == second["annotations"]


def test_nothing_found_is_a_result(limner: Command) -> None:
    """Exit 0, said plainly, and an empty list is written; --fail-if-empty makes it exit code 1.

    A picture is not written: one in which nothing was hidden must not look redacted.
    """
    Image.new("RGB", (200, 200), "white").save("blank.png")
    answer = limner.run("segment", "blank.png", "--text", "face", "--semantic")
    assert answer.code == 0
    assert "nothing found" in answer.stdout
    assert json.loads(Path("blank-segment.json").read_text())["annotations"] == []
    for verb in ("detect", "redact"):
        assert limner.run(verb, "blank.png", "--text", "face", "--fail-if-empty").code == 1
    assert not Path("blank-redact.png").exists()


def test_dry_run_says_models_memory_and_time_and_writes_nothing(
    limner: Command, astronaut: Path
) -> None:
    before = set(Path().rglob("*"))
    said = limner(
        "edit", astronaut, "--find", "face", "--paint", "a mask", "--profile", "base", "--dry-run"
    ).stdout
    for word in ("owlv2-base-patch16-ensemble", "sam-vit-base", "sd2-inpaint", "GB", "pull"):
        assert word in said
    assert set(Path().rglob("*")) == before


def test_a_folder_is_done_and_done_once(limner: Command, astronaut: Path) -> None:
    """Running it again does nothing; a new picture alone is done; other settings are refused."""
    Path("in").mkdir()
    for name in ("a.png", "b.png"):
        opened(astronaut).crop((350, 0, 512, 200)).save(Path("in") / name)
    remove = ("remove", "in", "--box", "40,0,130,150", "-o", "out")
    assert "2 done" in limner(*remove).stdout
    stamps = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    opened(astronaut).crop((300, 0, 500, 200)).save("in/c.png")
    assert "1 done, 2 done already" in limner(*remove).stdout
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert len(list(Path("out").iterdir())) == 3
    other = limner.run("remove", "in", "--box", "40,0,130,140", "-o", "out")
    assert other.code == 2
    assert "--overwrite" in other.stderr


def test_one_broken_picture_does_not_stop_the_folder(limner: Command, astronaut: Path) -> None:
    Path("in").mkdir()
    opened(astronaut).crop((350, 0, 512, 200)).save("in/a.png")
    Path("in/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    answer = limner.run("remove", "in", "--box", "40,0,130,150", "-o", "out")
    assert answer.code == 2
    assert "broken.jpg" in answer.stderr
    assert Path("out/a-remove.png").exists()
