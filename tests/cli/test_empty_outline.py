"""What the verbs make of an outline without a pixel, on the mini that gave it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import need_minis

from .command import Command

COFFEE = Path(__file__).parents[2] / "examples" / "photos" / "coffee.png"
EMPTY = ("--box", "509,40,529,48", "--profile", "mini")


@pytest.mark.slow
def test_an_outline_that_comes_out_empty(limner: Command) -> None:
    """mini-sam outlines nothing in this box: "A bug in limner" from five verbs, and 0 of 160
    pixels hidden by the sixth."""
    need_minis("mini-sam")
    Image.open(COFFEE).save("coffee.png")
    for verb in (("cutout",), ("remove",), ("background", "--blur", "5"), ("segment",)):
        name, *more = verb
        answer = limner.run(name, "coffee.png", *EMPTY, *more, "--fail-if-empty")
        assert answer.code == 1
        assert "box 509,40,529,48 (its outline is empty)" in answer.stdout
    hiding = ("--box", "330,170,450,330", "--object", *EMPTY, "--region", "outline")
    answer = limner("redact", "coffee.png", *hiding, "-o", "hidden.png")
    assert "box hidden where an outline was empty: object 2, box 509,40,529,48" in answer.stdout
    before, after = (
        np.asarray(Image.open(path).convert("RGB"))[40:48, 509:529]
        for path in ("coffee.png", "hidden.png")
    )
    assert (before != after).any(axis=2).mean() > 0.9


@pytest.mark.slow
def test_a_box_beside_a_phrase_is_hidden_too(limner: Command, astronaut: Path) -> None:
    """It meant "the face in this box" and left six faces open; here both are hidden."""
    answer = limner(
        "redact", astronaut, "--text", "face", "--box", "0,400,40,440", "-o", "both.png"
    )
    assert "not found again where it was hidden (haar finds none)" in answer.stdout
    unseen = "object 2, box 0,400,40,440 isn't found in the original either"
    assert f"can't be verified: {unseen}" in answer.stdout
    before, after = (np.asarray(Image.open(p).convert("RGB")) for p in (astronaut, "both.png"))
    changed = (before != after).any(axis=2)
    assert changed[400:440, 0:40].mean() > 0.9
    assert changed[80:150, 190:250].mean() > 0.9  # her face
