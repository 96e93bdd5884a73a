"""``limner compare`` through the real command line: one question, several models, honest rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from limner.io.save import read_record
from tests.cli.command import Command
from tests.conftest import need_minis


@pytest.mark.slow
def test_detectors_side_by_side(limner: Command, astronaut: Path) -> None:
    """One that finds, two as one, one without weights and one that another prompt would suit."""
    need_minis("mini-owlvit")
    asked = "haar,haar+mini-owlvit,owlvit-base-patch32"
    told = limner.json("compare", astronaut, "--find", "face", "--models", asked, "-o", "all.png")
    haar, both, absent = told["models"]
    (face,) = haar["boxes"]
    assert face["class_name"] == "face"
    assert 150 < face["xyxy"][0] < face["xyxy"][2] < 310
    assert haar["error"] is None
    assert haar["seconds"] > 0
    assert haar["loading_seconds"] > 0
    assert haar["peak_bytes"] > 50e6
    assert "OpenCV" in haar["licence"]
    assert both["task"] == "detect"
    assert any(
        opinion["model"] == "haar" and opinion["score"] == pytest.approx(face["score"], abs=1e-3)
        for box in both["boxes"]
        for opinion in box["agreed"]
    )
    assert "not on this machine" in absent["error"]
    assert absent["boxes"] == []
    with Image.open("all.png") as sheet:
        assert sheet.width > 3 * 480
    record = read_record("all.png")
    assert record is not None
    assert [row["name"] for row in record["models"]] == asked.split(",")


@pytest.mark.slow
def test_segmenters_by_a_click(limner: Command) -> None:
    """A detector among them is asked all the same, and says that a click isn't for it."""
    need_minis("mini-sam")
    picture = Path(__file__).parents[3] / "examples" / "photos" / "coffee.png"
    answer = limner("compare", picture, "--point", "300,110", "--models", "grabcut,mini-sam,haar")
    lines = answer.stdout.splitlines()
    for name in ("grabcut", "mini-sam"):
        assert any(name in line and "GB" in line for line in lines)
    assert any("haar" in line and "point prompt says where, not what" in line for line in lines)
    assert lines[-1] == "coffee-compare.png"


def test_where_nobody_answers_it_is_an_error(limner: Command, astronaut: Path) -> None:
    words = ("compare", astronaut, "--find", "face", "--commercial-safe", "--models", "grabcut")
    answer = limner.run(*words)
    assert answer.code == 2
    assert "can't take a text prompt" in answer.stdout
    assert "None of these models answered" in answer.stderr
    assert not Path("astronaut-compare.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--find", "face", "--models", "harr"), "Did you mean haar"),
        (("--find", "face", "--models", "haar,haar"), "each once"),
        (("--find", "face", "--models", ","), "by name"),
        (("--models", "haar"), "not both"),
        (("--find", "face", "--object", "--point", "3,3", "--models", "haar"), "not both"),
        (("--find", "face", "--models", "sd15-inpaint"), "neither finds nor outlines"),
        (("--find", "face", "--models", "grabcut+haar"), "neither finds nor outlines"),
        (("--find", "face", "--models", "haar", "-o", "x.txt"), "--out is a picture"),
    ],
)
def test_what_cant_be_meant_is_refused_at_once(
    limner: Command, astronaut: Path, words: tuple[str, ...], said: str
) -> None:
    answer = limner.run("compare", astronaut, *words)
    assert answer.code == 2
    assert said in answer.stderr


# --- several detectors as one, and looking, in the other verbs ------------------------------------


def test_a_consensus_detects_and_its_record_names_all_models(
    limner: Command, astronaut: Path
) -> None:
    need_minis("mini-owlvit")
    asked = ("detect", astronaut, "--text", "face", "--detector", "haar+mini-owlvit")
    told = limner.json(*asked, "-o", "faces.png")
    assert [model["name"] for model in told["models"]] == ["haar", "mini-owlvit"]
    assert "agreed" in told["annotations"][0]
    assert "done already" in limner(*asked, "-o", "faces.png").stdout


@pytest.mark.parametrize(
    ("detector", "said"),
    [
        ("haar+haar", "named once each"),
        ("haar+", "named once each"),
        ("haar+grabcut", "is a model to segment"),
        ("haar+harr", "Did you mean haar"),
    ],
)
def test_a_consensus_that_cant_be_is_refused(
    limner: Command, astronaut: Path, detector: str, said: str
) -> None:
    answer = limner.run("detect", astronaut, "--text", "face", "--detector", detector)
    assert answer.code == 2
    assert said in answer.stderr


def test_a_consensus_is_as_commercial_as_its_models(limner: Command, astronaut: Path) -> None:
    words = ("detect", astronaut, "--text", "face", "--commercial-safe")
    answer = limner.run(*words, "--detector", "haar+./taught")
    assert answer.code == 2
    assert "--commercial-safe refuses ./taught" in answer.stderr


def test_every_look_finds_the_face_and_is_recorded(limner: Command, astronaut: Path) -> None:
    """Where each box was seen is among what is written."""
    for look, extra in (("tiles", ("--slice-wh", "320")), ("zoom", ())):
        asked = ("detect", astronaut, "--text", "face", "--look", look, *extra)
        told = limner.json(*asked, "-o", f"{look}.png")
        assert told["options"]["finding"]["detect"]["look"] == look
        (found,) = told["annotations"]
        assert abs(found["bbox"][0] - 176) < 25
        left, top, right, bottom = found["seen_xyxy"]
        assert left <= found["bbox"][0]
        assert right - left < 512
        assert bottom - top < 512
