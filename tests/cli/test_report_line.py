"""The line that reports a result: how much was repainted, the seed, and every file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import need_minis

from .command import Command


@pytest.fixture
def grey(limner: Command) -> Path:
    Image.fromarray(np.full((40, 50, 3), 120, np.uint8)).save("im.png")
    return Path("im.png")


def test_the_share_is_that_of_the_mask(limner: Command, grey: Path) -> None:
    """10 x 20 of 50 x 40 pixels."""
    words = ("remove", grey, "--mask", "m.png", "--dilate", 0)
    mask = np.zeros((40, 50), np.uint8)
    mask[5:25, 10:20] = 255
    Image.fromarray(mask).save("m.png")
    assert "10.0% of the picture repainted, 0 pixels changed outside" in limner(*words).stdout


def test_all_files_of_a_result_are_named(limner: Command, grey: Path) -> None:
    """Only the overlay was, of four files."""
    said = limner("segment", grey, "--box", "5,5,20,30", "--semantic").stdout
    assert "also im-segment-semantic.png" in said
    written = {path.name for path in Path().glob("im-segment*") if path.is_file()}
    assert all(name in said for name in written)
    assert "1 file in im-segment-masks" in said


def test_seeds_that_limner_drew_are_said_and_paint_the_same(limner: Command, grey: Path) -> None:
    """Whoever likes a picture can ask for it again."""
    need_minis("mini-sd-inpaint")
    words = ("edit", grey, "--box", "5,5,20,30", "--region", "box", "--paint", "a flower")
    words = (*words, "--profile", "mini", "--num-inference-steps", "1")
    said = limner(*words, "--num-images-per-prompt", "2").stdout
    match = re.search(r"seeds (\d+) to (\d+)", said)
    assert match
    assert int(match[2]) == int(match[1]) + 1
    assert "also im-edit-1.png" in said
    again = limner(*words, "--seed", match[2], "-o", "again.png").stdout
    assert f"seed {match[2]}," in again
    with Image.open("im-edit-1.png") as first, Image.open("again.png") as second:
        assert np.array_equal(np.asarray(first), np.asarray(second))
