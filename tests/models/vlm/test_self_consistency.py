"""Several answers become one: what they share, and how many share it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from limner.models.vlm.self_consistency import agreed


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def test_the_part_of_the_answers_that_hold_a_box_is_its_score() -> None:
    """By hand: three of four answers see the left thing, one a thing that no other sees."""
    answers = [
        boxes((10, 10, 50, 50)),
        boxes((12, 10, 52, 50), (200, 10, 240, 50)),
        boxes(),
        boxes((11, 13, 90, 50)),
    ]
    xyxy, held = agreed(answers)
    assert held.tolist() == [0.5, 0.25, 0.25]  # 11,13,90,50 covers them by less than a half
    answers[3] = boxes((11, 13, 55, 50))
    xyxy, held = agreed(answers)
    assert held.tolist() == [0.75, 0.25]
    assert xyxy.tolist() == [[11, 10, 52, 50], [200, 10, 240, 50]]


def test_one_answer_is_certain_of_itself() -> None:
    xyxy, held = agreed([boxes((1, 2, 3, 4), (5, 6, 9, 9))])
    assert xyxy.tolist() == [[1, 2, 3, 4], [5, 6, 9, 9]]
    assert held.tolist() == [1, 1]
    xyxy, held = agreed([boxes()])
    assert xyxy.shape == (0, 4)
    assert held.shape == (0,)


def test_two_things_of_one_answer_are_never_one() -> None:
    """Boxes that overlap in one answer stay two, each matched with its own in the other."""
    near = (10.0, 10.0, 50.0, 50.0), (20.0, 10.0, 60.0, 50.0)
    xyxy, held = agreed([boxes(*near), boxes(*near[::-1])])
    assert sorted(map(tuple, xyxy)) == sorted(near)
    assert held.tolist() == [1, 1]


corners, sides = st.integers(0, 90), st.integers(1, 60)


@given(
    st.lists(
        st.lists(st.tuples(corners, corners, sides, sides), max_size=5), min_size=1, max_size=5
    )
)
def test_every_box_counts_once(drawn: list[list[tuple[int, int, int, int]]]) -> None:
    """The scores add up to the boxes there are; each result lies within those that made it."""
    answers = [boxes(*((x, y, x + w, y + h) for x, y, w, h in one)) for one in drawn]
    xyxy, held = agreed(answers)
    assert round(held.sum() * len(answers), 6) == sum(map(len, answers))
    assert ((held > 0) & (held <= 1)).all()
    assert (np.diff(held) <= 0).all()
    assert (xyxy[:, :2] < xyxy[:, 2:]).all()
