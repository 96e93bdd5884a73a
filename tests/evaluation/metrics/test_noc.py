"""Simulated clicks: where the next one falls, how clicks are counted, and the loop of both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from limner.errors import InputError
from limner.evaluation import first_click, next_click, noc, simulate
from limner.prompts import Point
from limner.rle import BoolMask


def mask_of(*rows: str) -> BoolMask:
    return np.array([[character == "#" for character in row] for row in rows])


FIRST_CLICKS = [
    ("one pixel", mask_of("....", "..#.", "...."), (2.5, 1.5)),
    ("the middle of a square", mask_of(".....", ".###.", ".###.", ".###.", "....."), (2.5, 2.5)),
    (
        "the border of the image is an edge: not the corner, though nothing is seen beyond it",
        mask_of("###.", "###.", "###.", "...."),
        (1.5, 1.5),
    ),
    ("a whole image is clicked in its middle", mask_of(*["#####"] * 5), (2.5, 2.5)),
    (
        "the thick part, not the long seam that has more pixels",
        mask_of(
            "..............",
            "##############",
            "..............",
            ".###..........",
            ".###..........",
            ".###..........",
        ),
        (2.5, 4.5),
    ),
    ("ties go to the topmost, then the leftmost", mask_of("#.#", "...", "#.#"), (0.5, 0.5)),
    (
        "never in the hole of a ring, where its centre of mass lies",
        mask_of("#####", "#...#", "#...#", "#...#", "#####"),
        (0.5, 0.5),
    ),
]


@pytest.mark.parametrize(
    ("mask", "expected"), [pytest.param(*row[1:], id=row[0]) for row in FIRST_CLICKS]
)
def test_first_click(mask: BoolMask, expected: tuple[float, float]) -> None:
    assert first_click(mask) == expected


SQUARE = mask_of(".....", ".###.", ".###.", ".###.", ".....")
NEXT_CLICKS = [
    ("equal masks need none", SQUARE, SQUARE, None),
    ("two empty masks need none", SQUARE & False, SQUARE & False, None),
    ("what is missing is clicked as foreground", SQUARE & False, SQUARE, Point(2.5, 2.5)),
    ("what is too much is clicked as background", SQUARE, SQUARE & False, Point(2.5, 2.5, False)),
    (
        "the deeper of two errors: missing",
        mask_of("......#", ".......", "......."),
        mask_of("###....", "###....", "###...."),
        Point(1.5, 1.5),
    ),
    (
        "the deeper of two errors: surplus",
        mask_of("......#", "###....", "###....", "###...."),
        mask_of("#.....#", ".......", ".......", "......."),
        Point(1.5, 2.5, False),
    ),
    (
        "of equally deep errors the surplus one, as in RITM",
        mask_of("#..", "..."),
        mask_of("..#", "..."),
        Point(0.5, 0.5, False),
    ),
]


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"), [pytest.param(*row[1:], id=row[0]) for row in NEXT_CLICKS]
)
def test_next_click(prediction: BoolMask, truth: BoolMask, expected: Point | None) -> None:
    assert next_click(prediction, truth) == expected


def test_a_pixel_is_not_clicked_twice() -> None:
    """A model that ignores a click must be told something new, or told that nothing is left."""
    truth = mask_of("##")
    nothing = truth & False
    first, second = Point(0.5, 0.5), Point(1.5, 0.5)
    assert next_click(nothing, truth) == first
    assert next_click(nothing, truth, [first]) == second
    assert next_click(nothing, truth, [first, second]) is None


pairs = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


@given(pairs)
def test_the_next_click_is_always_on_an_error_and_says_which(
    pair: tuple[BoolMask, BoolMask],
) -> None:
    prediction, truth = pair
    before = [mask.copy() for mask in pair]
    click = next_click(prediction, truth)
    if click is None:
        assert np.array_equal(prediction, truth)
    else:
        x, y = int(click.x), int(click.y)
        assert truth[y, x] == click.foreground
        assert prediction[y, x] != click.foreground
    assert all(map(np.array_equal, before, pair))


@given(pairs)
def test_no_wrong_pixel_of_its_kind_lies_deeper_than_the_next_click(
    pair: tuple[BoolMask, BoolMask],
) -> None:
    """Against the definition: the distance to the nearest pixel that is right, or off the image."""
    prediction, truth = pair

    def depths(region: BoolMask) -> dict[tuple[int, int], float]:
        padded = np.pad(region, 1)
        outside = np.argwhere(~padded)
        return {
            (x, y): float(np.hypot(*(outside - (y + 1, x + 1)).T).min())
            for y, x in np.argwhere(region).tolist()
        }

    click = next_click(prediction, truth)
    missing, surplus = depths(truth & ~prediction), depths(prediction & ~truth)
    deepest = max([*missing.values(), *surplus.values()], default=None)
    if click is None:
        assert deepest is None
    else:
        here = missing if click.foreground else surplus
        assert here[int(click.x), int(click.y)] == pytest.approx(deepest)


def test_masks_that_can_not_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        first_click(SQUARE & False)
    with pytest.raises(InputError, match=r"\(5, 5\) and \(1, 2\)"):
        next_click(SQUARE, mask_of("##"))


# --- counting -------------------------------------------------------------------------------------

COUNTS = [
    ("one object, at once", [[0.95]], 0.9, 20, (1.0, 0)),
    ("the threshold itself counts", [[0.5, 0.9]], 0.9, 20, (2.0, 0)),
    ("a later fall is forgiven", [[0.9, 0.1]], 0.9, 20, (1.0, 0)),
    ("never reached counts as the limit", [[0.5] * 20], 0.9, 20, (20.0, 1)),
    ("reached after the limit is not reached", [[0.1, 0.1, 0.95]], 0.9, 2, (2.0, 1)),
    ("reached by the very last click is reached", [[0.1, 0.95]], 0.9, 2, (2.0, 0)),
    ("a short list that fails counts as the limit too", [[0.2]], 0.9, 20, (20.0, 1)),
    ("no click at all counts as the limit", [[]], 0.9, 20, (20.0, 1)),
    ("the mean over objects", [[0.95], [0.1, 0.2, 0.99], [0.3]], 0.9, 20, (8.0, 1)),
]


@pytest.mark.parametrize(
    ("ious", "threshold", "limit", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in COUNTS],
)
def test_noc(
    ious: list[list[float]], threshold: float, limit: int, expected: tuple[float, int]
) -> None:
    assert noc(ious, threshold, limit) == expected


@pytest.mark.parametrize("threshold", [0, -1, 1.01, 90, float("nan")])
def test_a_threshold_that_is_no_iou_is_refused(threshold: float) -> None:
    """90 for .9 would count every object as failed, and nobody would see why."""
    with pytest.raises(InputError, match="IoU to reach"):
        noc([[0.5]], threshold)


def test_the_mean_over_no_objects_is_refused() -> None:
    with pytest.raises(InputError, match="no objects"):
        noc([], 0.9)


# --- the loop -------------------------------------------------------------------------------------


def test_simulate_with_a_segmenter_that_paints_what_is_clicked() -> None:
    """It adds or removes the clicked pixel: IoU after k clicks on 4 pixels is k / 4."""
    truth = mask_of("......", ".##.#.", "......", "..#...")
    seen: list[tuple[int, bool]] = []

    def segment(points: object, before: BoolMask | None) -> BoolMask:
        assert isinstance(points, tuple)
        seen.append((len(points), before is None))
        mask = np.zeros_like(truth) if before is None else before.copy()
        last = points[-1]
        mask[int(last.y), int(last.x)] = last.foreground
        return mask

    assert simulate(segment, truth, 20) == [0.25, 0.5, 0.75, 1.0]
    assert seen == [(1, True), (2, False), (3, False), (4, False)]


def test_simulate_stops_at_the_number_of_clicks_asked_for() -> None:
    calls: list[Point] = []

    def stubborn(points: object, before: BoolMask | None) -> BoolMask:
        assert isinstance(points, tuple)
        calls.append(points[-1])
        return np.zeros_like(SQUARE)

    assert simulate(stubborn, SQUARE, 3) == [0.0] * 3
    assert len(set(calls)) == 3
    assert len(simulate(stubborn, SQUARE, 20)) == SQUARE.sum() == 9


def test_simulate_takes_a_perfect_segmenter_one_click() -> None:
    ious = simulate(lambda points, before: SQUARE, SQUARE)
    assert ious == [1.0]
    assert noc([ious], 0.9) == (1.0, 0)


def test_simulate_refuses_an_empty_truth_before_any_model_runs() -> None:
    def never(points: object, before: BoolMask | None) -> BoolMask:
        raise AssertionError("called")

    with pytest.raises(InputError, match="empty"):
        simulate(never, SQUARE & False)


def test_simulate_refuses_a_mask_of_another_size() -> None:
    with pytest.raises(InputError, match=r"gave a mask of \(1, 2\)"):
        simulate(lambda points, before: mask_of("##"), SQUARE)
