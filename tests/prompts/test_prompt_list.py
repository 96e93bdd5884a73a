"""What people write becomes the prompts they mean, or a sentence that says what can be given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import PromptError
from limner.prompts import Box, Exemplar, Like, Mask, Point, Text, VisualPrompt
from limner.prompts.prompt_list import prompts_of

SQUARE = np.zeros((6, 8), bool)
SQUARE[2:4, 3:6] = True
BOX = VisualPrompt(box=Box(150, 50, 240, 120))
APPLE, RABBIT = VisualPrompt(text=Text("apple")), VisualPrompt(text=Text("rabbit"))
PICTURE = np.zeros((4, 4, 3), np.uint8)

UNDERSTOOD: dict[str, tuple[Any, list[VisualPrompt]]] = {
    "a phrase": ("apple", [APPLE]),
    "two phrases": (["apple", "rabbit"], [APPLE, RABBIT]),
    "a typed text": (Text("apple"), [APPLE]),
    "a prompt without a list": (APPLE, [APPLE]),
    "four numbers": ((150, 50, 240, 120), [BOX]),
    "a list of four": ([150, 50, 240, 120.0], [BOX]),
    "NumPy's numbers": (tuple(np.array([150, 50, 240, 120], np.float32)), [BOX]),
    "an array of four": (np.array([150, 50, 240, 120]), [BOX]),
    "rows of boxes": (np.array([[150, 50, 240, 120]] * 2), [BOX, BOX]),
    "a list of boxes": ([(150, 50, 240, 120), [150, 50, 240, 120]], [BOX, BOX]),
    "a phrase and a box": (["apple", (150, 50, 240, 120)], [APPLE, BOX]),
    "a mask": (SQUARE, [VisualPrompt(mask=Mask(SQUARE))]),
    "a mask of 0 and 255": ((SQUARE * 255).astype(np.uint8), [VisualPrompt(mask=Mask(SQUARE))]),
    "a mask of floats": (SQUARE.astype(float), [VisualPrompt(mask=Mask(SQUARE))]),
    "masks": (np.stack([SQUARE, SQUARE]), [VisualPrompt(mask=Mask(SQUARE))] * 2),
    "a point": (Point(3, 4), [VisualPrompt(points=(Point(3, 4),))]),
    "an example box": (Like(Box(0, 0, 2, 2)), [VisualPrompt(likes=(Like(Box(0, 0, 2, 2)),))]),
    "an example": (Exemplar(PICTURE), [VisualPrompt(exemplar=Exemplar(PICTURE))]),
    "a generator": ((word for word in ("apple", "rabbit")), [APPLE, RABBIT]),
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_is_understood(name: str) -> None:
    value, meant = UNDERSTOOD[name]
    assert prompts_of(value) == meant


def test_points_are_one_object_with_the_courses_labels() -> None:
    """SAM's ``point_coords`` and ``point_labels``: never an object for each click."""
    meant = [VisualPrompt(points=(Point(194, 88), Point(122, 226, foreground=False)))]
    for points in ([[194, 88], [122, 226]], np.array([[194, 88], [122, 226]])):
        for labels in ([1, 0], np.array([1, 0]), (True, False)):
            assert prompts_of(points=points, labels=labels) == meant
    assert prompts_of(points=(194, 88)) == [VisualPrompt(points=(Point(194, 88),))]
    narrowed = prompts_of("apple", points=[[194, 88]], labels=[1])
    assert narrowed == [VisualPrompt(text=Text("apple"), points=(Point(194, 88),))]
    boxed = prompts_of(boxes=[150, 50, 240, 120], points=[[194, 88]])
    assert boxed == [VisualPrompt(box=Box(150, 50, 240, 120), points=(Point(194, 88),))]
    assert len(prompts_of(boxes=[(0, 0, 5, 5), (2, 2, 9, 9)])) == 2


def test_a_prompts_own_parts_are_taken_as_written() -> None:
    strict = VisualPrompt(text=Text("apple"), points=(Point(1, 2),), box=Box(0, 0, 5, 5))
    loose = VisualPrompt(text="apple", points=[(1, 2)], box=[0, 0, 5, 5])
    assert loose == strict
    assert hash(loose) == hash(strict)
    assert VisualPrompt(mask=SQUARE).mask == Mask(SQUARE)
    assert VisualPrompt(likes=[(0, 0, 2, 2)]).likes == (Like(Box(0, 0, 2, 2)),)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a number": ({"value": 7}, "A prompt is a phrase"),
    "two numbers": ({"value": (3, 4)}, r"points=\[\[3, 4\]\]"),
    "three numbers": ({"value": (3, 4, 5)}, "four numbers"),
    "a box the wrong way": ({"value": (9, 9, 1, 1)}, "right > left"),
    "bytes": ({"value": b"apple"}, "got bytes"),
    "a dict": ({"value": {"text": "apple"}}, "got dict"),
    "more labels": ({"points": [[1, 2]], "labels": [1, 0]}, "1 points and 2 labels"),
    "a label of 2": ({"points": [[1, 2]], "labels": [2]}, "1 .the object. or 0"),
    "labels alone": ({"labels": [1]}, r"points=\[\[x, y\]"),
    "points of several": ({"value": ["a", "b"], "points": [[1, 2]]}, "2 were named"),
    "a point of three": ({"points": [[1, 2, 3]]}, "two numbers, x and y"),
    "a picture as a prompt": ({"value": PICTURE}, "Exemplar"),
    "an empty mask": ({"value": np.zeros((3, 5), bool)}, "mask is empty"),
    "levels": ({"value": np.arange(15).reshape(3, 5)}, "15 different values"),
    "only background": ({"points": [[1, 2]], "labels": [0]}, "Only background points"),
    "text of numbers": ({"value": [VisualPrompt, 3]}, "A prompt is"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_understood_says_what_can_be_given(name: str) -> None:
    arguments, says = REFUSED[name]
    with pytest.raises(PromptError, match=says):
        prompts_of(**arguments)


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.booleans(),
        lambda inner: st.lists(inner, max_size=5) | st.tuples(inner, inner),
        max_leaves=12,
    )
)
def test_anything_else_is_prompts_or_a_sentence(value: Any) -> None:
    """No traceback of Python's own, whatever comes."""
    try:
        prompts = prompts_of(value)
    except PromptError:
        return
    assert all(isinstance(prompt, VisualPrompt) for prompt in prompts)
