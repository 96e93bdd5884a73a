"""What the verbs make of an outline without a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from limner.prompts import Box, VisualPrompt
from tests.conftest import need_minis

from .command import Command

if TYPE_CHECKING:
    import torch

COFFEE = Path(__file__).parents[2] / "examples" / "photos" / "coffee.png"
NOTHING_IN = Box(509, 40, 529, 48)
EMPTY = ("--box", "509,40,529,48", "--profile", "mini")


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """mini-sam's decoder sees nothing in one box, as its first weights did there."""
    need_minis("mini-sam")
    from limner.models.sam.segmenter import SamSegmenter

    decode = SamSegmenter._decode

    def blind(
        segmenter: SamSegmenter, seen: Any, prompts: Sequence[VisualPrompt], multimask: bool
    ) -> tuple[torch.Tensor, Any]:
        logits, scores = decode(segmenter, seen, prompts, multimask)
        for row, prompt in enumerate(prompts):
            if prompt.box == NOTHING_IN:
                logits[row] = -10
        return logits, scores

    monkeypatch.setattr(SamSegmenter, "_decode", blind)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_there")
def test_an_outline_that_comes_out_empty(limner: Command) -> None:
    """mini-sam outlined nothing in this box: "A bug in limner" from five verbs, and 0 of 160
    pixels hidden by the sixth."""
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
