"""The lessons run as a reader runs them, on the minis, and what they print is what they teach."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from limner.registry import store

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("[0-9]*.py"))


def numbers(pattern: str, text: str) -> list[float]:
    """What the pattern's only group matched, line by line."""
    return [float(found) for found in re.findall(pattern, text, re.MULTILINE)]


def points_and_boxes(said: str) -> None:
    ious = numbers(r"^.{22}  (\d\.\d\d)  ", said)
    assert len(ious) == 6
    assert min(ious[:4]) > 0.8
    # mini-sam was never taught a box around two things less one of them
    assert min(ious[4:]) > 0.4


def words_to_masks(said: str) -> None:
    (mean,) = numbers(r"^mean IoU (\d\.\d\d)", said)
    assert mean > 0.55
    boxes = [int(count) for count in re.findall(r"(\d+) boxes$", said, re.MULTILINE)]
    assert len(boxes) == 4
    assert boxes == sorted(boxes, reverse=True), "a higher threshold keeps fewer"
    assert "house, not cat         boxes the one without\n" in said


def example_image(said: str) -> None:
    lawn, _, planks = said.partition("a star is shown")
    assert lawn.count("  sunflower ") >= 2, "the shown one and another"
    assert "  star " in planks


def inpainting(said: str) -> None:
    assert "pixels changed outside the mask, over all pictures: 0\n" in said
    assert "is the second picture of seed 1: yes" in said
    by_guidance = numbers(r"^  guidance \d+ +(-?\d\.\d+)", said)
    assert len(by_guidance) == 5
    assert max(by_guidance[1:]) > by_guidance[0], "guidance makes it more like the words"
    (star,) = numbers(r"^  and a star +(-?\d\.\d+)", said)
    (not_star,) = numbers(r"^  not a star +(-?\d\.\d+)", said)
    assert not_star < star, "a negative prompt keeps away what it names"


def privacy(said: str) -> None:
    assert "face, blur: 1 found, not found again, 0 pixels changed outside" in said
    assert said.count("0 pixels changed outside") == 6


def records(said: str) -> None:
    ious = numbers(r"^\S+ +(\d\.\d\d) +\d+\.\d{3}  [0-9a-f]{12}", said)
    assert len(ious) == 5
    assert ious == sorted(ious, reverse=True)
    assert ious[0] > 0.75
    assert said.count(", the same\n") == 1


@dataclass(frozen=True)
class Lesson:
    pictures: int
    check: Callable[[str], None]
    models: tuple[str, ...]


LESSONS = {
    "01_points_and_boxes.py": Lesson(6, points_and_boxes, ("mini-sam",)),
    "02_words_to_masks.py": Lesson(8, words_to_masks, ("mini-owlvit", "mini-sam")),
    "03_example_image.py": Lesson(2, example_image, ("mini-owlvit",)),
    "04_inpainting.py": Lesson(
        4, inpainting, ("mini-owlvit", "mini-sam", "mini-sd-inpaint", "mini-clip")
    ),
    "05_privacy.py": Lesson(9, privacy, ("mini-owlvit",)),
    "06_records.py": Lesson(10, records, ("mini-owlvit", "mini-sam")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_runs_and_shows_what_it_says(name: str, tmp_path: Path) -> None:
    lesson = LESSONS[name]
    missing = [model for model in lesson.models if not store.is_here(model)]
    if missing:
        pytest.skip(f"MINI WEIGHTS MISSING: {', '.join(missing)}; `make minis` trains them.")
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, "--profile", "mini", "--out", tmp_path / "made"],
        cwd=tmp_path,
        env={**os.environ, "LIMNER_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = sorted((tmp_path / "made").glob("*.png"))
    assert len(pictures) >= lesson.pictures
    for picture in pictures:
        with Image.open(picture) as file:
            file.load()
    lesson.check(done.stdout)


def test_every_lesson_is_run_and_listed() -> None:
    assert list(LESSONS) == SCRIPTS
    table = (EXAMPLES / "README.md").read_text()
    assert all(f"]({name})" in table for name in SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_lesson_explains_its_flags(name: str) -> None:
    """--help answers without loading a model."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--profile" in done.stdout
