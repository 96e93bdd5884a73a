"""``limner extend`` as a stranger types it, on models that need nothing fetched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.cli import main


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:48, :64]
    pixels = np.dstack([x * 4 % 256, y * 5 % 256, (x + y) * 2 % 256]).astype(np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (["--extend", "left=16,top=25%"], "opencv-inpaint"),
        (["--extend", "left=16,top=25%", "--profile", "mini"], "opencv-inpaint"),
        (
            "--extend left=16,top=25% --paint grass --profile mini --num-inference-steps 2".split(),
            "mini-sd-inpaint",
        ),
    ],
    ids=["without words", "a profile's remover", "words"],
)
def test_the_canvas_grows_and_the_photo_stays(
    photo: Path, capsys: pytest.CaptureFixture[str], words: list[str], model: str
) -> None:
    kept = ["--store", "kept"]
    assert main(["extend", "photo.png", *words, "-o", "wide.png", "--json", *kept]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in said["models"]] == [model]
    assert said["result"]["edits"][0]["outside_changed_pixels"] == 0
    wide = np.asarray(Image.open("wide.png"))
    assert wide.shape == (60, 80, 3)
    assert np.array_equal(wide[12:, 16:], np.asarray(Image.open(photo)))
    assert main(["runs", "replay", "latest", *kept]) == 0
    assert "0 pixels" in capsys.readouterr().out


def test_the_same_again_is_done_already(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["extend", "photo.png", "--extend", "right=8", "-o", "wide.png"]
    assert main(asked) == 0
    assert main(asked) == 0
    assert "done already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--extend", "sideways=5"], "--extend takes left=256,top=10%"),
        (["--extend", "left=5", "--overlap", "-1"], "dilate must be at least 0"),
        (["--extend", "left=5", "--negative-prompt", "cats"], "no effect without --paint"),
        (["--extend", "left=5", "--paint", "grass"], "or leave the words out."),
        (["--extend", "left=99999999"], "million pixels"),
        (["--extend", "left=5", "--guidance-scale", "3"], "guidance_scale has no effect"),
        (["--extend", "left=5", "--fast"], "--fast has no effect without --paint"),
        (
            ["--extend", "left=5", "--paint", "grass", "--profile", "mini", "--fast"],
            "--fast has no effect on mini-sd-inpaint: limner knows no adapter",
        ),
        (
            "--extend left=5 --paint grass --profile mini --refiner mini-sd".split(),
            "one to refine is needed: sdxl-refiner",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    photo: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["extend", "photo.png", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert [path.name for path in photo.parent.glob("*.png")] == ["photo.png"]


def test_a_dry_run_names_the_model(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["extend", "photo.png", "--extend", "left=5", "--dry-run"]
    assert main([*asked, "--profile", "mini"]) == 0
    assert "remove: opencv-inpaint" in capsys.readouterr().out
    assert main([*asked, "--profile", "mini", "--paint", "grass"]) == 0
    assert "inpaint: mini-sd-inpaint" in capsys.readouterr().out


def test_removing_needs_no_words_with_any_profile(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Profiles whose painter paints from words name another model that removes."""
    asked = ["remove", "photo.png", "--box", "10,10,30,30", "--segmenter", "grabcut"]
    assert main([*asked, "--profile", "mini", "-o", "gone.png"]) == 0
    assert "opencv-inpaint" in capsys.readouterr().out
    named = [*asked, "--profile", "mini", "--inpainter", "mini-sd-inpaint", "-o", "other.png"]
    assert main(named) == 2
    assert "repaints from words" in capsys.readouterr().err
