"""``limner demo`` through the real command line: one page, and what it shows is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from limner.cli.commands.demo import choice, demo
from limner.io.save import read_record
from limner.ops import masks
from limner.registry import bundled
from minis.drawings import phrase
from minis.scores.naming import Namer
from minis.scores.samples import around
from minis.scores.shipped_models import ShippedModels
from tests.cli.command import Command
from tests.conftest import need_minis

ROOT = Path(__file__).parents[4]
TRUTH = ROOT / "examples" / "scenes" / "demo.json"
MINIS = ("mini-owlvit", "mini-sam", "mini-sd-inpaint")
MEANT = tuple(thing.split(maxsplit=1)[1] for thing in choice.PAIR["things"])
"""The two nouns of which a click says which is meant, without their articles."""


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
    need_minis(*MINIS, "mini-clip")


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


def seen(path: str, where: np.ndarray) -> str:
    """Which of its 123 nouns mini-clip sees at a place."""
    namer = Namer(ShippedModels().encoder)
    crop = around(pixels(path).astype(np.uint8), masks.box_of(where))
    return phrase(namer.nouns[int(namer.cosines([crop])[0].argmax())])


@pytest.mark.slow
def test_the_demo_from_end_to_end(
    minis: None,
    truth: dict[str, list[np.ndarray]],
    limner: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every command runs, the page shows what they made, and each thing that it claims is so: the
    box and the outline are the thing's, two clicks part two things, three flowers are three boxes,
    and what was painted is known for what was asked."""
    said = limner("demo").stdout
    monkeypatch.chdir("limner-demo")
    page = Path("index.html").read_text()
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert all(Path(picture).exists() for picture in shown)
    made = sum(step.pictures * len(step.commands) for step in (*demo.SCENE, *demo.PHOTO))
    assert len({*shown} - {*demo.INPUTS}) == made
    assert "loading=" not in page, "what loads lazily is missing in a print"
    assert "nothing found" not in page
    assert "still at work" not in page
    for step in (*demo.SCENE, *demo.PHOTO):
        assert all(f"$ {command}\n" in said for command in step.commands)

    (target,) = truth[choice.FIND]
    _, _, (box,) = listed("found.json")
    assert box_iou(target, box) > 0.75
    _, (outline,), _ = listed("outlined.json")
    assert masks.iou(outline, target) > 0.85
    for k, noun in enumerate(MEANT, 1):
        _, (outline,), _ = listed(f"meant-{k}.json")
        (meant,), (other,) = truth[noun], truth[MEANT[2 - k]]
        assert masks.iou(outline, meant) > 0.7, noun
        assert (outline & other).sum() < 0.2 * other.sum(), f"{noun}, not {MEANT[2 - k]}"
    _, _, boxes = listed("alike.json")
    flowers = truth[choice.ALIKE["noun"]]
    assert len(boxes) == len(flowers) == 3
    assert all(max(box_iou(flower, box) for box in boxes) > 0.6 for flower in flowers)

    before = pixels("scene.png")
    for name in ("painted.png", "removed.png", *(f"guidance-{scale}.png" for scale in demo.SCALES)):
        (edit, *_) = read_record(name)["result"]["edits"]
        assert edit["outside_changed_pixels"] == 0, name
        changed = (pixels(name) != before).any(axis=2)
        assert (changed & target).sum() > 0.8 * target.sum(), name
        assert not changed[~masks.dilate(target, 16)].any(), name
    assert seen("scene.png", target) == choice.FIND
    assert choice.PAINT.endswith(f" {seen('painted.png', target)}"), (
        "what was painted is known at once"
    )
    assert seen("removed.png", target) != choice.FIND
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
    """The scene is the one that was chosen; small, for they travel in every wheel."""
    size = sum(path.stat().st_size for path in demo.FILES.iterdir())
    assert size < 400_000
    names = {image["file_name"] for image in json.loads(TRUTH.read_text())["images"]}
    assert names == {"scene.png"}


def test_the_demo_asks_where_the_things_are(truth: dict[str, list[np.ndarray]]) -> None:
    """A scene chosen anew without its questions would be asked about the old one's places."""
    example = truth[choice.ALIKE["noun"]][0]
    assert choice.ALIKE["example"] == ",".join(map(str, masks.box_of(example)))
    both = np.logical_or(*(truth[noun][0] for noun in MEANT))
    assert choice.PAIR["box"] == ",".join(map(str, masks.box_of(both)))
    for noun, click in zip(MEANT, choice.PAIR["clicks"], strict=True):
        x, y = map(int, click.split(","))
        assert truth[noun][0][y, x]


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
