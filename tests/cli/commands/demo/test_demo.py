"""``limner demo`` through the real command line: one page, and what it shows is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from limner.cli.commands.demo import demo
from limner.io.save import read_record
from limner.ops import masks
from limner.registry import bundled
from tests.cli.command import Command
from tests.conftest import need_minis

ROOT = Path(__file__).parents[4]
TRUTH = ROOT / "examples" / "scenes" / "lawn.json"
MINIS = ("mini-owlvit", "mini-sam", "mini-sd-inpaint")


@pytest.fixture(scope="module")
def truth() -> dict[str, list[np.ndarray]]:
    """Noun -> the exact mask of each such thing in the demo's scene, from left to right."""
    coco = COCO(str(TRUTH))
    found: dict[str, list[np.ndarray]] = {}
    for annotation in sorted(coco.dataset["annotations"], key=lambda one: one["bbox"][0]):
        noun = coco.cats[annotation["category_id"]]["name"]
        found.setdefault(noun, []).append(coco.annToMask(annotation).astype(bool))
    return found


@pytest.fixture
def minis() -> None:
    need_minis(*MINIS)


def listed(path: str) -> tuple[list[float], list[np.ndarray], list[list[float]]]:
    """Scores, masks and boxes (xyxy) of a COCO file that a verb wrote."""
    coco = COCO(path)
    rows = coco.dataset["annotations"]
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (row["bbox"] for row in rows)]
    areas = [coco.annToMask(row).astype(bool) if row["segmentation"] else None for row in rows]
    return [row["score"] for row in rows], areas, boxes


def box_iou(mask: np.ndarray, box: list[float]) -> float:
    left, top, right, bottom = masks.box_of(mask)
    x0, y0, x1, y1 = box
    over = max(0, min(right, x1) - max(left, x0)) * max(0, min(bottom, y1) - max(top, y0))
    return over / ((right - left) * (bottom - top) + (x1 - x0) * (y1 - y0) - over)


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.slow
def test_the_demo_from_end_to_end(
    minis: None,
    truth: dict[str, list[np.ndarray]],
    limner: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command runs, the page shows what they made, and the minis found what was asked for."""
    said = limner("demo").stdout
    monkeypatch.chdir("limner-demo")
    page = Path("index.html").read_text()
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert all(Path(picture).exists() for picture in shown)
    made = sum(step.pictures * len(step.commands) for step in (*demo.SCENE, *demo.PHOTO))
    assert len({*shown} - {*demo.INPUTS}) == made
    assert "nothing found" not in page
    assert "still at work" not in page
    for step in (*demo.SCENE, *demo.PHOTO):
        assert all(f"$ {command}\n" in said for command in step.commands)

    (apple,) = truth["apple"]
    _, _, boxes = listed("found.json")
    assert box_iou(apple, boxes[0]) > 0.5
    _, outlines, _ = listed("outlined.json")
    assert masks.iou(outlines[0], apple) > 0.7
    for name, noun in (("rabbit", "rabbit"), ("cup", "coffee cup")):
        _, outlines, _ = listed(f"{name}.json")
        assert masks.iou(outlines[0], truth[noun][0]) > 0.6, name
    _, _, boxes = listed("alike.json")
    others = truth["sunflower"][1:]
    assert max(box_iou(other, box) for other in others for box in boxes) > 0.5

    before = pixels("scene.png")
    for name in ("car.png", "removed.png", *(f"guidance-{scale}.png" for scale in demo.SCALES)):
        (edit, *_) = read_record(name)["result"]["edits"]
        assert edit["outside_changed_pixels"] == 0, name
        changed = (pixels(name) != before).any(axis=2)
        assert (changed & apple).sum() > 0.8 * apple.sum(), name
        assert not changed[~masks.dilate(apple, 16)].any(), name
    by_scale = [pixels(f"guidance-{scale}.png") for scale in demo.SCALES]
    assert all((one != by_scale[0]).any() for one in by_scale[1:]), "the guidance scale matters"
    assert read_record("photo-redacted.png")["result"]["verified"] is True


def test_a_second_demo_takes_the_place_of_the_first(
    monkeypatch: pytest.MonkeyPatch, limner: Command
) -> None:
    """In its own folder it is welcome, finished or not; in a person's it is not."""
    monkeypatch.setattr(demo, "SCENE", ())
    monkeypatch.setattr(demo, "PHOTO", demo.PHOTO[:1])
    for _ in range(2):
        limner("demo", "-o", "shown")
        assert Path("shown/photo-outlined.png").exists()
    Path("mine").mkdir()
    Path("mine/index.html").write_text("my page")
    answer = limner.run("demo", "--out", "mine")
    assert answer.code == 2
    assert "name a new folder" in answer.stderr
    assert [path.name for path in Path("mine").iterdir()] == ["index.html"]


def test_a_command_that_fails_ends_the_demo(
    monkeypatch: pytest.MonkeyPatch, limner: Command, tmp_path: Path
) -> None:
    """With damaged weights the sentence is that of the command itself, and the page says that it is
    not whole."""
    damaged = tmp_path / "package" / "minis"
    for name in MINIS:
        (damaged / name).mkdir(parents=True)
        (damaged / name / "model.safetensors").write_bytes(b"broken")
    monkeypatch.setattr(bundled, "root", lambda: damaged)
    monkeypatch.setattr(bundled, "lock_file", lambda: damaged.parent / "minis.lock.json")
    answer = limner.run("demo")
    assert answer.code == 2
    assert "mini-owlvit" in answer.stderr
    assert "still at work, or was interrupted" in Path("limner-demo/index.html").read_text()


def test_the_demos_inputs_are_the_examples_own() -> None:
    """Made by one script; small, for they travel in every wheel."""
    scene = ROOT / "examples" / "scenes" / "lawn.png"
    assert (demo.FILES / "scene.png").read_bytes() == scene.read_bytes()
    size = sum(path.stat().st_size for path in demo.FILES.iterdir())
    assert size < 400_000
    names = {image["file_name"] for image in json.loads(TRUTH.read_text())["images"]}
    assert names == {"lawn.png"}


@pytest.mark.slow
def test_what_an_installation_lacks_is_left_out_aloud(
    limner: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the minis the photograph is still shown, and the steps that went are named."""
    monkeypatch.setattr(bundled, "root", lambda: tmp_path / "none")
    done = limner("demo")
    assert "Not in this installation: mini-owlvit, mini-sam, mini-sd-inpaint." in done.stderr
    assert all(step.title in done.stderr for step in demo.SCENE)
    page = Path("limner-demo/index.html").read_text()
    assert "photo-redacted.png" in page
    assert "found.png" not in page
