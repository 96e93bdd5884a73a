"""The prompt values: exact through JSON, equal by content, and nothing malformed gets in."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import math
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from limner.errors import PromptError
from limner.prompts import Box, Exemplar, Like, Mask, Point, PromptKind, Text, VisualPrompt

# Few values, so that equal prompts are drawn often; all floats, so that exactness is tested.
coordinates = st.sampled_from([-0.0, 0.0, 1.0, 1]) | st.floats(
    allow_nan=False, allow_infinity=False
)
points = st.builds(Point, coordinates, coordinates, st.booleans())
intervals = st.tuples(coordinates, coordinates).filter(lambda pair: pair[0] < pair[1])
boxes = st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), intervals, intervals)
texts = st.builds(
    Text, st.sampled_from(["dog", " dog "]) | st.text().filter(lambda s: s.split()), st.text()
)
masks = (
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))
    .filter(lambda array: array.any())
    .map(Mask)
)

likes = st.builds(Like, boxes, st.booleans())


@st.composite
def exemplars(draw: st.DrawFn) -> Exemplar:
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    image = draw(hnp.arrays(np.uint8, (height, width, 3)))
    box = draw(st.none() | st.just(Box(0, 0, width, height)) | st.just(Box(-0.0, 0, 0.5, 1)))
    return Exemplar(image, box)


@st.composite
def prompts(draw: st.DrawFn) -> VisualPrompt:
    parts: dict[str, Any] = {
        "text": draw(st.none() | texts),
        "exemplar": draw(st.none() | exemplars()),
        "points": tuple(draw(st.lists(points, max_size=3))),
        "box": draw(st.none() | boxes),
        "mask": draw(st.none() | masks),
        "likes": tuple(draw(st.lists(likes, max_size=2))),
    }
    if parts["likes"] and not parts["text"] and not any(like.positive for like in parts["likes"]):
        parts["text"] = Text("dog")
    others = any(value for name, value in parts.items() if name != "points")
    if not others and not any(point.foreground for point in parts["points"]):
        parts["points"] += (Point(1, 1),)
    return VisualPrompt(**parts)


# --- exactness and identity -----------------------------------------------------------------------


@given(prompts())
def test_a_prompt_comes_back_exactly_through_json(prompt: VisualPrompt) -> None:
    written = json.dumps(prompt.to_dict(), allow_nan=False)
    back = VisualPrompt.from_dict(json.loads(written))
    assert back == prompt
    assert hash(back) == hash(prompt)
    assert back.digest == prompt.digest
    assert json.dumps(back.to_dict()) == written


@given(prompts(), prompts())
def test_digests_are_equal_exactly_when_prompts_are(a: VisualPrompt, b: VisualPrompt) -> None:
    assert (a == b) == (a.digest == b.digest)


SAME = [
    ("whole numbers and floats", lambda: (Point(1, 2), Point(1.0, 2.0))),
    ("0 and -0 in a point", lambda: (Point(0.0, 0), Point(-0.0, -0.0))),
    ("0 and -0 in a box", lambda: (Box(0, 0, 1, 1), Box(-0.0, -0.0, 1, 1))),
    ("spaces in a phrase", lambda: (Text("a  red\tdog "), Text("a red dog"))),
    ("numpy's numbers", lambda: (Point(np.float64(1.5), 2), Point(1.5, 2))),  # type: ignore[arg-type]
]
FIELD = {Box: "box", Text: "text", Mask: "mask", Exemplar: "exemplar"}


def wrap(part: Any) -> VisualPrompt:
    if isinstance(part, Point):
        return VisualPrompt(points=(Point(9, 9), part))
    if isinstance(part, Like):
        return VisualPrompt(text=Text("dog"), likes=(part,))
    return VisualPrompt(**{FIELD[type(part)]: part})


@pytest.mark.parametrize("make", [pytest.param(row[1], id=row[0]) for row in SAME])
def test_two_ways_to_write_one_value_are_one_value(make: Any) -> None:
    a, b = make()
    assert a == b
    assert wrap(a).digest == wrap(b).digest


RED = np.full((2, 3, 3), (255, 0, 0), dtype=np.uint8)
TOP = np.array([[True, True], [False, False]])
DIFFERENT = [
    ("a point's label", Point(1, 2), Point(1, 2, foreground=False)),
    ("a point's axes", Point(1, 2), Point(2, 1)),
    ("what it is not", Text("dog"), Text("dog", "poodle")),
    ("phrase and negative don't run together", Text("a b"), Text("a", "b")),
    ("a mask's shape", Mask(np.ones((2, 3))), Mask(np.ones((3, 2)))),
    ("a mask's content", Mask(TOP), Mask(~TOP)),
    ("an example box's sign", Like(Box(0, 0, 1, 1)), Like(Box(0, 0, 1, 1), positive=False)),
    ("an example's box", Exemplar(RED), Exemplar(RED, Box(0, 0, 3, 2))),
    ("an example's content", Exemplar(RED), Exemplar(RED[..., ::-1])),
]


@pytest.mark.parametrize(("a", "b"), [pytest.param(*row[1:], id=row[0]) for row in DIFFERENT])
def test_what_means_something_else_is_another_value(a: Any, b: Any) -> None:
    assert a != b
    assert wrap(a).digest != wrap(b).digest


def test_the_order_of_points_counts() -> None:
    """SAM's answer may depend on it, and a record must replay."""
    a, b = Point(1, 1), Point(2, 2)
    assert VisualPrompt(points=(a, b)) != VisualPrompt(points=(b, a))


def test_points_given_as_a_list_are_kept_as_a_tuple() -> None:
    prompt = VisualPrompt(points=[Point(1, 1)])  # type: ignore[arg-type]
    assert prompt == VisualPrompt(points=(Point(1, 1),))
    assert isinstance(hash(prompt), int)


@pytest.mark.parametrize(
    ("array", "make", "read"),
    [
        pytest.param(TOP, Mask, lambda value: value.array, id="mask"),
        pytest.param(RED, Exemplar, lambda value: value.image, id="example"),
    ],
)
def test_arrays_are_read_only_copies_compared_by_content(array: Any, make: Any, read: Any) -> None:
    mine = array.copy()
    value = make(mine)
    assert value == make(array) == make(np.asfortranarray(array))
    assert hash(value) == hash(make(array))
    mine[:] = 0
    assert np.array_equal(read(value), array)
    with pytest.raises(ValueError, match="read-only"):
        read(value)[0, 0] = 0
    assert value != "a mask"


def test_prompts_are_frozen() -> None:
    values: list[Any] = [Point(1, 1), Box(0, 0, 1, 1), Text("dog"), Mask(TOP), Exemplar(RED)]
    values.append(VisualPrompt(text=values[2]))
    for value in values:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)
    assert len(values) == 6


@given(prompts())
def test_kinds_say_what_a_model_must_take(prompt: VisualPrompt) -> None:
    said = {
        PromptKind.TEXT: prompt.text,
        PromptKind.EXEMPLAR: prompt.exemplar,
        PromptKind.LIKE: [like for like in prompt.likes if like.label == 1],
        PromptKind.NEGATIVE_EXEMPLAR_BOX: [like for like in prompt.likes if like.label == 0],
        PromptKind.POINT: [p for p in prompt.points if p.label == 1],
        PromptKind.BACKGROUND_POINT: [p for p in prompt.points if p.label == 0],
        PromptKind.BOX: prompt.box,
        PromptKind.MASK: prompt.mask,
    }
    assert set(said) == set(PromptKind)
    assert prompt.kinds == {kind for kind, value in said.items() if value}
    assert prompt.is_spatial == bool(prompt.points or prompt.box or prompt.mask)
    assert prompt.says_what == bool(prompt.text or prompt.exemplar or prompt.likes)


# --- what is refused when it is made --------------------------------------------------------------

REFUSED = [
    ("nothing said", lambda: VisualPrompt(), "An empty prompt"),
    (
        "background points only",
        lambda: VisualPrompt(points=(Point(1, 1, False), Point(2, 2, False))),
        "Only background points",
    ),
    (
        "negative example boxes only",
        lambda: VisualPrompt(likes=(Like(Box(0, 0, 1, 1), positive=False),)),
        "Only what it is not like",
    ),
    (
        "a negative example box for an example image",
        lambda: VisualPrompt(exemplar=Exemplar(RED), likes=(Like(Box(0, 0, 1, 1), False),)),
        "Only what it is not like",
    ),
    ("a sign as SAM writes it", lambda: Like(Box(0, 0, 1, 1), 1), "true or false"),  # type: ignore[arg-type]
    ("NaN", lambda: Point(math.nan, 0), "finite numbers, got nan, 0"),
    ("infinity", lambda: Point(0, -math.inf), "finite"),
    ("text for a number", lambda: Point("1", 2), "finite"),  # type: ignore[arg-type]
    ("True for a number", lambda: Point(True, 2), "finite"),
    ("a whole number that no float holds", lambda: Point(10**400, 2), "finite"),
    ("a label that is no bool", lambda: Point(1, 2, "bg"), "foreground"),  # type: ignore[arg-type]
    ("a label as SAM writes it", lambda: Point(1, 2, 0), "foreground"),  # type: ignore[arg-type]
    ("a box inside out", lambda: Box(5, 0, 4, 9), "right > left"),
    ("a box upside down", lambda: Box(0, 9, 4, 5), "bottom > top, got 0,9,4,5"),
    ("a box without area", lambda: Box(3, 3, 3, 9), "right > left"),
    ("a box with NaN", lambda: Box(0, 0, math.nan, 1), "finite"),
    ("a box too large for floats", lambda: Box(0, 0, 10**400, 1), "finite"),
    ("an empty phrase", lambda: Text(""), "needs a phrase"),
    ("a phrase of spaces", lambda: Text(" \t\n"), "needs a phrase"),
    ("a phrase that is no text", lambda: Text(5), "string, got 5"),  # type: ignore[arg-type]
    ("a negative that is no text", lambda: Text("a", None), "negative"),  # type: ignore[arg-type]
    ("an empty mask", lambda: Mask(np.zeros((2, 2))), "mask is empty"),
    ("a mask without pixels", lambda: Mask(np.zeros((0, 2))), "(H, W)"),
    ("a mask of three axes", lambda: Mask(np.ones((1, 2, 2))), "(H, W)"),
    ("a grey example", lambda: Exemplar(np.zeros((2, 2), np.uint8)), "(H, W, 3)"),
    ("an example in floats", lambda: Exemplar(np.zeros((2, 2, 3))), "uint8"),
    ("an example with alpha", lambda: Exemplar(np.zeros((2, 2, 4), np.uint8)), "(H, W, 3)"),
    ("an example without pixels", lambda: Exemplar(np.zeros((0, 2, 3), np.uint8)), "(H, W, 3)"),
    ("a box that leaves its example", lambda: Exemplar(RED, Box(0, 0, 3.5, 2)), "which is 3x2"),
]


@pytest.mark.parametrize(("make", "says"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_what_can_not_be_meant_is_refused(make: Any, says: str) -> None:
    with pytest.raises(PromptError) as caught:
        make()
    assert says in str(caught.value)


WITHIN = [
    # name, prompt, fits an image of 4 x 3
    ("the first pixel", VisualPrompt(points=(Point(0, 0),)), None),
    ("the last pixel, its far corner", VisualPrompt(points=(Point(3.99, 2.99),)), None),
    ("the right edge", VisualPrompt(points=(Point(4, 0),)), "point 4,0 lies outside"),
    ("the lower edge", VisualPrompt(points=(Point(0, 3),)), "4x3 pixels (x 0–3, y 0–2)"),
    ("left of the image", VisualPrompt(points=(Point(-0.5, 0),)), "outside"),
    (
        "a background point outside",
        VisualPrompt(points=(Point(1, 1), Point(9, 1, False))),
        "point 9,1",
    ),
    ("the whole image's box", VisualPrompt(box=Box(0, 0, 4, 3)), None),
    ("a box that leaves to the right", VisualPrompt(box=Box(0, 0, 4.01, 3)), "leaves the image"),
    ("a box that leaves to the top", VisualPrompt(box=Box(0, -1, 4, 3)), "leaves the image"),
    (
        "an example box that leaves",
        VisualPrompt(likes=(Like(Box(0, 0, 4, 3)), Like(Box(0, 0, 4, 4), False))),
        "leaves the image",
    ),
    ("a mask of the size", VisualPrompt(mask=Mask(np.ones((3, 4)))), None),
    ("a mask turned", VisualPrompt(mask=Mask(np.ones((4, 3)))), "3x4 pixels and the image 4x3"),
    ("words are of no place", VisualPrompt(text=Text("dog")), None),
]


@pytest.mark.parametrize(("prompt", "says"), [pytest.param(*row[1:], id=row[0]) for row in WITHIN])
def test_bounds(prompt: VisualPrompt, says: str | None) -> None:
    if says is None:
        prompt.check_within((4, 3))
        return
    with pytest.raises(PromptError) as caught:
        prompt.check_within((4, 3))
    assert says in str(caught.value)


# --- JSON that is no prompt -----------------------------------------------------------------------


def png(array: Any = RED, image_format: str = "PNG") -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format=image_format)
    return base64.b64encode(buffer.getvalue()).decode()


def png_of_size(width: int, height: int) -> str:
    """A header that promises much and holds nothing."""
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    parts = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    chunks = [
        (len(part) - 4).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big")
        for part in parts
    ]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()


DOG = {"phrase": "dog", "negative": ""}
POINT = {"x": 1, "y": 1, "foreground": True}
MALFORMED: list[tuple[str, Any]] = [
    ("null", None),
    ("a number", 5),
    ("a list", []),
    ("a list of names", ["text"]),
    ("text", "text"),
    ("nothing", {}),
    ("an unknown key", {"text": DOG, "colour": "red"}),
    ("text that is null", {"text": None}),
    ("text that is bare", {"text": "dog"}),
    ("text with an unknown key", {"text": {**DOG, "lang": "en"}}),
    ("text without a phrase", {"text": {"negative": "cat"}}),
    ("points that are one point", {"points": POINT}),
    ("points that are text", {"points": "", "text": DOG}),
    ("points that are an empty object", {"points": {}, "text": DOG}),
    ("a point that is a pair", {"points": [[1, 1]]}),
    ("a point without y", {"points": [{"x": 1}]}),
    ("a point with a label of text", {"points": [{**POINT, "foreground": "no"}]}),
    ("a point with a label of 0", {"points": [POINT, {**POINT, "foreground": 0}]}),
    ("a point that no float holds", {"points": [{**POINT, "x": 10**400}]}),
    ("a box that is bare", {"box": [0, 0, 1, 1]}),
    ("a box of three", {"box": {"xyxy": [0, 0, 1]}}),
    ("a box of five", {"box": {"xyxy": [0, 0, 1, 1, 1]}}),
    ("a box of digits", {"box": {"xyxy": "0011"}}),
    ("a box of bools", {"box": {"xyxy": [False, False, True, True]}}),
    ("a box by other names", {"box": {"xywh": [0, 0, 1, 1]}}),
    ("a box with more than corners", {"box": {"xyxy": [0, 0, 1, 1], "score": 1}}),
    ("an empty object for a box", {"box": {}}),
    ("a mask that is bare", {"mask": {"size": [1, 1], "counts": "01"}}),
    ("a mask with more than run lengths", {"mask": {"rle": Mask(TOP).to_dict()["rle"], "x": 1}}),
    ("a mask without a size", {"mask": {"rle": {"counts": "01"}}}),
    ("a mask of one side", {"mask": {"rle": {"size": [1], "counts": "01"}}}),
    ("a mask of a negative size", {"mask": {"rle": {"size": [-1, -1], "counts": "01"}}}),
    ("a mask of a size in words", {"mask": {"rle": {"size": ["a", "b"], "counts": "01"}}}),
    ("a mask whose counts are null", {"mask": {"rle": {"size": [1, 1], "counts": None}}}),
    ("a mask whose counts are no ASCII", {"mask": {"rle": {"size": [1, 1], "counts": "é"}}}),
    ("a mask with nothing in it", {"mask": {"rle": {"size": [2, 2], "counts": "4"}}}),
    ("an example that is no base64", {"exemplar": {"png": "*", "box": None}}),
    ("an example that is no picture", {"exemplar": {"png": "aGVsbG8=", "box": None}}),
    ("an example cut off", {"exemplar": {"png": png()[:60], "box": None}}),
    ("an example that is a JPEG", {"exemplar": {"png": png(image_format="JPEG"), "box": None}}),
    ("an example of null", {"exemplar": {"png": None, "box": None}}),
    ("an example whose box is 0", {"exemplar": {"png": png(), "box": 0}}),
    ("an example with an unknown key", {"exemplar": {"png": png(), "box": None, "name": "a"}}),
    ("an example too large to open", {"exemplar": {"png": png_of_size(30000, 30000), "box": None}}),
    ("an example without its pixels", {"exemplar": {"png": png_of_size(30, 30), "box": None}}),
]


@pytest.mark.parametrize("data", [pytest.param(row[1], id=row[0]) for row in MALFORMED])
def test_malformed_json_is_a_prompt_error(data: Any) -> None:
    with pytest.raises(PromptError):
        VisualPrompt.from_dict(data)


HOSTILE = [
    ("too few runs: the rest would be whatever lay in memory", [64, 64], ""),
    ("half the runs", [2, 3], "03"),
    ("too many runs", [2, 3], "0o0"),
    ("a size that crashes pycocotools", [2**40, 3], "06"),
    ("a size of 10**400", [10**400, 3], "06"),
    ("a size that takes 3.6 GB", [60000, 60000], "06"),
]


def test_run_lengths_that_break_pycocotools_are_prompt_errors() -> None:
    """In a process of its own: one of them ends the interpreter where it is not caught."""
    code = f"""
from limner.errors import PromptError
from limner.prompts import VisualPrompt
for name, size, counts in {HOSTILE!r}:
    try:
        VisualPrompt.from_dict({{"mask": {{"rle": {{"size": size, "counts": counts}}}}}})
    except PromptError:
        print("refused:", name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"refused: {name}" for name, *_ in HOSTILE], done.stderr


def test_a_box_may_be_absent_from_an_example_as_null() -> None:
    made = VisualPrompt.from_dict({"exemplar": {"png": png(), "box": None}})
    assert made == VisualPrompt(exemplar=Exemplar(RED))


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-1000, 100_000)
    | st.sampled_from([10**400, -(2**70), 0.5, math.nan, math.inf])
    | st.text(max_size=8)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["text", "phrase", "points", "x", "y", "box", "xyxy", "mask", "exemplar", "png"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def refused_or_sound(data: Any) -> None:
    """Either a PromptError, or a prompt that is exact like any other."""
    try:
        made = VisualPrompt.from_dict(data)
    except PromptError:
        return
    assert VisualPrompt.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@given(anything)
def test_arbitrary_json_is_a_prompt_or_a_prompt_error(data: Any) -> None:
    refused_or_sound(data)


@given(prompts(), st.data())
def test_a_prompt_with_one_thing_changed_is_a_prompt_or_a_prompt_error(
    prompt: VisualPrompt, data: st.DataObject
) -> None:
    """Almost right is where a reader's holes are: any node replaced, removed or added."""
    written = json.loads(json.dumps(prompt.to_dict()))
    node: Any = written
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        below = node[key]
        # A changed size can end the interpreter (see HOSTILE), which no fuzzer can report.
        if (
            not isinstance(below, dict | list)
            or not below
            or key == "size"
            or data.draw(st.booleans())
        ):
            break
        node = below
    if key == "size":
        return
    change = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        node[key] = data.draw(anything)
    elif change == "remove":
        del node[key]
    elif isinstance(node, dict):
        node[data.draw(st.text(max_size=3))] = data.draw(anything)
    else:
        node.append(data.draw(anything))
    refused_or_sound(written)


@given(st.binary(max_size=40), st.integers(0, 200))
def test_a_damaged_example_picture_is_a_picture_or_a_prompt_error(junk: bytes, at: int) -> None:
    """Pillow answers broken files with OSError, SyntaxError, zlib.error and more."""
    good = base64.b64decode(png(np.arange(75, dtype=np.uint8).reshape(5, 5, 3)))
    bad = good[:at] + junk + good[at + len(junk) :]
    refused_or_sound({"exemplar": {"png": base64.b64encode(bad).decode(), "box": None}})
