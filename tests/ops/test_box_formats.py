"""Box conventions: golden values, agreement with the libraries, boxes as tokens, refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from limner.errors import OptionError
from limner.ops import transforms
from limner.ops.box_formats import (
    CONVENTIONS,
    florence_tokens,
    from_florence_tokens,
    from_paligemma_tokens,
    paligemma_tokens,
)
from limner.ops.transforms import (
    inverse_boxes,
)
from tests.ops.cases import rows

# ----------------------------------------------------------------- conventions: golden values


SEEN = (640, 480)
BOX = (64.0, 120.0, 320.0, 480.0)
GOLDEN = rows(
    # name, values of BOX in an image of SEEN, the box they stand for
    ("xyxy", [64, 120, 320, 480], BOX),
    ("xywh", [64, 120, 256, 360], BOX),
    ("cxcywh", [192, 300, 256, 360], BOX),
    ("xyxy_norm", [0.1, 0.25, 0.5, 1.0], BOX),
    ("cxcywh_norm", [0.3, 0.625, 0.4, 0.75], BOX),
    ("xyxy_1000", [100, 250, 500, 1000], BOX),
    ("yxyx_1000", [250, 100, 1000, 500], BOX),
    ("xyxy_999", [100, 250, 500, 999], (64.0641, 120.1201, 320.3203, 480.0)),
    ("xyxy_bin_1000", [100, 250, 500, 999], (64.32, 120.24, 320.32, 479.76)),
    ("yxyx_1024", [256, 102, 1023, 512], (63.8123, 120.1173, 320.3128, 480.0)),
)


@pytest.mark.parametrize(
    ("name", "values", "decoded"), [pytest.param(r.id, *r.values, id=r.id) for r in GOLDEN]
)
def test_a_convention_writes_and_reads_the_golden_box(
    name: str, values: list[float], decoded: tuple[float, ...]
) -> None:
    convention = CONVENTIONS[name]
    np.testing.assert_allclose(convention.encode([BOX], SEEN), [values], rtol=1e-12)
    np.testing.assert_allclose(convention.decode([values], SEEN), [decoded], atol=1e-4)
    assert convention.decode([values, values], SEEN).shape == (2, 4)
    assert convention.encode([], SEEN).shape == convention.decode([], SEEN).shape == (0, 4)


def test_every_convention_has_a_golden_row_and_a_step() -> None:
    assert [row.id for row in GOLDEN] == list(CONVENTIONS)
    steps = {name: convention.step((2000, 1000)) for name, convention in CONVENTIONS.items()}
    assert {name for name, step in steps.items() if step == (0.0, 0.0)} == {
        name for name, convention in CONVENTIONS.items() if not convention.quantised
    }
    assert steps["xyxy_1000"] == steps["yxyx_1000"] == steps["xyxy_bin_1000"] == (2.0, 1.0)
    assert steps["xyxy_999"] == (2000 / 999, 1000 / 999)
    assert steps["yxyx_1024"] == (2000 / 1023, 1000 / 1023)


def test_florence_bins_are_transformers_own() -> None:
    import torch
    from transformers.models.florence2.processing_florence2 import Florence2PostProcessor

    class Tokenizer:
        all_special_tokens: tuple[str, ...] = ()

    theirs = Florence2PostProcessor(config={"PARSE_TASKS": []}, tokenizer=Tokenizer())
    corners = np.random.default_rng(0).random((500, 2, 2)) * SEEN
    xyxy = np.sort(corners, axis=1).reshape(-1, 4)
    convention = CONVENTIONS["xyxy_bin_1000"]
    bins = convention.encode(xyxy, SEEN)
    np.testing.assert_array_equal(bins, theirs.quantize(torch.from_numpy(xyxy), SEEN).numpy())
    whole = theirs.dequantize(torch.from_numpy(bins), SEEN).numpy()
    np.testing.assert_array_equal(np.floor(convention.decode(bins, SEEN)), whole)


REFUSED_VALUES = rows(
    ("three numbers", "xyxy_1000", [[1, 2, 3]], r"shape \(N, 4\)"),
    ("five numbers", "yxyx_1000", [[1, 2, 3, 4, 5]], r"shape \(N, 4\)"),
    ("a flat box", "xyxy", [1, 2, 3, 4], r"shape \(N, 4\)"),
    ("ragged rows", "xyxy", [[1, 2, 3, 4], [1]], "rows of 4 numbers"),
    ("words", "xyxy", [["left", "top", "right", "bottom"]], "rows of 4 numbers"),
    ("NaN", "cxcywh_norm", [[0.5, 0.5, math.nan, 0.1]], "finite"),
    ("None", "xyxy_1000", [[1, 2, 3, None]], "finite"),
    ("infinity", "xywh", [[0, 0, math.inf, 1]], "finite"),
    ("1001 of 1000", "xyxy_1000", [[0, 0, 1, 1], [0, 0, 5, 1001]], "Box 1 of 2.*0 to 1000"),
    ("1000 of 999", "xyxy_999", [[0, 0, 1000, 10]], "0 to 999"),
    ("Florence has no bin 1000", "xyxy_bin_1000", [[0, 0, 1000, 10]], "0 to 999"),
    ("PaliGemma has no token 1024", "yxyx_1024", [[0, 0, 1024, 10]], "0 to 1023"),
    ("negative", "yxyx_1000", [[-1, 0, 5, 5]], "0 to 1000"),
    ("0 to 1 where 0 to 1000 is due", "xyxy_1000", [[0.1, 0.2, 0.5, 0.9]], "whole numbers"),
    ("0 to 1000 where 0 to 1 is due", "xyxy_norm", [[100, 200, 500, 900]], "can't be xyxy_norm"),
    ("0 to 1000 where pixels are due", "xyxy", [[100, 200, 950, 400]], "can't be xyxy"),
    ("right before left", "xyxy", [[300, 10, 200, 20]], "negative width"),
    ("bottom before top", "yxyx_1000", [[300, 10, 200, 20]], "negative width or height"),
    ("negative width", "cxcywh_norm", [[0.5, 0.5, -0.01, 0.1]], "negative width"),
)


@pytest.mark.parametrize(("name", "values", "message"), REFUSED_VALUES)
def test_decode_never_guesses(name: str, values: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CONVENTIONS[name].decode(values, SEEN)


REFUSED_BOXES = rows(
    ("outside the image", [[0, 0, 641, 10]], SEEN, "reaches outside the 640 x 480"),
    ("before the image", [[-1, 0, 10, 10]], SEEN, "clip it first"),
    ("turned round", [[10, 10, 5, 20]], SEEN, "right or bottom before"),
    ("no image", [[0, 0, 1, 1]], (0, 480), "size_wh"),
    ("half an image", [[0, 0, 1, 1]], (0.5, 480), "size_wh"),
)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize(("xyxy", "wh", "message"), REFUSED_BOXES)
def test_encode_takes_boxes_inside_the_image(
    convention: Any, xyxy: Any, wh: Any, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        convention.encode(xyxy, wh)


def test_a_hair_of_rounding_is_no_overshoot_and_a_regressed_one_is_kept_for_clipping() -> None:
    hair = np.array([[0, 0, 640.00006, 480]], dtype=np.float32)
    assert CONVENTIONS["xyxy_1000"].encode(hair, SEEN).tolist() == [[0, 0, 1000, 1000]]
    over = CONVENTIONS["cxcywh_norm"].decode([[0.05, 0.5, 0.2, 0.5]], SEEN)
    np.testing.assert_allclose(over, [[-32, 120, 96, 360]], atol=1e-9)
    frame = transforms.resize(SEEN, SEEN)
    np.testing.assert_allclose(inverse_boxes(frame, over), [[0, 120, 96, 360]], atol=1e-9)


# ----------------------------------------------------------------------------- boxes as tokens


def test_paligemma_tokens() -> None:
    assert paligemma_tokens([BOX, (0, 0, 640, 480)], SEEN) == [
        "<loc0256><loc0102><loc1023><loc0512>",
        "<loc0000><loc0000><loc1023><loc1023>",
    ]
    reply = "<loc0256><loc0102><loc1023><loc0512> cat ; <loc0000><loc0000><loc1023><loc1023> dog"
    boxes = from_paligemma_tokens(reply, SEEN)
    np.testing.assert_allclose(
        boxes, [(63.8123, 120.1173, 320.3128, 480), (0, 0, 640, 480)], atol=1e-4
    )
    segmented = "<loc0256><loc0102><loc1023><loc0512><seg012><seg127> cat"
    assert from_paligemma_tokens(segmented, SEEN).tolist() == boxes[:1].tolist()
    assert from_paligemma_tokens("no cat here", SEEN).shape == (0, 4)


def test_florence_tokens() -> None:
    assert florence_tokens([BOX], SEEN) == ["<loc_100><loc_250><loc_500><loc_999>"]
    two, one = "<loc_100><loc_250><loc_500><loc_999><loc_0><loc_0><loc_1><loc_1>", "<loc_7>" * 4
    reply = f"cat{two}dog{one}"
    boxes = from_florence_tokens(reply, SEEN)
    assert boxes.shape == (3, 4)
    np.testing.assert_allclose(boxes[0], (64.32, 120.24, 320.32, 479.76))
    assert from_florence_tokens("", SEEN).shape == (0, 4)


REFUSED_REPLIES = rows(
    ("cut short", from_paligemma_tokens, "<loc0001><loc0002><loc0003> c", "has 3 in a row"),
    ("cut inside a token", from_paligemma_tokens, "<loc0001><loc00", "isn't <loc"),
    (
        "two halves of a box",
        from_paligemma_tokens,
        "<loc0001><loc0002> <loc0003><loc0004>",
        "has 2",
    ),
    ("a token there isn't", from_paligemma_tokens, "<loc9999>" * 4, "0 to 1023"),
    ("Florence's tokens", from_paligemma_tokens, "<loc_1>" * 4, "isn't <loc"),
    ("six of them", from_florence_tokens, "<loc_1>" * 6, "has 6 in a row"),
    ("bin 1000", from_florence_tokens, "<loc_1000>" * 4, "0 to 999"),
    ("PaliGemma's tokens", from_florence_tokens, "<loc0001>" * 4, "isn't <loc"),
    ("right before left", from_florence_tokens, "<loc_5><loc_1><loc_1><loc_2>", "negative width"),
)


@pytest.mark.parametrize(("read", "reply", "message"), REFUSED_REPLIES)
def test_a_broken_reply_is_refused(read: Any, reply: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        read(reply, SEEN)
