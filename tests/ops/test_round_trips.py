"""Any box through any chain of frames and any convention.

Every quantised convention is tested against the bound it promises: a box comes back within half a
step of that convention's grid, seen in the original.
"""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.ops import transforms, vlm_sizes
from limner.ops.box_formats import (
    CONVENTIONS,
)
from limner.ops.transforms import (
    Frame,
    Placement,
    forward_boxes,
    frame_from_dict,
    inverse_boxes,
)
from tests.ops.cases import side, size


@st.composite
def chains(draw: st.DrawFn) -> tuple[Frame, np.ndarray]:
    """A chain of one to four steps and a (1, 4) box inside its source that no crop cuts."""
    wh = draw(size)
    xs, ys = (sorted(draw(st.tuples(*[st.floats(0, n)] * 2))) for n in wh)
    box = np.array([[xs[0], ys[0], xs[1], ys[1]]])
    chain: Frame | None = None
    for _ in range(draw(st.integers(1, 4))):
        seen = box if chain is None else forward_boxes(chain, box, clip=True)
        step = draw_step(draw, wh, seen[0])
        chain = step if chain is None else chain.then(step)
        wh = step.target_wh
    assert chain is not None
    return chain, box


def draw_step(draw: st.DrawFn, wh: tuple[int, int], box: np.ndarray) -> Placement:
    kinds = ["resize", "longest", "letterbox", "pad", "fit", "gpt4o", "crop"]
    if max(wh) <= 200 * min(wh):
        kinds.append("smart")
    kind = draw(st.sampled_from(kinds))
    if kind == "resize":
        return transforms.resize(wh, draw(size))
    if kind == "longest":
        return transforms.resize_longest(wh, draw(side))
    if kind == "letterbox":
        return transforms.letterbox(wh, draw(size), draw(st.booleans()))
    if kind == "pad":
        return transforms.pad_to_square(wh)
    if kind == "fit":
        return vlm_sizes.fit_within(wh, draw(size))
    if kind == "gpt4o":
        return vlm_sizes.gpt4o_high_detail(wh)
    if kind == "smart":
        return vlm_sizes.smart_resize(wh, draw(st.sampled_from([28, 32])))
    low = [draw(st.integers(0, min(math.floor(box[i]), wh[i] - 1))) for i in (0, 1)]
    high = [draw(st.integers(max(math.ceil(box[i + 2]), low[i] + 1), wh[i])) for i in (0, 1)]
    return transforms.crop(wh, (low[0], low[1], high[0], high[1]))


def source_pixels(frame: Frame) -> tuple[np.ndarray, float]:
    """Source pixels to one target pixel along x and y; and the float error to allow for.

    Each step rounds to some 2**-52 of the coordinates there, seen through the scale so far.
    """
    per_pixel, error = np.ones(2), 1e-9
    for step in frame.steps:
        corners = step.inverse_points([[0, 0], [1, 1]])
        per_pixel = per_pixel * (corners[1] - corners[0])
        error += 1e-14 * float(np.max(per_pixel * step.target_wh))
    return per_pixel, error


@settings(deadline=None)
@given(chains())
def test_any_box_through_any_chain_and_any_convention_comes_back(
    case: tuple[Frame, np.ndarray],
) -> None:
    frame, box = case
    per_pixel, error = source_pixels(frame)
    seen = forward_boxes(frame, box)
    checked = 0
    for convention in CONVENTIONS.values():
        values = convention.encode(seen, frame.target_wh)
        back = inverse_boxes(frame, convention.decode(values, frame.target_wh))
        half = 0.5 * np.array(convention.step(frame.target_wh)) * per_pixel
        assert (np.abs(back - box) <= np.tile(half, 2) * (1 + 1e-9) + error).all(), convention.name
        checked += 1
    assert checked == len(CONVENTIONS) == 10


@settings(deadline=None)
@given(chains())
def test_a_frame_survives_json_unchanged(case: tuple[Frame, np.ndarray]) -> None:
    frame, box = case
    again = frame_from_dict(json.loads(json.dumps(frame.to_dict())))
    assert again == frame
    assert forward_boxes(again, box).tobytes() == forward_boxes(frame, box).tobytes()


@settings(deadline=None)
@given(size, size, st.integers(1, 8000))
def test_a_resize_rule_keeps_its_promise(
    wh: tuple[int, int], box_wh: tuple[int, int], longest: int
) -> None:
    fit = vlm_sizes.fit_within(wh, box_wh).target_wh
    assert all(f <= min(s, b) for f, s, b in zip(fit, wh, box_wh, strict=True))
    assert max(transforms.resize_longest(wh, longest).target_wh) == longest
    small = vlm_sizes.gpt4o_high_detail(wh)
    assert max(small.target_wh) <= 2048
    assert min(small.target_wh) <= 768
    assert vlm_sizes.gpt4o_high_detail(small.target_wh).target_wh == small.target_wh
    boxed = transforms.letterbox(wh, box_wh, centred=True)
    x0, y0, x1, y1 = boxed.drawn_xyxy
    assert x1 - x0 == box_wh[0] or y1 - y0 == box_wh[1]
    assert abs(x0 - (box_wh[0] - x1)) <= 1
    assert abs(y0 - (box_wh[1] - y1)) <= 1
