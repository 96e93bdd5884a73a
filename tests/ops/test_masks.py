"""Masks: properties on random shapes, agreement with scipy and pycocotools, named edge cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco
from scipy import ndimage

from limner.errors import PromptError
from limner.ops import masks

ANY = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
BLOTS = ANY.map(lambda seed: ndimage.binary_dilation(np.pad(seed, 3), iterations=1))
SHAPES = st.one_of(ANY, BLOTS)
REACH = st.integers(0, 6)


def disc_around(shape: tuple[int, int], x: int, y: int, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def one_pixel(shape: tuple[int, int] = (9, 11), x: int = 5, y: int = 4) -> np.ndarray:
    return disc_around(shape, x, y, 0)


@given(SHAPES)
def test_a_crop_is_its_mask(mask: np.ndarray) -> None:
    """Its area, box and COCO run lengths are those of the whole mask, which is never needed."""
    crop = masks.MaskCrop.of(mask)
    np.testing.assert_array_equal(crop.full(), mask)
    assert crop.box_xyxy == masks.box_of(mask)
    assert crop.area == mask.sum()
    assert crop.to_rle() == masks.to_rle(mask)
    again = masks.MaskCrop.from_rle(crop.to_rle())
    np.testing.assert_array_equal(again.full(), mask)
    assert again.window.shape == crop.window.shape


@given(SHAPES, REACH)
def test_dilate_holds_the_mask_and_matches_brute_force(mask: np.ndarray, pixels: int) -> None:
    grown = masks.dilate(mask, pixels)
    assert grown[mask].all()
    if mask.any():
        expected = ndimage.distance_transform_edt(~mask) <= pixels + 1e-9
        np.testing.assert_array_equal(grown, expected)
    else:
        assert not grown.any()


@given(SHAPES, REACH)
def test_erode_is_dilating_the_outside(mask: np.ndarray, pixels: int) -> None:
    np.testing.assert_array_equal(masks.erode(mask, pixels), ~masks.dilate(~mask, pixels))


@pytest.mark.parametrize("radius", [1, 2, 7, 60, 400])
def test_one_pixel_dilates_to_an_exact_disc(radius: int) -> None:
    side = 2 * radius + 5
    mask = one_pixel((side, side), side // 2, side // 2)
    expected = disc_around((side, side), side // 2, side // 2, radius)
    np.testing.assert_array_equal(masks.dilate(mask, radius), expected)


@given(SHAPES, REACH)
def test_feather_is_zero_outside_and_reaches_one_in_every_part(
    mask: np.ndarray, width: int
) -> None:
    alpha = masks.feather(mask, width)
    assert alpha.dtype == np.float32
    assert (alpha[~mask] == 0).all()
    assert (alpha[mask] > 0).all()
    assert alpha.max(initial=0) <= 1
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    for part in range(1, count + 1):
        assert alpha[parts == part].max() == 1


def test_feather_rises_in_equal_steps_from_the_border() -> None:
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:35] = True
    np.testing.assert_allclose(masks.feather(mask, 4)[20, 5:11], [0.2, 0.4, 0.6, 0.8, 1, 1])


def test_feather_is_hard_at_the_frame() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:, :10] = True
    alpha = masks.feather(mask, 3)
    assert (alpha[:, :7] == 1).all()
    assert (masks.feather(np.ones((4, 4), bool), 3) == 1).all()


@pytest.mark.parametrize("width", [0, 1, 4, 50])
def test_feather_paints_a_single_pixel_fully(width: int) -> None:
    assert masks.feather(one_pixel(), width)[4, 5] == 1


def decoded_by_pycocotools(rle: dict[str, object]) -> np.ndarray:
    with warnings.catch_warnings():
        # pycocotools 2.0.11 under NumPy 2: "__array__ doesn't accept a copy keyword"
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco.decode(rle)


@given(SHAPES)
def test_rle_round_trip_and_agreement_with_pycocotools(mask: np.ndarray) -> None:
    rle = masks.to_rle(mask)
    np.testing.assert_array_equal(masks.from_rle(rle), mask)
    theirs = decoded_by_pycocotools(rle)
    np.testing.assert_array_equal(theirs.astype(bool), mask)


def test_rle_of_a_large_mask_with_long_runs() -> None:
    mask = disc_around((700, 900), 450, 300, 280)
    np.testing.assert_array_equal(masks.from_rle(masks.to_rle(mask)), mask)


def test_uncompressed_counts_are_read() -> None:
    mask = masks.from_rle({"size": [2, 3], "counts": [1, 2, 3]})
    np.testing.assert_array_equal(mask, [[False, True, False], [True, False, False]])


BROKEN_RLE = {
    "no size": {"counts": "52"},
    "too few runs": {"size": [4, 4], "counts": "0"},
    "too many runs": {"size": [2, 2], "counts": [9, 9]},
    "negative run": {"size": [2, 2], "counts": [-1, 5]},
    "cut off": {"size": [4, 4], "counts": "o"},
    "bad character": {"size": [4, 4], "counts": " "},
    "not ascii": {"size": [4, 4], "counts": "é"},
    "absurd size": {"size": [10**6, 10**6], "counts": [10**12]},
    "three sides": {"size": [1, 1, 1], "counts": [1]},
    "counts of another type": {"size": [1, 1], "counts": None},
    "fractions": {"size": [1, 1], "counts": [0.5, 0.5]},
}


@pytest.mark.parametrize("rle", BROKEN_RLE.values(), ids=BROKEN_RLE.keys())
def test_broken_rle_is_refused(rle: dict[str, object]) -> None:
    with pytest.raises(PromptError, match="run-length"):
        masks.from_rle(rle)


def filled_even_odd(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Each vertical edge flips everything to its right."""
    flips = np.zeros((shape[0], shape[1] + 1), dtype=int)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            assert x0 == x1 or y0 == y1
            if x0 == x1:
                flips[min(y0, y1) : max(y0, y1), x0] += 1
    return np.cumsum(flips, axis=1)[:, :-1] % 2 == 1


@given(SHAPES)
def test_polygons_filled_give_the_mask_back(mask: np.ndarray) -> None:
    rings = masks.polygons(mask)
    np.testing.assert_array_equal(filled_even_odd(rings, mask.shape), mask)


def test_polygon_of_one_pixel_is_its_square() -> None:
    (ring,) = masks.polygons(one_pixel())
    assert {tuple(corner) for corner in ring.tolist()} == {(5, 4), (6, 4), (6, 5), (5, 5)}


@given(SHAPES)
def test_fill_holes_matches_scipy_and_is_idempotent(mask: np.ndarray) -> None:
    filled = masks.fill_holes(mask)
    np.testing.assert_array_equal(filled, ndimage.binary_fill_holes(mask))
    np.testing.assert_array_equal(masks.fill_holes(filled), filled)


def test_fill_holes_below_an_area_leaves_the_large_one() -> None:
    mask = np.ones((20, 20), bool)
    mask[2, 2] = False
    mask[8:12, 8:12] = False
    filled = masks.fill_holes(mask, below_area=16)
    assert filled[2, 2]
    assert not filled[8:12, 8:12].any()
    assert masks.fill_holes(mask, below_area=17).all()


@given(SHAPES, st.integers(0, 12))
def test_drop_specks_keeps_large_parts_or_the_largest(mask: np.ndarray, below: int) -> None:
    left = masks.drop_specks(mask, below)
    assert not (left & ~mask).any()
    assert left.any() == mask.any()
    np.testing.assert_array_equal(masks.drop_specks(left, below), left)


@given(SHAPES)
def test_largest_part_is_one_part_of_the_mask(mask: np.ndarray) -> None:
    part = masks.largest_part(mask)
    assert not (part & ~mask).any()
    assert ndimage.label(part, np.ones((3, 3)))[1] == int(mask.any())
    np.testing.assert_array_equal(masks.largest_part(part), part)


@given(st.data())
def test_iou_matrix_agrees_with_iou(data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=8))
    drawn = data.draw(st.lists(arrays(bool, shape), min_size=1, max_size=4))
    matrix = masks.iou_matrix(drawn, drawn)
    for i, a in enumerate(drawn):
        for j, b in enumerate(drawn):
            assert matrix[i, j] == pytest.approx(masks.iou(a, b))
        assert masks.iou(a, a) == float(a.any())


def test_iou_matrix_of_nothing_has_a_shape() -> None:
    assert masks.iou_matrix([], [one_pixel()]).shape == (0, 1)
    assert masks.iou_matrix([one_pixel()], []).shape == (1, 0)


@given(SHAPES, REACH)
def test_boundary_is_the_mask_less_what_is_deeper(mask: np.ndarray, width: int) -> None:
    band = masks.boundary(mask, width)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    np.testing.assert_array_equal(band, mask & (depth <= width + 1e-9))


@given(SHAPES)
def test_box_of_is_tight(mask: np.ndarray) -> None:
    box = masks.box_of(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[y0, x0:x1].any()
    assert mask[y1 - 1, x0:x1].any()
    assert mask[y0:y1, x0].any()
    assert mask[y0:y1, x1 - 1].any()


def test_union() -> None:
    a, b = one_pixel(x=1), one_pixel(x=2)
    for given_masks in ([a, b], np.stack([a, b])):
        np.testing.assert_array_equal(masks.union(given_masks), a | b)
    alone = masks.union([a])
    alone[:] = True
    assert a.sum() == 1, "the result must not share memory with its argument"
    with pytest.raises(PromptError, match="no mask"):
        masks.union([])
    with pytest.raises(PromptError, match="different sizes"):
        masks.union([a, np.zeros((2, 2), bool)])


FUNCTIONS = {
    "dilate": lambda m: masks.dilate(m, 2),
    "dilate by nothing": lambda m: masks.dilate(m, 0),
    "erode": lambda m: masks.erode(m, 1),
    "largest_part": masks.largest_part,
    "fill_holes": masks.fill_holes,
    "drop_specks": lambda m: masks.drop_specks(m, 3),
    "boundary": lambda m: masks.boundary(m, 1),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
@pytest.mark.parametrize("layout", ["plain", "read-only", "transposed", "strided", "empty"])
def test_results_are_new_bool_arrays_whatever_the_layout(function, layout) -> None:  # type: ignore[no-untyped-def]
    mask = disc_around((20, 30), 12, 9, 6)
    mask = {"transposed": mask.T, "strided": mask[::2, ::3], "empty": np.zeros((5, 6), bool)}.get(
        layout, mask
    )
    mask.setflags(write=False)
    before = mask.copy()
    result = function(mask)
    assert result.dtype == bool
    assert result.shape == mask.shape
    result[:] = ~result
    np.testing.assert_array_equal(mask, before)
    expected = function(np.ascontiguousarray(before))
    np.testing.assert_array_equal(~result, expected)
