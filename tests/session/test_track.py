"""What trackers are told of a run, and that they can't harm it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner import trackers
from limner.ops.masks import MaskCrop
from limner.trackers import trackio
from limner.trackers.comet import annotation_layer
from limner.trackers.layers import outlines
from limner.trackers.protocol import Layer, Mark
from tests.cli.command import Command
from tests.runs import remembering

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.png"
FACE = "170,60,280,200"


@pytest.fixture
def limner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command line in an empty folder, knowing the trackers of these tests too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / ".home"))
    ours = {
        name: trackers.TrackerModule("tests.runs.remembering", "json", "none")
        for name in ("remembering", "failing", "unopenable")
    }
    monkeypatch.setattr(trackers, "TRACKERS", {**trackers.TRACKERS, **ours})
    monkeypatch.setattr(remembering, "opened", [])
    return Command(capsys.readouterr)


def told() -> remembering.Remembering:
    (recorder,) = remembering.opened
    return recorder


def saved(path: Path | str) -> tuple[np.ndarray, dict[str, Any]]:
    """A result's pixels and its record."""
    with Image.open(path) as picture:
        return np.asarray(picture), json.loads(picture.info["limner"])


def small(path: Path, left: int = 160) -> Path:
    """A part of the photograph, on which GrabCut takes little time."""
    Image.open(PHOTO).crop((left, 40, left + 120, 160)).save(path)
    return path


def test_an_edit_is_told_with_settings_numbers_pictures_and_files(
    limner: Command, tmp_path: Path
) -> None:
    photo = small(tmp_path / "a cup.png")
    answer = limner("remove", photo, "--box", "20,15,100,110", "--feather", 3, "-o", "o.png",
                    "--track", "remembering")  # fmt: skip
    got = told()
    assert "limner: tracked in memory" in answer.stderr
    assert (got.times_set, got.times_ended) == (1, 1)
    assert got.tags[:2] == ["limner", "remove"]
    assert "grabcut" in got.tags
    assert got.settings["verb"] == "remove"
    assert got.settings["options.edit.feather"] == 3
    assert got.settings["prompts.0.box.xyxy"] == "20.0, 15.0, 100.0, 110.0"
    assert got.settings["models.segment"].startswith("grabcut")
    assert got.settings["input.size_wh"] == "120, 120"
    numbers = got.numbers[0]
    assert numbers["edit/outside_changed_pixels"] == 0
    assert numbers["objects"] == 1
    assert numbers["input/width"] == 120
    assert numbers["seconds/total"] >= numbers["seconds/inpaint"] > 0
    assert 0 < numbers["mask/part_of_image"] < numbers["edit/mask_coverage"] < 1
    assert set(got.images) == {f"a cup/{part}" for part in ("input", "overlay", "output")}
    _, layers, _ = got.images["a cup/input"]
    assert [layer.name for layer in layers] == ["boxes", "masks", "prompts"]
    pixels, written = saved("o.png")
    assert np.array_equal(got.images["a cup/output"][0], pixels)
    record = json.loads(got.files["a cup/record.json"])
    assert record["job"] == written["job"]
    files = got.artifacts["remove-a cup"]
    assert set(files) == {"record.json", "found.json", "input.png", "overlay.png", "output.png"}
    assert json.loads(files["found.json"])["annotations"][0]["segmentation"]["size"] == [120, 120]


def test_a_folder_is_one_experiment_and_each_picture_a_step(
    limner: Command, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        small(tmp_path / "in" / f"{name}.png")
    limner("segment", "in", "--box", "20,15,100,110", "-o", "out", "--track", "remembering")
    got = told()
    assert sorted(got.numbers) == [0, 1]  # type: ignore[type-var]
    assert got.times_set == 1
    assert {name: step for name, (_, _, step) in got.images.items()} == {
        "a/input": 0, "a/overlay": 0, "b/input": 1, "b/overlay": 1,
    }  # fmt: skip
    # Results that are there already are not made, and leave no empty experiment.
    limner("segment", "in", "--box", "20,15,100,110", "-o", "out", "--track", "remembering")
    assert len(remembering.opened) == 1


def test_what_a_redaction_hides_reaches_no_tracker(limner: Command, tmp_path: Path) -> None:
    photo = small(tmp_path / "face.png")
    limner("redact", photo, "--box", "20,15,100,110", "--style", "solid", "-o", "o.png",
           "--track", "remembering")  # fmt: skip
    got = told()
    assert set(got.images) == {"redaction/output"}, "not even its name"
    assert set(got.artifacts["redact-redaction"]) == {"record.json", "found.json", "output.png"}
    picture, layers, _ = got.images["redaction/output"]
    hidden = np.asarray(picture)[30:90, 40:80].reshape(-1, 3)
    assert len(np.unique(hidden, axis=0)) == 1
    assert "boxes" in [layer.name for layer in layers]


@pytest.mark.parametrize("name", ["हिन्दी", "cafe\u0301 (1)", "a b", "v1.2 final"])
def test_a_tracker_keeps_a_name_whole(limner: Command, tmp_path: Path, name: str) -> None:
    """Letters of every script, and the marks that belong to them; only what no name can hold goes.
    Trackio takes ASCII alone for artifacts: two names stay two there."""
    photo = small(tmp_path / f"{name}.png")
    limner("segment", photo, "--box", "20,15,100,110", "-o", "o.png", "--track", "remembering")
    assert set(told().images) == {f"{name}/{part}" for part in ("input", "overlay")}
    artifact = trackio.artifact_name(f"segment-{name}")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", artifact)
    assert artifact != trackio.artifact_name(f"segment-{name}x")


@pytest.mark.parametrize("name", ["failing", "unopenable"])
def test_a_tracker_that_fails_changes_nothing_and_is_said_once(
    limner: Command, tmp_path: Path, name: str
) -> None:
    (tmp_path / "in").mkdir()
    for picture in ("a", "b"):
        small(tmp_path / "in" / f"{picture}.png")
    words = ("remove", "in", "--box", "20,15,100,110", "--json")
    plain = limner(*words, "-o", "plain")
    tracked = limner(*words, "-o", "tracked", "--track", f"{name},remembering")
    assert tracked.stderr.count(f"{name} stopped tracking") == 1
    assert "more that nobody" not in tracked.stderr
    assert len(told().numbers) == 2  # the other tracker goes on
    for one, other in zip(plain.stdout.splitlines(), tracked.stdout.splitlines(), strict=True):
        assert json.loads(one)["result"] == json.loads(other)["result"]
        (path,), (again,) = json.loads(one)["outputs"], json.loads(other)["outputs"]
        assert np.array_equal(saved(path)[0], saved(again)[0])


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("comt", "There is no tracker 'comt': did you mean comet?"),
        ("remembering,tracio", "did you mean trackio?"),
        ("zzz", "all are comet, trackio"),
    ],
)
def test_an_unknown_tracker_is_refused_before_anything_is_opened(
    limner: Command, names: str, sentence: str
) -> None:
    answer = limner.run("remove", "no-such-file.png", "--box", FACE, "--track", names)
    assert answer.code == 2
    assert sentence in answer.stderr
    assert remembering.opened == []


@pytest.mark.parametrize("name", ["comet", "trackio", "tensorboard"])
def test_a_missing_package_names_its_extra(
    limner: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda package: None)
    monkeypatch.setenv("LIMNER_TRACK", name)
    answer = limner.run("segment", "no-such-file.png", "--box", FACE)
    assert answer.code == 2
    assert f'pip install "limner[{name}]"' in answer.stderr
    assert not Path(".limner").exists()


def test_a_mask_and_its_outline_are_the_same_region() -> None:
    """Drawn again by an independent program, the polygon covers what the mask covers."""
    from PIL import ImageDraw

    y, x = np.mgrid[:120, :160]
    mask = ((x - 70) / 50) ** 2 + ((y - 60) / 40) ** 2 < 1
    mask[5:8, 150:153] = True  # a second part
    parts = outlines(MaskCrop.of(mask))
    assert len(parts) == 2
    assert sum(map(len, parts)) < 80
    drawn = Image.new("1", (160, 120))
    for part in parts:
        ImageDraw.Draw(drawn).polygon([(x - 0.5, y - 0.5) for x, y in part], fill=1)
    again = np.asarray(drawn)
    assert (again & mask).sum() / (again | mask).sum() > 0.97


@pytest.mark.parametrize("side", ["line", "pixel"])
def test_the_thinnest_mask_still_has_an_outline(side: str) -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[4, 3 : 8 if side == "line" else 4] = True
    (corners,) = outlines(MaskCrop.of(mask))
    assert len(corners) >= 3
    xs, ys = zip(*corners, strict=True)
    assert (min(xs), min(ys), max(ys)) == (3, 4, 5)
    assert max(xs) == (8 if side == "line" else 4)


def test_comets_format_has_widths_and_flat_polygons() -> None:
    marks = (
        Mark("cup", 0.5, boxes=((10, 20, 40, 80),)),
        Mark("cup", 0.5, outlines=(((1, 2), (3, 4), (5, 6)),)),
    )
    assert annotation_layer(Layer("found", marks)) == {
        "name": "found",
        "data": [
            {"label": "cup", "score": 0.5, "boxes": [[10, 20, 30, 60]]},
            {"label": "cup", "score": 0.5, "points": [[1, 2, 3, 4, 5, 6]]},
        ],
    }
