"""``extend --aspect``: the canvas that a picture lacks, evenly on two sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.errors import OptionError
from limner.pipeline.extend import parse_aspect

from .command import Command


@pytest.mark.parametrize(
    ("aspect", "size_wh", "pixels"),
    [
        ("16:9", (90, 90), (35, 0, 35, 0)),
        ("16:9", (160, 60), (0, 15, 0, 15)),
        ("1:1", (10, 13), (1, 0, 2, 0)),
        ("2.39:1", (100, 100), (69, 0, 70, 0)),
        ("9/16", (90, 90), (0, 35, 0, 35)),
    ],
)
def test_canvas_is_added_evenly(
    aspect: str, size_wh: tuple[int, int], pixels: tuple[int, ...]
) -> None:
    assert parse_aspect(aspect).of(size_wh).pixels(size_wh) == pixels


def test_one_that_is_met_is_refused() -> None:
    with pytest.raises(OptionError, match="160x90 is 16:9 already"):
        parse_aspect("16:9").of((160, 90))


@pytest.mark.parametrize("text", ["", "16", "16:", "0:9", "-1:2", "a:b", "1:2:3", "9" * 400 + ":1"])
def test_what_is_no_aspect_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--aspect takes WIDTH:HEIGHT"):
        parse_aspect(text)


def test_the_command_grows_each_by_what_it_lacks(limner: Command) -> None:
    """Each of several pictures to the same aspect, its own pixels untouched."""
    values = np.random.default_rng(0).integers(0, 256, (36, 36, 3), np.uint8)
    Image.fromarray(values).save("a.png")
    Image.fromarray(values[:9, :32]).save("b.png")
    limner("extend", "a.png", "b.png", "--aspect", "16:9")
    with Image.open("a-extend.png") as picture:
        assert picture.size == (64, 36)
        assert np.array_equal(np.asarray(picture)[:, 14:50], values)
    with Image.open("b-extend.png") as picture:
        assert picture.size == (32, 18)
    answer = limner.run("extend", "a-extend.png", "--aspect", "16:9")
    assert answer.code == 2
    assert "already" in answer.stderr
    assert not Path("a-extend-extend.png").exists()


@pytest.mark.parametrize("words", [(), ("--extend", "left=4", "--aspect", "16:9")])
def test_one_of_both_is_wanted(limner: Command, words: tuple[str, ...]) -> None:
    Image.new("RGB", (9, 9)).save("a.png")
    answer = limner.run("extend", "a.png", *words)
    assert answer.code == 2
    assert "either --extend" in answer.stderr
