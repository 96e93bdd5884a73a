"""Boundary F and Boundary IoU: by hand, and what holds for every pair of masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from limner.errors import InputError
from limner.evaluation import boundary_f, boundary_iou
from limner.evaluation.metrics.boundary import contour
from limner.ops import masks
from limner.rle import BoolMask


def square(x0: int, y0: int, x1: int, y1: int, side: int = 100) -> BoolMask:
    mask = np.zeros((side, side), dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_contour_is_davis_seg2bmap() -> None:
    """Pixels left of, above, and above left of a change; the frame is none."""
    drawn = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]], dtype=bool)
    expected = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], dtype=bool)
    assert np.array_equal(contour(drawn), expected)


def test_boundary_f_by_hand() -> None:
    """100 x 100: theta = ceil(.008 * 141.4) = 2. A square moved right by 3 pixels.

    A contour of a 40 x 40 square runs through a ring of 41 x 41 pixels: 160 of them. Moved by 3,
    the vertical sides (39 pixels each without the corners' rows) are too far. Of each horizontal
    side of 41 the 38 that overlap agree; so do those up to 2 pixels beyond the overlap. One end of
    the 41 lies 3, 2, 1 pixels beyond: the one at 3 does not agree with its own row, nor with a
    side, whose column is 3 off. So 40 of 41 agree, and of each vertical side the pixels within 2
    of the other's horizontal sides: the near one (inside the other's span) 2 at each end.
    """
    truth, moved = square(30, 30, 70, 70), square(33, 30, 73, 70)
    # near vertical side: 2 pixels at each end lie within 2 of the other's horizontal sides
    agreeing = 2 * 40 + 4
    assert boundary_f(moved, truth) == pytest.approx(agreeing / 160)


def test_boundary_f_forgives_up_to_theta() -> None:
    truth = square(30, 30, 70, 70)
    assert boundary_f(square(32, 30, 72, 70), truth) == 1.0
    assert boundary_f(square(33, 30, 73, 70), truth) < 1.0


def test_boundary_iou_by_hand() -> None:
    """100 x 100: a band of round(.02 * 141.4) = 3 pixels. 40 x 40 against the same less a column.

    The bands hold 40² - 34² = 444 and 40 * 39 - 34 * 33 = 438 pixels. The column that is missing,
    40 pixels, is in the first only; the second's band reaches one column further in, 34 pixels.
    Both hold 404: IoU = 404 / (444 + 438 - 404).
    """
    found = boundary_iou(square(30, 30, 69, 70), square(30, 30, 70, 70))
    assert found == pytest.approx(404 / 478)


EMPTY = np.zeros((20, 20), dtype=bool)


@pytest.mark.parametrize("measure", [boundary_f, boundary_iou])
def test_empty_masks(measure: object) -> None:
    assert callable(measure)
    drawn = square(5, 5, 9, 9, 20)
    assert measure(EMPTY, EMPTY) == 1.0
    assert measure(drawn, EMPTY) == measure(EMPTY, drawn) == 0.0


@pytest.mark.parametrize("measure", [boundary_f, boundary_iou])
def test_masks_of_two_sizes_are_refused(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(InputError, match=r"\(20, 20\) and \(100, 100\)"):
        measure(EMPTY, square(0, 0, 5, 5))


pairs = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


@given(pairs)
def test_what_holds_for_every_pair(pair: tuple[BoolMask, BoolMask]) -> None:
    a, b = pair
    for measure in (masks.iou, boundary_f, boundary_iou):
        assert measure(a, b) == measure(b, a)
        assert 0 <= measure(a, b) <= 1
    assert boundary_f(a, a) == boundary_iou(a, a) == 1.0
    assert masks.iou(a, a) == (1.0 if a.any() else 0.0)
