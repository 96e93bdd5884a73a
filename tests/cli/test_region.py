"""--region box paints in the rectangle itself: all of it, nothing beside it, and nothing is
outlined first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner import EditOptions, Session
from limner.errors import OptionError
from limner.pipeline.extend import Extension
from limner.prompts.syntax import Length
from tests.conftest import need_minis

from .command import Command

BOX = ("--box", "10,18,70,78")


@pytest.fixture
def noise(limner: Command) -> Path:
    """A picture of which every pixel differs from its neighbours."""
    values = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(values).save("im.png")
    return Path("im.png")


def changed(before: Path, after: str) -> np.ndarray:
    with Image.open(before) as first, Image.open(after) as second:
        pixels = np.asarray(first.convert("RGB")), np.asarray(second.convert("RGB"))
    return np.asarray((pixels[0] != pixels[1]).any(axis=2))


def test_remove_fills_the_rectangle(limner: Command, noise: Path) -> None:
    """3,600 pixels; the outline's growth reached beyond the box, and GrabCut chose within it."""
    result = limner.json("remove", noise, *BOX, "--region", "box", "--feather", 0)
    where = changed(noise, "im-remove.png")
    assert where[18:78, 10:70].mean() > 0.98  # a fill may hit a pixel's own colour
    where[18:78, 10:70] = False
    assert not where.any()
    assert [model["name"] for model in result["models"]] == ["opencv-inpaint"]
    assert result["result"]["edits"][0]["mask_coverage"] == pytest.approx(3600 / (90 * 120), 1e-4)


def test_edit_paints_in_the_rectangle(limner: Command, noise: Path) -> None:
    need_minis("mini-sd-inpaint")
    words = ("--paint", "a flower", "--profile", "mini", "--num-inference-steps", 1)
    limner("edit", noise, *BOX, "--region", "box", *words)
    where = changed(noise, "im-edit.png")
    assert where[22:74, 14:66].mean() > 0.98
    where[18:78, 10:70] = False
    assert not where.any()


def test_background_keeps_the_rectangle(limner: Command, noise: Path) -> None:
    limner("background", noise, *BOX, "--region", "box", "--feather", 0, "--colour", "#010203")
    with Image.open("im-background.png") as picture:
        is_new = (np.asarray(picture) == (1, 2, 3)).all(axis=2)
    assert not is_new[18:78, 10:70].any()
    assert np.count_nonzero(is_new) == 90 * 120 - 3600


@pytest.mark.parametrize(
    "verb", [("remove",), ("background", "--blur", "3")], ids=lambda words: words[0]
)
def test_a_box_is_needed(limner: Command, noise: Path, verb: tuple[str, ...]) -> None:
    answer = limner.run(*verb, noise, "--point", "20,20", "--region", "box")
    assert answer.code == 2
    assert "region box needs a box" in answer.stderr
    assert not list(Path().glob("im-*"))


def test_a_plan_asks_no_segmenter(limner: Command, noise: Path) -> None:
    """--dry-run says what will be asked."""
    plan = limner.json("remove", noise, *BOX, "--region", "box", "--dry-run")
    assert [row["task"] for row in plan["models"]] == ["inpaint"]


def test_python_has_it_by_name(noise: Path) -> None:
    run = Session().remove(noise, (10, 18, 70, 78), region="box")
    assert run.edits[0].mask.sum() == 3600


def test_an_extension_has_no_region(noise: Path) -> None:
    extension = Extension(left=Length(4))
    with pytest.raises(OptionError, match="region has no effect on an extension"):
        Session().extend(noise, extension, edit=EditOptions(dilate=0, region="box"))
