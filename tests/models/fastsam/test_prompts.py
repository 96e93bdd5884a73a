"""Which masks a prompt chooses: pure functions, small masks, cases that can be drawn by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import supervision as sv
from hypothesis import assume, given
from hypothesis import strategies as st

from limner.models.fastsam.prompts import Answer, answer
from limner.models.fastsam.yolo_decode import Things
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.rle import BoolMask

SIDE = 12

PERSON, GLASSES, SHIRT, CAR = (0, 0, 6, 12), (1, 1, 5, 3), (0, 5, 6, 9), (8, 6, 12, 11)
"""Rectangles, XYXY: the glasses and the shirt lie in the person, the car beside it."""


def things(*rectangles: tuple[int, int, int, int]) -> Things:
    """Surer of the first than of the next."""
    masks = np.zeros((len(rectangles), SIDE, SIDE), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, rectangles, strict=True):
        mask[y0:y1, x0:x1] = True
    last = np.array(rectangles) - [0, 0, 1, 1]
    confidence = np.linspace(0.9, 0.5, len(rectangles), dtype=np.float32)
    return Things(sv.CompactMask.from_dense(masks, last, (SIDE, SIDE)), confidence)


def area(*added: tuple[int, int, int, int], without: Sequence[tuple[int, ...]] = ()) -> BoolMask:
    canvas = np.zeros((SIDE, SIDE), dtype=bool)
    for rectangles, value in ((added, True), (without, False)):
        for x0, y0, x1, y1 in rectangles:
            canvas[y0:y1, x0:x1] = value
    return canvas


def ask(found: Things, *points: Point, box: tuple[int, int, int, int] | None = None) -> Answer:
    return answer(found, VisualPrompt(points=points, box=Box(*box) if box else None))


ON_GLASSES, ON_SHIRT, ON_LEGS, ON_CAR = Point(2, 2), Point(2, 6), Point(2, 10), Point(9, 8)


def not_on(point: Point) -> Point:
    return Point(point.x, point.y, foreground=False)


def test_a_point_means_every_mask_that_holds_it_joined() -> None:
    """The whole first; then the single masks, surest first."""
    found = ask(things(SHIRT, PERSON, CAR), ON_SHIRT)
    assert np.array_equal(found.mask, area(PERSON))
    assert found.score == np.float32(0.9)
    assert [float(score) for _, score in found.candidates] == [
        np.float32(0.9),
        np.float32(0.9),
    ]
    assert np.array_equal(found.candidates[1][0], area(SHIRT))


def test_points_on_two_things_mean_both() -> None:
    assert np.array_equal(ask(things(PERSON, CAR), ON_LEGS, ON_CAR).mask, area(PERSON, CAR))


def test_a_background_point_takes_out_the_part_it_lies_on() -> None:
    """ "This person, not the sunglasses": in whichever order they were typed (the paper's code
    gives nothing when the background point comes last)."""
    found = things(PERSON, GLASSES, CAR)
    for points in itertools.permutations((ON_LEGS, not_on(ON_GLASSES))):
        assert np.array_equal(ask(found, *points).mask, area(PERSON, without=[GLASSES]))


def test_a_smaller_mask_wins_over_the_one_around_it() -> None:
    """ "The sunglasses, not the person": a background point in the surrounding mask takes that
    away and leaves the smaller one."""
    found = ask(things(PERSON, GLASSES), ON_GLASSES, not_on(ON_LEGS))
    assert np.array_equal(found.mask, area(GLASSES))


def test_points_that_no_mask_tells_apart_mean_nothing() -> None:
    """Neither point is ignored: an answer that holds the background point would be a lie."""
    found = ask(things(PERSON, CAR), ON_SHIRT, not_on(ON_GLASSES))
    assert not found.mask.any()
    assert found.score == 0


def test_a_point_where_nothing_was_found_means_nothing() -> None:
    found = ask(things(PERSON), Point(10, 2))
    assert not found.mask.any()
    assert len(found.candidates) == 1


def test_a_box_means_the_mask_that_fits_it_best() -> None:
    """The next best follow; those that don't touch it are no candidates."""
    found = ask(things(PERSON, SHIRT, GLASSES, CAR), box=(0, 4, 6, 10))
    assert np.array_equal(found.candidates[0][0], area(SHIRT))
    assert np.array_equal(found.candidates[1][0], area(PERSON))
    assert len(found.candidates) == 2


def test_a_box_that_no_mask_touches_means_nothing() -> None:
    """Not the first mask, which is what the best of no overlap is in peers."""
    found = ask(things(PERSON, CAR), box=(7, 0, 12, 4))
    assert not found.mask.any()
    assert found.score == 0


def test_points_with_a_box_choose_among_its_masks() -> None:
    """A foreground point must be held, a background point is taken out of the best mask, or where
    nothing can take it out, another mask answers."""
    found = things(PERSON, SHIRT, GLASSES)
    assert np.array_equal(ask(found, ON_LEGS, box=(0, 4, 6, 10)).mask, area(PERSON))
    without = ask(found, not_on(ON_GLASSES), box=PERSON)
    assert np.array_equal(without.mask, area(PERSON, without=[GLASSES]))
    other = ask(things(PERSON, SHIRT), not_on(ON_GLASSES), box=PERSON)
    assert np.array_equal(other.mask, area(SHIRT))


def test_a_phrase_means_the_likest_mask_that_agrees_with_where() -> None:
    found = things(PERSON, SHIRT, CAR)
    likeness = np.array([0.2, 0.1, 0.7])

    def said(**where: object) -> Answer:
        prompt = VisualPrompt(text=Text("a thing"), **where)  # type: ignore[arg-type]
        return answer(found, prompt, likeness)

    assert np.array_equal(said().mask, area(CAR))
    assert [score for _, score in said().candidates] == [0.7, 0.2, 0.1]
    assert np.array_equal(said(points=(ON_SHIRT,)).mask, area(PERSON))
    assert np.array_equal(said(points=(ON_SHIRT, not_on(ON_LEGS))).mask, area(SHIRT))
    assert np.array_equal(said(box=Box(0, 5, 7, 9)).mask, area(SHIRT)), "mostly in the box"
    assert not said(points=(Point(10, 1),)).mask.any()
    assert not answer(found, VisualPrompt(text=Text("x")), np.zeros(3)).mask.any()


corner = st.integers(0, SIDE - 1)
rectangle = st.tuples(corner, corner, st.integers(1, SIDE), st.integers(1, SIDE)).map(
    lambda r: (r[0], r[1], min(r[0] + r[2], SIDE), min(r[1] + r[3], SIDE))
)
points = st.lists(st.builds(Point, corner, corner, st.booleans()), min_size=1, max_size=5).filter(
    lambda several: any(point.foreground for point in several)
)


@given(st.lists(rectangle, max_size=6), points, st.none() | rectangle, st.randoms())
def test_no_answer_holds_a_background_point_and_no_order_matters(
    rectangles: list[tuple[int, int, int, int]],
    several: list[Point],
    box: tuple[int, int, int, int] | None,
    random: object,
) -> None:
    """What users of peers complained of (ultralytics#16089, #16705, #20168): the click that says
    "not this" had no effect, or added to the answer."""
    found = things(*rectangles) if rectangles else _nothing()
    mask = ask(found, *several, box=box).mask
    for point in several:
        if not point.foreground:
            assert not mask[int(point.y), int(point.x)]
    shuffled = list(several)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert np.array_equal(ask(found, *shuffled, box=box).mask, mask)


@given(st.lists(rectangle, min_size=1, max_size=6), points)
def test_where_the_papers_answer_is_one_it_is_ours(
    rectangles: list[tuple[int, int, int, int]], several: list[Point]
) -> None:
    """``FastSAMPrompt.point_prompt``, said again: from the largest mask to the smallest, each
    point in its order paints the mask that holds it in or out. Its answer hangs on that order
    where a mask holds points of both kinds, and is one everywhere else."""
    found = things(*rectangles)

    def held(row: int, point: Point) -> bool:
        return bool(found.masks[row][int(point.y), int(point.x)])

    for row in range(len(found)):
        assume(len({point.foreground for point in several if held(row, point)}) < 2)
    canvas = np.zeros((SIDE, SIDE), dtype=bool)
    for row in np.argsort(-found.area, kind="stable").tolist():
        for point in several:
            if held(row, point):
                canvas[found.masks[row]] = point.foreground
    assert np.array_equal(ask(found, *several).mask, canvas)


def _nothing() -> Things:
    none = sv.CompactMask.from_dense(
        np.zeros((0, SIDE, SIDE), bool), np.zeros((0, 4)), (SIDE, SIDE)
    )
    return Things(none, np.zeros(0, np.float32))
