"""Masks as rows, for every segmenter alike."""

from __future__ import annotations

import numpy as np
import pytest

from limner.models.blocks.mask_rows import anchor_of, mask_rows
from limner.ops.detections import Candidates
from limner.ops.masks import MaskCrop
from limner.prompts import Box, Mask, Point, Text, VisualPrompt

CORNER = np.zeros((20, 30), bool)
CORNER[2:6, 4:14] = True
BOX, CLICK = Box(10, 0, 20, 8), Point(3, 4)
ANCHORS = {
    "words point nowhere": (VisualPrompt(text=Text("dog")), (0, 0)),
    "the middle of a mask": (VisualPrompt(mask=Mask(CORNER)), (9, 4)),
    "a box before its mask": (VisualPrompt(box=BOX, mask=Mask(CORNER)), (15, 4)),
    "the first foreground point before all": (
        VisualPrompt(points=(Point(1, 1, foreground=False), CLICK, Point(9, 9)), box=BOX),
        (3, 4),
    ),
}


@pytest.mark.parametrize(("prompt", "xy"), ANCHORS.values(), ids=ANCHORS)
def test_an_empty_mask_has_a_box_of_no_area_where_the_prompt_points(
    prompt: VisualPrompt, xy: tuple[float, float]
) -> None:
    """Every family had a rule of its own for this."""
    assert anchor_of(prompt) == (*xy, *xy)
    empty = Candidates.of([(MaskCrop.of(np.zeros((20, 30), bool)), 0.25)])
    rows = mask_rows([prompt], [empty], ["a"])
    assert rows.xyxy.tolist() == [[*xy, *xy]]
    assert not rows.mask[0].any()


def test_the_first_candidate_is_the_row() -> None:
    full = np.ones((20, 30), bool)
    own = Candidates.of([(MaskCrop.of(CORNER), 0.5), (MaskCrop.of(full), 0.75)])
    rows = mask_rows([VisualPrompt(box=BOX)] * 2, [own, own], ["a", "b"])
    assert rows.xyxy.tolist() == [[4, 2, 14, 6]] * 2
    assert rows.data["mask_score"].tolist() == [0.5, 0.5]
    assert list(rows.data["class_name"]) == ["a", "b"]
    assert list(rows.data["prompt_index"]) == [0, 1]
    assert np.array_equal(rows.mask[1], CORNER)
    assert [len(each) for each in rows.data["candidates"]] == [2, 2]
    assert len(mask_rows([], [], [])) == 0
