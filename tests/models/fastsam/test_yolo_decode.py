"""Decoding the YOLOv8-seg head, held against Ultralytics' own numbers.

``yolo_golden.json`` holds what Ultralytics' ``FastSAMPredictor`` (its version is written there)
made of the outputs that ``outputs`` draws: ``postprocess`` with ``conf=0.4, iou=0.9,
retina_masks=True``, then ``prompt``. Numbers only: that package is AGPL-3.0 and no part of limner.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.models.fastsam.prompts import answer, holding, overlap
from limner.models.fastsam.yolo_decode import axis_weights, decode
from limner.ops import transforms
from limner.prompts import Box, Point, VisualPrompt

GOLDEN = json.loads((Path(__file__).parent / "yolo_golden.json").read_text("utf-8"))["cases"]


def outputs(seed: int, network_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """(37, A) rows, crowded around twelve things, and (32, h, w) prototypes in flat squares."""
    rng = np.random.default_rng(seed)
    width, height = network_wh
    cells = sum((width // stride) * (height // stride) for stride in (8, 16, 32))
    things = rng.uniform((0, 0, 20, 20), (width, height, 0.7 * width, 0.7 * height), (12, 4))
    boxes = things[rng.integers(12, size=cells)] + rng.normal(0, 3, (cells, 4))
    boxes[:, 2:] = np.abs(boxes[:, 2:]) + 1
    scores = rng.uniform(0, 1, cells) ** 2
    coefficients = rng.normal(0, 1, (cells, 32))
    raw = np.concatenate([boxes, scores[:, None], coefficients], 1).T.astype(np.float32)
    coarse = rng.normal(0, 1, (32, height // 32, width // 32))
    return raw, np.kron(coarse, np.ones((1, 8, 8))).astype(np.float32)


def decoded(case: dict[str, Any]) -> Any:
    network_wh, image_wh = tuple(case["network_wh"]), tuple(case["image_wh"])
    raw, prototypes = outputs(case["seed"], network_wh)
    frame = transforms.letterbox(image_wh, network_wh, centred=True)
    return decode(raw, prototypes, frame, conf=0.4, iou=0.9)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: "x".join(map(str, case["image_wh"])))
def test_masks_are_those_of_ultralytics(case: dict[str, Any]) -> None:
    """The same rows in the same order, and each mask to the pixel: its area and where it lies;
    with padding on either side, none, odd, and where the image is smaller than its prototypes."""
    things = decoded(case)
    assert np.allclose(things.confidence, case["confidence"], atol=1e-5)
    assert things.area.tolist() == case["area"]
    width, height = case["image_wh"]
    for row in range(len(things)):
        mask = things.masks[row]
        assert (mask @ np.arange(width)).sum() == case["sum_x"][row]
        assert (np.arange(height) @ mask).sum() == case["sum_y"][row]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: "x".join(map(str, case["image_wh"])))
def test_a_box_and_points_choose_as_in_ultralytics(case: dict[str, Any]) -> None:
    """The best mask for a box; which masks hold one of two foreground points and not the
    background point."""
    things = decoded(case)
    chosen = [int(overlap(things, Box(*xyxy)).argmax()) for xyxy in case["boxes"]]
    assert chosen == case["box_row"]
    for xyxy, row in zip(case["boxes"], case["box_row"], strict=True):
        found = answer(things, VisualPrompt(box=Box(*xyxy)))
        assert np.array_equal(found.mask, things.masks[row])
    for points, rows in zip(case["points"], case["point_rows"], strict=True):
        holds = holding(things, [Point(x, y) for x, y in points])
        picked = holds[:, :2].any(axis=1) & ~holds[:, 2]
        assert np.flatnonzero(picked).tolist() == rows


def test_nothing_above_the_threshold_is_no_mask() -> None:
    raw, prototypes = outputs(1, (256, 256))
    frame = transforms.letterbox((256, 192), (256, 256), centred=True)
    things = decode(raw, prototypes, frame, conf=1.0, iou=0.9)
    assert len(things) == 0
    assert things.masks.shape == (0, 192, 256)
    assert not answer(things, VisualPrompt(box=Box(0, 0, 9, 9))).mask.any()


@given(
    wide=st.integers(1, 400),
    high=st.integers(1, 400),
    axis=st.integers(0, 1),
    side=st.integers(1, 4),
)
def test_a_pixel_is_read_only_from_cells_of_the_image(
    wide: int, high: int, axis: int, side: int
) -> None:
    """Weights are those of a mean, and none is of a cell that lies wholly in the padding."""
    target = (64 * side, 128)
    frame = transforms.letterbox((wide, high), target, centred=True)
    cells = target[axis] // 4
    weights = axis_weights(frame, axis, cells)
    assert weights.shape == ((wide, high)[axis], cells)
    assert np.allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert (weights > -1e-6).all()
    first, last = frame.drawn_xyxy[axis] / 4, frame.drawn_xyxy[axis + 2] / 4
    seen = np.flatnonzero(weights.any(axis=0))
    assert seen[0] >= np.floor(first) - 1
    assert seen[-1] <= np.ceil(last)
