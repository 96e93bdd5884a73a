"""What a person types becomes prompts; what can not be meant is refused before files are opened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import PromptError
from limner.prompts import Box, Exemplar, Like, Mask, Point, Text, VisualPrompt
from limner.prompts.syntax import (
    SYNTAX,
    BoxDraft,
    Draft,
    Length,
    parse_box,
    parse_exemplar,
    parse_objects,
    parse_point,
)

SIZE = (200, 100)
WHOLE = Mask(np.ones((100, 200)))
PICTURE = np.zeros((10, 20, 3), dtype=np.uint8)


def prompts_of(*said: tuple[str, str], size_wh: tuple[int, int] = SIZE) -> list[VisualPrompt]:
    """Parsed and resolved, with stand-ins for the files."""

    def open_exemplar(path: str, box: BoxDraft | None) -> Exemplar:
        return Exemplar(PICTURE, box.resolve((20, 10)) if box else None)

    return [
        draft.resolve(size_wh, lambda path: WHOLE, open_exemplar) for draft in parse_objects(said)
    ]


POINTS = [
    ("pixels", "350,450", (350, 450, True)),
    ("fractions of pixels", "1.5,.25", (1.5, 0.25, True)),
    ("spaces round the comma", " 1 , 2 ", (1, 2, True)),
    ("background", "400,300:bg", (400, 300, False)),
    ("foreground said aloud", "400,300:fg", (400, 300, True)),
    ("a plus sign", "+4,2", (4, 2, True)),
    ("percentages of 1000 x 500", "50%,40%", (500, 200, True)),
    ("one of each", "50%,40", (500, 40, True)),
    ("100 % is the last pixel", "100%,100%", (999, 499, True)),
    ("0 % is the first", "0%,0%", (0, 0, True)),
    ("percentage of a background point", "10%,10%:bg", (100, 50, False)),
]


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(*row[1:], id=row[0]) for row in POINTS]
)
def test_points_as_typed(text: str, expected: tuple[float, float, bool]) -> None:
    assert parse_point(text).resolve((1000, 500)) == Point(*expected)


BAD_POINTS = [
    ("nothing", ""),
    ("one number", "350"),
    ("three numbers", "1,2,3"),
    ("words", "left,top"),
    ("not a number", "nan,1"),
    ("infinity", "inf,1"),
    ("an exponent", "1e3,1"),
    ("more digits than a float holds", "9" * 400 + ",1"),
    ("an unknown label", "1,2:background"),
    ("a label cut off", "1,2:"),
    ("two labels", "1,2:bg:fg"),
    ("two percent signs", "5%%,1"),
    ("semicolon", "1;2"),
    ("a line feed within", "1\n2,3"),
]


@pytest.mark.parametrize("text", [pytest.param(row[1], id=row[0]) for row in BAD_POINTS])
def test_bad_points_are_refused_when_parsed(text: str) -> None:
    with pytest.raises(PromptError, match="point"):
        parse_point(text)


BOXES = [
    ("pixels", "530,180,780,600", (530, 180, 780, 600)),
    ("all of it, in percent", "0%,0%,100%,100%", (0, 0, 1000, 700)),
    ("mixed", "10%,20,50%,600", (100, 20, 500, 600)),
]


@pytest.mark.parametrize(("text", "expected"), [pytest.param(*row[1:], id=row[0]) for row in BOXES])
def test_boxes_as_typed(text: str, expected: tuple[float, ...]) -> None:
    assert parse_box(text).resolve((1000, 700)) == Box(*expected)


BAD_BOXES = [
    ("three sides", "1,2,3"),
    ("inside out", "9,0,1,5"),
    ("upside down, in percent", "0%,90%,50%,10%"),
    ("no width", "5,0,5,9"),
    ("a label", "1,2,3,4:bg"),
    ("endless numbers", f"0,0,{'9' * 400},{'9' * 400}"),
]


@pytest.mark.parametrize("text", [pytest.param(row[1], id=row[0]) for row in BAD_BOXES])
def test_bad_boxes_are_refused_when_parsed(text: str) -> None:
    with pytest.raises(PromptError, match=r"[Bb]ox"):
        parse_box(text)


def test_a_mixed_box_that_turns_out_inside_out_is_refused_when_resolved() -> None:
    draft = parse_box("50%,0,90,100%")
    assert draft.resolve((100, 10)) == Box(50, 0, 90, 10)
    with pytest.raises(PromptError, match="right > left"):
        draft.resolve((1000, 10))


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_100_percent_is_always_inside_and_a_whole_box_fits(width: int, height: int) -> None:
    """No rounding may push the end of a side out of the image."""
    said = [("point", "100%,100%"), ("point", "0%,0%"), ("box", "0%,0%,100%,100%")]
    (prompt,) = prompts_of(*said, size_wh=(width, height))
    assert prompt.points[0] == Point(width - 1, height - 1)
    assert prompt.box == Box(0, 0, width, height)


def test_percentages_are_of_each_images_own_size() -> None:
    """A draft holds what was typed: resolved once for one image, it is still good for another."""
    (draft,) = parse_objects([("point", "50%,50%")])
    sizes = [(100, 100), (10, 20)]
    found = [draft.resolve(size, lambda path: WHOLE, None).points[0] for size in sizes]  # type: ignore[arg-type]
    assert found == [Point(50, 50), Point(5, 10)]
    assert draft.points[0].x == Length(50, percent=True)


EXEMPLARS = [
    ("a file", "dog.jpg", ("dog.jpg", None)),
    ("a file and a box", "dog.jpg@1,2,3,4", ("dog.jpg", (1, 2, 3, 4))),
    ("an @ in the name", "dog@2x.png", ("dog@2x.png", None)),
    ("an @ in the name, and a box", "me@home.png@1,2,3,4", ("me@home.png", (1, 2, 3, 4))),
    ("an @ at the end", "dog.jpg@", ("dog.jpg@", None)),
    ("an @ in front", "@1,2,3,4", ("@1,2,3,4", None)),
]


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(*row[1:], id=row[0]) for row in EXEMPLARS]
)
def test_exemplars_as_typed(text: str, expected: tuple[str, Any]) -> None:
    path, box = parse_exemplar(text)
    assert path == expected[0]
    assert (box.resolve((99, 99)).xyxy if box else None) == expected[1]


OBJECTS: list[tuple[str, list[tuple[str, str]], list[VisualPrompt]]] = [
    ("nothing typed", [], []),
    (
        "several points are one object",
        [("point", "1,1"), ("point", "2,2"), ("point", "3,3:bg")],
        [VisualPrompt(points=(Point(1, 1), Point(2, 2), Point(3, 3, False)))],
    ),
    (
        "--object starts the next",
        [("point", "1,1"), ("object", ""), ("point", "2,2")],
        [VisualPrompt(points=(Point(1, 1),)), VisualPrompt(points=(Point(2, 2),))],
    ),
    (
        "the order of points and boxes within an object is free",
        [("point", "3,3:bg"), ("box", "0,0,9,9"), ("point", "1,1")],
        [VisualPrompt(points=(Point(3, 3, False), Point(1, 1)), box=Box(0, 0, 9, 9))],
    ),
    (
        "a second --text starts a new object",
        [("text", "dog"), ("text", "cat")],
        [VisualPrompt(text=Text("dog")), VisualPrompt(text=Text("cat"))],
    ),
    (
        "--not belongs to the --text before it",
        [("text", "dog"), ("not", "poodle"), ("text", "cat")],
        [VisualPrompt(text=Text("dog", "poodle")), VisualPrompt(text=Text("cat"))],
    ),
    (
        "what follows a second --text belongs to it",
        [("text", "dog"), ("point", "1,1"), ("text", "cat"), ("point", "2,2")],
        [
            VisualPrompt(text=Text("dog"), points=(Point(1, 1),)),
            VisualPrompt(text=Text("cat"), points=(Point(2, 2),)),
        ],
    ),
    (
        "example boxes join a phrase and each other, whatever their sign",
        [("text", "dog"), ("like", "0,0,50%,5"), ("not_like", "5,5,9,9"), ("like", "1,1,2,2")],
        [
            VisualPrompt(
                text=Text("dog"),
                likes=(
                    Like(Box(0, 0, 100, 5)),
                    Like(Box(5, 5, 9, 9), positive=False),
                    Like(Box(1, 1, 2, 2)),
                ),
            ),
        ],
    ),
    (
        "a second --exemplar starts a new object, the first joins a phrase",
        [("text", "dog"), ("exemplar", "a.png@0,0,5,5"), ("exemplar", "b.png")],
        [
            VisualPrompt(text=Text("dog"), exemplar=Exemplar(PICTURE, Box(0, 0, 5, 5))),
            VisualPrompt(exemplar=Exemplar(PICTURE)),
        ],
    ),
    (
        "a background point beside a phrase",
        [("text", "dog"), ("point", "1,1:bg")],
        [VisualPrompt(text=Text("dog"), points=(Point(1, 1, False),))],
    ),
    ("a mask", [("mask", "m.png")], [VisualPrompt(mask=WHOLE)]),
]


@pytest.mark.parametrize(
    ("said", "expected"), [pytest.param(*row[1:], id=row[0]) for row in OBJECTS]
)
def test_objects_as_typed(said: list[tuple[str, str]], expected: list[VisualPrompt]) -> None:
    assert prompts_of(*said) == expected


BAD_OBJECTS = [
    ("--object first", [("object", ""), ("point", "1,1")], "one side of it is empty"),
    ("--object last", [("point", "1,1"), ("object", "")], "one side of it is empty"),
    ("--object alone", [("object", "")], "--object"),
    (
        "--object twice",
        [("point", "1,1"), ("object", ""), ("object", ""), ("point", "1,1")],
        "one side",
    ),
    ("two boxes", [("box", "0,0,1,1"), ("box", "0,0,2,2")], "one --box, got a second"),
    ("two masks", [("mask", "a.png"), ("mask", "b.png")], "one --mask, got a second"),
    ("--not before --text", [("not", "poodle"), ("text", "dog")], "--not follows"),
    ("two --not", [("text", "dog"), ("not", "a"), ("not", "b")], "one --not, got a second"),
    ("an empty phrase", [("text", "  ")], "needs a phrase"),
    ("an empty mask", [("text", "dog"), ("mask", "")], "--mask takes"),
    ("an empty exemplar", [("exemplar", "")], "--exemplar takes"),
    ("an example box of three", [("like", "1,2,3")], "Expected --like left,top"),
    ("an example box inside out", [("not_like", "9,0,1,5")], "right > left"),
    ("a negative example box alone", [("not_like", "1,2,3,4")], "Only what it is not like"),
    ("background points only", [("point", "1,1:bg")], "Only background points"),
    (
        "background points only, in the second object",
        [("point", "1,1"), ("object", ""), ("point", "1,1:bg")],
        "Only background points",
    ),
]


@pytest.mark.parametrize(
    ("said", "says"), [pytest.param(*row[1:], id=row[0]) for row in BAD_OBJECTS]
)
def test_what_can_not_be_meant_is_refused_before_any_file_is_opened(
    said: list[tuple[str, str]], says: str
) -> None:
    with pytest.raises(PromptError) as caught:
        parse_objects(said)
    assert says in str(caught.value)


OUTSIDE = [
    ("a point", [("point", "200,50")]),
    ("a percentage over 100", [("point", "100.1%,50%")]),
    ("a negative percentage", [("point", "-1%,50%")]),
    ("a box", [("box", "0,0,201,100")]),
    ("a box in percent", [("box", "0%,0%,101%,100%")]),
]


@pytest.mark.parametrize("said", [pytest.param(row[1], id=row[0]) for row in OUTSIDE])
def test_what_lies_outside_the_image_is_refused_when_its_size_is_known(
    said: list[tuple[str, str]],
) -> None:
    assert len(parse_objects(said)) == 1
    with pytest.raises(PromptError, match="image"):
        prompts_of(*said)


numbers = st.integers(-300, 300).map(str) | st.floats(-300, 300).map("{:.3f}".format) | st.text()
lengths = st.builds(str.__add__, numbers, st.sampled_from(["", "%"]))
almost = st.lists(lengths, min_size=1, max_size=5).map(",".join)
values = st.text() | almost | st.builds("{}{}".format, almost, st.sampled_from([":bg", ":fg", ":"]))


@given(st.lists(st.tuples(st.sampled_from([*SYNTAX, "object"]), values), max_size=6))
def test_whatever_is_typed_is_prompts_or_a_prompt_error(said: list[tuple[str, str]]) -> None:
    try:
        found = prompts_of(*said)
    except PromptError:
        return
    assert len(found) <= len(said)
    assert all(isinstance(prompt, VisualPrompt) for prompt in found)


@given(values)
def test_each_parser_by_itself_raises_only_prompt_errors(text: str) -> None:
    parsers = [parse_point, parse_box, parse_exemplar]
    for parse in parsers:
        try:
            parse(text)
        except PromptError:
            continue
    assert len(parsers) == 3


def test_drafts_are_values_that_compare() -> None:
    said = [("text", "dog"), ("point", "1,2:bg")]
    assert parse_objects(said) == parse_objects(iter(said))
    assert parse_objects(said)[0] != Draft(text=Text("dog"))
