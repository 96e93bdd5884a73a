"""Frames and tiles: golden values, agreement with the libraries, refusals."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.errors import OptionError
from limner.ops import transforms, vlm_sizes
from limner.ops.box_formats import (
    CONVENTIONS,
)
from limner.ops.transforms import (
    Chain,
    Placement,
    forward_boxes,
    frame_from_dict,
    inverse_boxes,
)
from tests.ops.cases import rows, size

# ------------------------------------------------------------------ transforms: golden values


TRANSFORMS = rows(
    # name, frame, (target_wh, drawn_xyxy, a point in the source, where it lands)
    (
        "resize squashes each axis by itself",
        transforms.resize((1000, 500), (768, 768)),
        ((768, 768), (0, 0, 768, 768), (250, 250), (192, 384)),
    ),
    (
        "resize_longest rounds the short side up at a half",
        transforms.resize_longest((2048, 1333), 1024),
        ((1024, 667), (0, 0, 1024, 667), (2048, 1333), (1024, 667)),
    ),
    (
        "resize_longest enlarges",
        transforms.resize_longest((3, 4), 1024),
        ((768, 1024), (0, 0, 768, 1024), (1.5, 1), (384, 256)),
    ),
    (
        "resize_longest never makes an empty side",
        transforms.resize_longest((1, 8000), 1024),
        ((1, 1024), (0, 0, 1, 1024), (1, 4000), (1, 512)),
    ),
    (
        "pad leaves coordinates alone",
        transforms.pad((480, 640), (640, 640)),
        ((640, 640), (0, 0, 480, 640), (100.25, 7), (100.25, 7)),
    ),
    (
        "pad_to_square of a landscape pads below",
        transforms.pad_to_square((1000, 500)),
        ((1000, 1000), (0, 0, 1000, 500), (10, 20), (10, 20)),
    ),
    (
        "letterbox, YOLO's bus.jpg: 810 x 1080 in 640",
        transforms.letterbox((810, 1080), (640, 640), centred=True),
        ((640, 640), (80, 0, 560, 640), (405, 540), (320, 320)),
    ),
    (
        "letterbox gives an odd padding's extra pixel to the right",
        transforms.letterbox((479, 640), (640, 640), centred=True),
        ((640, 640), (80, 0, 559, 640), (0, 0), (80, 0)),
    ),
    (
        "letterbox at the top left",
        transforms.letterbox((1000, 500), (640, 640), centred=False),
        ((640, 640), (0, 0, 640, 320), (1000, 500), (640, 320)),
    ),
    (
        "smart_resize to multiples of 28",
        vlm_sizes.smart_resize((640, 480)),
        ((644, 476), (0, 0, 644, 476), (640, 480), (644, 476)),
    ),
    (
        "smart_resize shrinks to max_pixels",
        vlm_sizes.smart_resize((4000, 3000)),
        ((1148, 840), (0, 0, 1148, 840), (2000, 1500), (574, 420)),
    ),
    (
        "smart_resize enlarges to min_pixels",
        vlm_sizes.smart_resize((10, 20)),
        ((56, 84), (0, 0, 56, 84), (5, 10), (28, 42)),
    ),
    (
        "fit_within never enlarges",
        vlm_sizes.fit_within((100, 50), (2048, 2048)),
        ((100, 50), (0, 0, 100, 50), (33.5, 20), (33.5, 20)),
    ),
    (
        "fit_within a box of another shape",
        vlm_sizes.fit_within((3000, 1999), (1568, 900)),
        ((1351, 900), (0, 0, 1351, 900), (3000, 1999), (1351, 900)),
    ),
    (
        "gpt4o: OpenAI's own example, 2048 x 4096 to 768 x 1536",
        vlm_sizes.gpt4o_high_detail((2048, 4096)),
        ((768, 1536), (0, 0, 768, 1536), (1024, 2048), (384, 768)),
    ),
    (
        "gpt4o: OpenAI's other example, 1024 x 1024 to 768 x 768",
        vlm_sizes.gpt4o_high_detail((1024, 1024)),
        ((768, 768), (0, 0, 768, 768), (512, 1024), (384, 768)),
    ),
    (
        "gpt4o: a strip is bound by 2048 alone",
        vlm_sizes.gpt4o_high_detail((4096, 100)),
        ((2048, 50), (0, 0, 2048, 50), (2048, 50), (1024, 25)),
    ),
    (
        "gpt4o: small stays",
        vlm_sizes.gpt4o_high_detail((700, 500)),
        ((700, 500), (0, 0, 700, 500), (1, 2), (1, 2)),
    ),
    (
        "crop shifts",
        transforms.crop((480, 640), (100, 200, 300, 500)),
        ((200, 300), (0, 0, 200, 300), (150.5, 200), (50.5, 0)),
    ),
)


@pytest.mark.parametrize(("frame", "expected"), TRANSFORMS)
def test_a_transform_has_the_golden_size_and_maps_both_ways(
    frame: Placement, expected: tuple[Any, ...]
) -> None:
    target_wh, drawn_xyxy, source_xy, target_xy = expected
    assert (frame.target_wh, frame.drawn_xyxy) == (target_wh, drawn_xyxy)
    np.testing.assert_allclose(frame.forward_points([source_xy]), [target_xy], atol=1e-9)
    np.testing.assert_allclose(frame.inverse_points([target_xy]), [source_xy], atol=1e-9)


@pytest.mark.parametrize("frame", [row.values[0] for row in TRANSFORMS])
def test_the_shown_rectangle_lands_on_the_drawn_one_exactly(frame: Placement) -> None:
    drawn = forward_boxes(frame, [frame.shown_xyxy])
    assert tuple(drawn[0]) == frame.drawn_xyxy
    assert tuple(inverse_boxes(frame, drawn)[0]) == frame.shown_xyxy


# ------------------------------------------------------------- transforms: agreement with others


@pytest.mark.parametrize("factor", [28, 32])
def test_smart_resize_is_transformers_own(factor: int) -> None:
    from transformers.models.qwen2_vl import image_processing_pil_qwen2_vl as qwen

    sides = [1, 2, 13, 14, 27, 28, 42, 70, 99, 224, 640, 1001, 1500, 2048, 3999, 8000]
    bounds = [(56 * 56, 14 * 14 * 4 * 1280), (256 * 28 * 28, 1280 * 28 * 28), (1, 10**9)]
    compared = 0
    for w in sides:
        for h in sides:
            for low, high in bounds:
                if max(w, h) > 200 * min(w, h):
                    with pytest.raises(OptionError, match="at most 200 times"):
                        vlm_sizes.smart_resize((w, h), factor, low, high)
                    continue
                theirs = qwen.smart_resize(h, w, factor, low, high)
                assert vlm_sizes.smart_resize((w, h), factor, low, high).target_wh == theirs[::-1]
                compared += 1
    assert compared > 500


@pytest.mark.parametrize("wh", [(64, 48), (48, 64), (64, 64), (2048, 1333), (1023, 7), (3, 1025)])
def test_resize_longest_and_pad_are_transformers_sam(wh: tuple[int, int]) -> None:
    from transformers import SamImageProcessor

    image = np.zeros((wh[1], wh[0], 3), dtype=np.uint8)
    out = SamImageProcessor()(image, return_tensors="pt")
    ours = transforms.resize_longest(wh, 1024)
    assert ours.target_wh[::-1] == tuple(map(int, out["reshaped_input_sizes"][0]))
    padded = ours.then(transforms.pad(ours.target_wh, (1024, 1024)))
    assert padded.target_wh[::-1] == out["pixel_values"].shape[-2:]


def owl_box(processor: Any, cxcywh: list[float], wh: tuple[int, int]) -> np.ndarray:
    """transformers' answer, in pixels of the original, to one predicted box."""
    import torch

    outputs = SimpleNamespace(
        logits=torch.full((1, 1, 1), 9.0), pred_boxes=torch.tensor([[cxcywh]])
    )
    sizes = torch.tensor([wh[::-1]])
    return np.asarray(processor.post_process_object_detection(outputs, 0.5, sizes)[0]["boxes"])


OWL_BOXES = rows(
    # name, original, where the model puts a box of it (0 to 1), the box in the original
    ("landscape", (1000, 500), [0.5, 0.5, 0.2, 0.4], (400, 150, 600, 350)),
    ("portrait", (480, 640), [0.25, 0.75, 0.5, 0.25], (0, 400, 240, 560)),
    ("square", (640, 640), [0.5, 0.5, 1.0, 1.0], (0, 0, 640, 640)),
)


@pytest.mark.parametrize(("wh", "cxcywh", "xyxy"), OWL_BOXES)
def test_owlvit_boxes_on_an_image_that_is_not_square(
    wh: tuple[int, int], cxcywh: list[float], xyxy: tuple[float, ...]
) -> None:
    """OWL-ViT squashes the image, so each axis has its own scale (transformers #18553)."""
    from transformers import OwlViTImageProcessor

    frame = transforms.resize(wh, (768, 768))
    seen = CONVENTIONS["cxcywh_norm"].decode([cxcywh], frame.target_wh)
    np.testing.assert_allclose(inverse_boxes(frame, seen), [xyxy], atol=1e-9)
    np.testing.assert_allclose(owl_box(OwlViTImageProcessor(), cxcywh, wh), [xyxy], atol=1e-3)


OWLV2_BOXES = rows(
    ("landscape", (1000, 500), [0.5, 0.25, 0.2, 0.2], (400, 150, 600, 350)),
    ("portrait", (480, 640), [0.1875, 0.75, 0.375, 0.25], (0, 400, 240, 560)),
)


@pytest.mark.parametrize(("wh", "cxcywh", "xyxy"), OWLV2_BOXES)
def test_owlv2_boxes_count_the_padding(
    wh: tuple[int, int], cxcywh: list[float], xyxy: tuple[float, ...]
) -> None:
    """OWLv2 pads to a square first (transformers #27205, #27705, #30131)."""
    from transformers import Owlv2ImageProcessor

    square = transforms.pad_to_square(wh)
    frame = square.then(transforms.resize(square.target_wh, (960, 960)))
    seen = CONVENTIONS["cxcywh_norm"].decode([cxcywh], frame.target_wh)
    np.testing.assert_allclose(inverse_boxes(frame, seen), [xyxy], atol=1e-9)
    np.testing.assert_allclose(owl_box(Owlv2ImageProcessor(), cxcywh, wh), [xyxy], atol=1e-3)


def test_the_centre_crop_that_caused_18553_is_only_a_step_in_the_chain() -> None:
    """transformers 4.21 cut OWL-ViT's input to its middle and scaled boxes by the whole image."""
    wh, box = (1536, 768), (800.0, 100.0, 900.0, 300.0)
    chain = transforms.crop(wh, (384, 0, 1152, 768)).then(transforms.resize((768, 768), (768, 768)))
    norm = CONVENTIONS["cxcywh_norm"]
    values = norm.encode(forward_boxes(chain, [box]), chain.target_wh)
    naive = norm.decode(values, wh)
    assert naive[0, 0] == pytest.approx((800 - 384) * 2)  # 32 pixels off
    back = inverse_boxes(chain, norm.decode(values, chain.target_wh))
    np.testing.assert_allclose(back, [box], atol=1e-9)


# ------------------------------------------------------------------------- chains and refusals


def test_a_chain_is_flat_and_goes_both_ways() -> None:
    first = transforms.crop((640, 480), (40, 20, 640, 480))
    second = transforms.letterbox(first.target_wh, (320, 320), centred=True)
    third = vlm_sizes.fit_within((320, 320), (100, 100))
    chain = first.then(second).then(third)
    assert chain == first.then(second.then(third)) == Chain((first, second, third))
    assert [step.kind for step in chain.steps] == ["crop", "letterbox", "fit_within"]
    assert (chain.source_wh, chain.target_wh) == ((640, 480), (100, 100))
    assert first.steps == (first,)
    xy = np.array([[40.0, 20.0], [640.0, 480.0], [333.25, 77.5]])
    np.testing.assert_allclose(chain.inverse_points(chain.forward_points(xy)), xy, atol=1e-9)


def test_boxes_are_clipped_to_the_image_they_are_mapped_to() -> None:
    frame = transforms.letterbox((1000, 500), (640, 640), centred=True)
    padding = [[-5.0, 0.0, 645.0, 640.0]]
    assert inverse_boxes(frame, padding).tolist() == [[0, 0, 1000, 500]]
    assert inverse_boxes(frame, padding, clip=False)[0, 1] == -250
    tile = transforms.crop((1000, 500), (100, 100, 200, 200))
    reaching_out = [[50.0, 150.0, 150.0, 600.0]]
    assert forward_boxes(tile, reaching_out).tolist() == [[-50, 50, 50, 500]]
    assert forward_boxes(tile, reaching_out, clip=True).tolist() == [[0, 50, 50, 100]]


def test_no_points_and_no_boxes_are_fine_and_input_is_left_alone() -> None:
    frame = transforms.resize((10, 20), (30, 30))
    assert frame.forward_points([]).shape == (0, 2)
    assert frame.then(frame_from_dict(transforms.pad((30, 30), (40, 40)).to_dict())).inverse_points(
        np.empty((0, 2))
    ).shape == (0, 2)
    assert forward_boxes(frame, []).shape == inverse_boxes(frame, np.empty((0, 4))).shape == (0, 4)
    boxes = np.array([[1.0, 2.0, 3.0, 4.0]])
    for changed in (forward_boxes(frame, boxes), CONVENTIONS["xyxy"].encode(boxes, (10, 20))):
        changed[:] = -1
    assert boxes.tolist() == [[1, 2, 3, 4]]


GOOD = transforms.crop((100, 50), (10, 10, 20, 20))
REFUSED_FRAMES = rows(
    ("no width", lambda: transforms.resize((0, 5), (1, 1)), "at least 1 pixel"),
    ("a fractional size", lambda: transforms.resize((10.5, 5), (1, 1)), "whole numbers"),
    ("three sizes", lambda: transforms.pad_to_square((1, 2, 3)), "2 whole numbers"),
    ("longest 0", lambda: transforms.resize_longest((5, 5), 0), "at least 1 pixel"),
    ("padding to a smaller image", lambda: transforms.pad((10, 10), (9, 20)), "inside a 9 x 20"),
    ("an empty crop", lambda: transforms.crop((10, 10), (5, 5, 5, 9)), "not empty"),
    ("a crop outside", lambda: transforms.crop((10, 10), (5, 5, 11, 9)), "inside a 10 x 10"),
    (
        "a crop of parts of pixels",
        lambda: transforms.crop((10, 10), (0.5, 0, 9, 9)),
        "whole numbers",
    ),
    ("too long for Qwen", lambda: vlm_sizes.smart_resize((201, 1)), "at most 200 times"),
    ("bounds the wrong way", lambda: vlm_sizes.smart_resize((9, 9), 28, 9, 8), "min_pixels"),
    (
        "overlap of a whole tile",
        lambda: transforms.tiles((9, 9), (4, 4), (4, 0)),
        "less than the tile",
    ),
    ("negative overlap", lambda: transforms.tiles((9, 9), (4, 4), (0, -1)), "at least 0"),
    ("an empty chain", lambda: Chain(()), "at least one step"),
    ("steps that don't meet", lambda: GOOD.then(GOOD), r"starts from \(100, 50\)"),
    ("a kind without a name", lambda: Placement("", (1, 1), (1, 1), *[(0, 0, 1, 1)] * 2), "kind"),
    ("points in threes", lambda: GOOD.forward_points([[1, 2, 3]]), r"shape \(N, 2\)"),
    ("ragged points", lambda: GOOD.forward_points([[1, 2], [3]]), "array of numbers"),
    ("words for points", lambda: GOOD.inverse_points([["a", "b"]]), "array of numbers"),
    ("NaN", lambda: forward_boxes(GOOD, [[0, 0, math.nan, 1]]), "finite"),
    ("one flat box", lambda: inverse_boxes(GOOD, [0, 0, 1, 1]), r"shape \(N, 4\)"),
    ("a record with a key less", lambda: frame_from_dict({"kind": "crop"}), "has the keys"),
    ("a record with one more", lambda: frame_from_dict(GOOD.to_dict() | {"x": 1}), "has the keys"),
    ("a record that is none", lambda: frame_from_dict([1]), "has the keys"),
    ("a record of no steps", lambda: frame_from_dict({"kind": "chain", "steps": 3}), "are a list"),
)


@pytest.mark.parametrize(("make", "message"), REFUSED_FRAMES)
def test_what_cant_be_meant_is_refused(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


# --------------------------------------------------------------------------------------- tiles


TILES = rows(
    ("smaller than a tile", (300, 200), (640, 640), (64, 64), [(0, 0, 300, 200)]),
    ("exactly one", (64, 64), (64, 64), (0, 0), [(0, 0, 64, 64)]),
    ("exactly two", (8, 4), (4, 4), (0, 0), [(0, 0, 4, 4), (4, 0, 8, 4)]),
    (
        "the spare overlap is shared",
        (10, 4),
        (4, 4),
        (0, 0),
        [(0, 0, 4, 4), (3, 0, 7, 4), (6, 0, 10, 4)],
    ),
    (
        "row by row",
        (6, 9),
        (5, 5),
        (1, 1),
        [(0, 0, 5, 5), (1, 0, 6, 5), (0, 4, 5, 9), (1, 4, 6, 9)],
    ),
)


@pytest.mark.parametrize(("wh", "tile_wh", "overlap_wh", "expected"), TILES)
def test_tiles_golden(wh: Any, tile_wh: Any, overlap_wh: Any, expected: Any) -> None:
    assert [tile.shown_xyxy for tile in transforms.tiles(wh, tile_wh, overlap_wh)] == expected


@st.composite
def tilings(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """Sizes whose tiles are few enough to look at: a side has at most some 30."""
    wh = draw(size)
    tile_wh = tuple(draw(st.integers(max(1, n // 10), max(1, 2 * n))) for n in wh)
    overlap_wh = tuple(draw(st.integers(0, 2 * n // 3)) for n in tile_wh)
    return wh, tile_wh, tuple(min(o, n - 1) for o, n in zip(overlap_wh, tile_wh, strict=True))


@settings(deadline=None)
@given(tilings())
def test_tiles_cover_every_pixel_and_map_back_exactly(case: tuple[Any, Any, Any]) -> None:
    wh, tile_wh, overlap_wh = case
    made = transforms.tiles(wh, tile_wh, overlap_wh)
    full = tuple(min(t, n) for t, n in zip(tile_wh, wh, strict=True))
    columns = sorted({(t.shown_xyxy[0], t.shown_xyxy[2]) for t in made})
    lines = sorted({(t.shown_xyxy[1], t.shown_xyxy[3]) for t in made})
    assert len(made) == len(columns) * len(lines)  # a grid, so axis by axis is enough
    for spans, n, overlap in zip((columns, lines), wh, overlap_wh, strict=True):
        assert (spans[0][0], spans[-1][1]) == (0, n)
        for (_, end), (start, _) in pairwise(spans):
            assert start <= end - overlap
    for tile in made:
        assert tile.target_wh == full
        w, h = full
        points = np.array([[0, 0], [w, h], [w - 0.25, 0.5], [w // 2, h - 1]], dtype=np.float64)
        back = tile.inverse_points(points)
        assert (back == points + tile.shown_xyxy[:2]).all()
        assert (tile.forward_points(back) == points).all()


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_a_picture_within_claudes_limits_is_one_that_it_leaves_alone(w: int, h: int) -> None:
    """Within both budgets, near the larger of them, never enlarged; and by the vendor's own count
    no more than 1568 patches of 28 pixels."""
    frame = vlm_sizes.fit_pixels((w, h), 1568, 1_150_000)
    wide, high = frame.target_wh
    assert max(wide, high) <= min(1568, max(w, h))
    assert wide * high <= 1_150_000
    assert math.ceil(wide / 28) * math.ceil(high / 28) <= 1568
    if (wide, high) != (w, h):
        assert max(wide, high) >= 1567 or (wide + 1) * (high + 1) >= 1_150_000
    assert vlm_sizes.fit_pixels((wide, high), 1568, 1_150_000).target_wh == (wide, high)
