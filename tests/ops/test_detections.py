"""Our keys on sv.Detections, and what is decided on boxes: named layouts, nothing edited."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import PromptError
from limner.ops import choose
from limner.ops import detections as dets
from limner.ops.selection import Selection, parse_selection
from limner.prompts import Box, VisualPrompt

Corners = tuple[float, float, float, float]


def layout(*rows: tuple[str, Corners] | tuple[str, Corners, float, int]) -> sv.Detections:
    """Rows of name, box, and optionally score (falling from 0.9) and prompt (0)."""
    return dets.make(
        np.array([row[1] for row in rows], dtype=float).reshape(-1, 4),
        [row[2] if len(row) == 4 else 0.9 - k / 100 for k, row in enumerate(rows)],
        [row[3] if len(row) == 4 else 0 for row in rows],
        [row[0] for row in rows],
    )


def names(detections: sv.Detections) -> list[str]:
    return [str(name) for name in detections.data["class_name"]]


def frozen(detections: sv.Detections) -> bytes:
    """All that a value holds, for comparing before with after."""
    return pickle.dumps(
        [
            detections.xyxy,
            detections.mask,
            detections.confidence,
            detections.class_id,
            detections.tracker_id,
            detections.data,
            detections.metadata,
        ]
    )


# --- the keys -------------------------------------------------------------------------------------


def test_make_gives_each_row_our_keys() -> None:
    made = layout(("dog", (0, 0, 1, 1), 0.5, 2), ("cat", (1, 1, 2, 2), 0.25, 0))
    assert made.data["prompt_index"].dtype == made.class_id.dtype == np.int64
    assert made.data["prompt_index"].tolist() == made.class_id.tolist() == [2, 0]
    assert names(made) == ["dog", "cat"]
    assert made.xyxy.dtype == made.confidence.dtype == np.float32


@pytest.mark.parametrize("with_mask_keys", [False, True])
def test_no_rows_have_all_keys(with_mask_keys: bool) -> None:
    none = dets.empty(with_mask_keys=with_mask_keys)
    extra = ["mask_score", "candidates"] if with_mask_keys else []
    assert len(none) == 0
    assert list(none.data) == ["class_name", "prompt_index", *extra]
    assert none.xyxy.shape == (0, 4)


def test_masks_and_their_columns_stay_with_their_rows() -> None:
    picked = [np.zeros((4, 6), dtype=bool), np.ones((4, 6), dtype=bool)]
    bare = layout(("a", (0, 0, 1, 1)), ("b", (1, 1, 2, 2)))
    made = dets.with_masks(bare, picked, [0.1, 0.2], candidates=[((picked[0], 0.1),), ()])
    last = dets.take(made, [1])
    assert bare.mask is None
    assert dets.mask_of(last, 0).all()
    assert last.data["mask_score"] == pytest.approx([0.2])
    assert last.data["candidates"][0] == ()


@pytest.mark.parametrize("limit", [10**9, 0], ids=["dense", "compact"])
def test_many_large_masks_are_kept_as_run_lengths_and_read_alike(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond ``DENSE_BYTES`` no array of all pixels exists; every reader sees the same masks."""
    monkeypatch.setattr(dets, "DENSE_BYTES", limit)
    rng = np.random.default_rng(0)
    masks = [rng.random((9, 14)) < share for share in (0.5, 0.0, 1.0, 0.1)]
    masks[3][:, :5] = False
    rows = layout(*[(name, (0, 0, 14, 9)) for name in "abcd"])
    made = dets.with_masks(rows, masks, [1.0] * 4)
    assert isinstance(made.mask, sv.CompactMask if limit == 0 else np.ndarray)
    for row, mask in enumerate(masks):
        np.testing.assert_array_equal(dets.mask_of(made, row), mask)
        np.testing.assert_array_equal(dets.crop_of(made, row).full(), mask)
    np.testing.assert_array_equal(dets.union_of(made, (14, 9)), np.logical_or.reduce(masks))
    picked = dets.take(made, [3, 0])
    np.testing.assert_array_equal(dets.mask_of(picked, 0), masks[3])
    monkeypatch.setattr(dets, "DENSE_BYTES", 10**9)
    both = dets.merge([made, dets.with_masks(layout(("e", (0, 0, 2, 2))), [masks[2]], [1.0])])
    np.testing.assert_array_equal(dets.mask_of(both, 4), masks[2])
    np.testing.assert_array_equal(dets.mask_of(both, 0), masks[0])


@pytest.mark.parametrize("compact", [False, True], ids=["dense", "CompactMask"])
def test_mask_of_reads_both_ways_of_storing_masks(compact: bool) -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 2:5] = True
    made = dets.with_masks(layout(("a", (2, 1, 5, 3))), [mask], [1.0])
    if compact:
        made.mask = sv.CompactMask.from_dense(made.mask, made.xyxy, (4, 6))
    found = dets.mask_of(made, 0)
    assert found.dtype == bool
    assert np.array_equal(found, mask)


def test_mask_of_boxes_alone_says_so() -> None:
    with pytest.raises(ValueError, match="boxes only"):
        dets.mask_of(layout(("a", (0, 0, 1, 1))), 0)


# --- merging --------------------------------------------------------------------------------------


def test_merging_nothing_gives_no_rows_with_our_keys() -> None:
    tried: list[list[sv.Detections]] = [[], [dets.empty()], [dets.empty(), dets.empty()]]
    for parts in tried:
        merged = dets.merge(parts)
        assert len(merged) == 0
        assert {"class_name", "prompt_index"} <= set(merged.data)
    assert len(tried) == 3


def test_merging_keeps_order_and_skips_empty_parts() -> None:
    """Also when an empty part has other keys than the others, as a detector that found nothing."""
    a, b = layout(("a", (0, 0, 1, 1))), layout(("bb", (1, 1, 2, 2)), ("ccc", (2, 2, 3, 3)))
    merged = dets.merge([dets.empty(with_mask_keys=True), a, dets.empty(), b])
    assert names(merged) == ["a", "bb", "ccc"]
    assert merged.data["prompt_index"].dtype == np.int64


def test_merging_keeps_only_the_keys_that_all_parts_have() -> None:
    a, b = layout(("a", (0, 0, 1, 1))), layout(("b", (1, 1, 2, 2)))
    a.data["extra"] = np.array([1])
    assert set(dets.merge([a, b]).data) == {"class_name", "prompt_index"}
    assert "extra" in a.data


def test_merging_keeps_masks() -> None:
    parts = [
        dets.with_masks(layout((name, (0, 0, 2, 2))), [np.full((2, 2), name == "b")], [0.5])
        for name in "ab"
    ]
    merged = dets.merge(parts)
    assert [bool(dets.mask_of(merged, k).any()) for k in range(2)] == [False, True]


def test_what_is_merged_with_nothing_stays_as_it_is_and_is_a_value_of_its_own() -> None:
    """Its masks aren't encoded anew, and an edit of the one doesn't reach the other."""
    part = dets.with_masks(layout(("a", (0, 0, 2, 2))), [np.eye(2, dtype=bool)], [0.5])
    merged = dets.merge([dets.empty(), part])
    assert set(merged.data) == set(part.data)
    np.testing.assert_array_equal(dets.mask_of(merged, 0), np.eye(2, dtype=bool))
    merged.data["mask_score"][0] = 0
    merged.xyxy[0] = 9
    assert part.data["mask_score"].tolist() == [0.5]
    assert part.xyxy[0].tolist() == [0, 0, 2, 2]


# --- subtracting ----------------------------------------------------------------------------------

PEOPLE = layout(("wearer", (0, 0, 40, 100)), ("neighbour", (42, 0, 80, 100)))
WORN = layout(("sunglasses", (10, 10, 30, 20)))
SUBTRACTIONS: list[tuple[str, sv.Detections, sv.Detections, list[str]]] = [
    ("the person with sunglasses is dropped, the neighbour kept", PEOPLE, WORN, ["neighbour"]),
    (
        "sunglasses that stick out of their person a little still count",
        PEOPLE,
        layout(("sunglasses", (-8, 10, 12, 20))),
        ["neighbour"],
    ),
    (
        "sunglasses that only touch the neighbour's box leave the neighbour",
        PEOPLE,
        layout(("sunglasses", (30, 10, 46, 20))),
        ["neighbour"],
    ),
    ("none found", PEOPLE, dets.empty(), ["wearer", "neighbour"]),
    ("nothing to subtract from", dets.empty(), WORN, []),
    (
        "a dog that is the poodle is dropped though its box is the smaller",
        layout(("poodle", (10, 10, 20, 20)), ("dog", (50, 50, 90, 90))),
        layout(("poodle", (5, 5, 45, 45))),
        ["dog"],
    ),
    (
        "exactly half is enough",
        layout(("half", (0, 0, 10, 10))),
        layout(("negative", (5, 0, 15, 10))),
        [],
    ),
    (
        "less than half is not",
        layout(("under", (0, 0, 10, 10))),
        layout(("negative", (5.1, 0, 15.1, 10))),
        ["under"],
    ),
    (
        "a negative box without area drops nothing elsewhere",
        PEOPLE,
        layout(("speck", (200, 200, 200, 200))),
        ["wearer", "neighbour"],
    ),
]


@pytest.mark.parametrize(
    ("detections", "negatives", "kept"), [pytest.param(*row[1:], id=row[0]) for row in SUBTRACTIONS]
)
def test_subtract(detections: sv.Detections, negatives: sv.Detections, kept: list[str]) -> None:
    assert names(choose.subtract(detections, negatives)) == kept


# --- choosing -------------------------------------------------------------------------------------

# A stage of 100 x 100: where each stands is in its name.
STAGE = layout(
    ("small left", (0, 40, 10, 50)),
    ("large middle", (30, 30, 80, 80)),
    ("tall right", (90, 0, 96, 100)),
    ("flat top", (20, 0, 60, 6)),
)
CHOICES = [
    ("largest", ["large middle"]),
    ("largest:2", ["large middle", "tall right"]),
    ("smallest", ["small left"]),
    ("smallest:2", ["small left", "flat top"]),
    ("leftmost", ["small left"]),
    ("leftmost:2", ["small left", "flat top"]),
    ("rightmost", ["tall right"]),
    ("topmost", ["flat top"]),
    ("bottommost", ["large middle"]),
    ("best", ["small left"]),
    ("best:9", ["small left", "large middle", "tall right", "flat top"]),
    ("count:2", ["small left", "large middle"]),
    ("nearest:50,50", ["large middle"]),
    ("nearest:70,0:2", ["flat top", "tall right"]),
    ("nearest:-500,45", ["small left"]),
    ("inside:25,25,85,85", ["large middle"]),
    ("inside:0,0,100,60", ["small left", "large middle", "tall right", "flat top"]),
    ("inside:0,0,5,5", []),
]


@pytest.mark.parametrize(("typed", "expected"), CHOICES, ids=[row[0] for row in CHOICES])
def test_selections_on_a_stage(typed: str, expected: list[str]) -> None:
    assert names(parse_selection(typed)(STAGE)) == expected


def test_every_order_and_form_is_on_the_stage() -> None:
    tried = {typed.partition(":")[0] for typed, _ in CHOICES}
    assert tried == {*choose.ORDERS, "nearest", "inside", "count"}


def test_of_boxes_that_hold_the_point_the_one_centred_there_is_nearest() -> None:
    around = layout(("room", (0, 0, 100, 100)), ("chair", (10, 10, 30, 30)))
    assert names(choose.nearest(around, 20, 20, count=2)) == ["chair", "room"]
    assert names(choose.nearest(around, 48, 52, count=2)) == ["room", "chair"]


def test_equal_boxes_keep_their_order() -> None:
    twins = layout(("first", (0, 0, 9, 9), 0.5, 0), ("second", (0, 0, 9, 9), 0.5, 0))
    tried = [*choose.ORDERS.values(), lambda rows, count: choose.nearest(rows, 1, 1, count)]
    for order in tried:
        assert names(order(twins, 2)) == ["first", "second"]
    assert len(tried) == 8


def test_inside_counts_half_of_the_rows_own_area() -> None:
    row = layout(("half", (0, 0, 10, 10)))
    assert len(choose.inside(row, Box(5, 0, 99, 99))) == 1
    assert len(choose.inside(row, Box(5.1, 0, 99, 99))) == 0
    assert len(choose.inside(layout(("line", (3, 0, 3, 9))), Box(0, 0, 9, 9))) == 0


def test_selections_are_made_for_each_prompt_apart() -> None:
    """`--text dog --text cat --select largest` means the largest dog and the largest cat."""
    both = layout(
        ("cat 1", (0, 0, 5, 5), 0.9, 1),
        ("dog 1", (0, 0, 50, 50), 0.8, 0),
        ("dog 2", (0, 0, 60, 60), 0.7, 0),
        ("cat 2", (0, 0, 6, 6), 0.6, 1),
    )
    assert names(parse_selection("largest")(both)) == ["dog 2", "cat 2"]
    assert names(parse_selection("count:1")(both)) == ["dog 1", "cat 1"]
    assert names(parse_selection("inside:0,0,7,7")(both)) == ["cat 1", "cat 2"]


def test_choosing_among_nothing_gives_nothing() -> None:
    none = dets.empty()
    tried = [parse_selection(typed)(none) for typed, _ in CHOICES]
    tried += [choose(none, 1) for choose in choose.ORDERS.values()]
    tried += [choose.nearest(none, 0, 0), choose.inside(none, Box(0, 0, 1, 1)), dets.copy(none)]
    tried += [dets.by_confidence(none), choose.subtract(none, none)]
    assert len(tried) == len(CHOICES) + 12
    assert [len(made) for made in tried] == [0] * len(tried)


# --- a selection as typed -------------------------------------------------------------------------

BAD_SELECTIONS = [
    "",
    "biggest",
    "largest:0",
    "largest:-1",
    "largest:two",
    "largest:1:2",
    "count",
    "count:0",
    "nearest",
    "nearest:5",
    "nearest:nan,1",
    "nearest:1e999,1",
    "nearest:1,2:0",
    "inside:1,2,3",
    "inside:9,9,1,1",
    "inside:0,0,inf,1",
    "largest;2",
    f"count:{'9' * 5000}",
]


@pytest.mark.parametrize("typed", BAD_SELECTIONS, ids=lambda typed: f"{typed:.20}")
def test_bad_selections_are_refused(typed: str) -> None:
    with pytest.raises(PromptError):
        parse_selection(typed)


pieces = st.sampled_from([*choose.ORDERS, "nearest", "inside", "count", ":", ",", "1", "-2", "0.5"])


@given(st.text() | st.lists(pieces | st.text(max_size=2), max_size=9).map("".join))
def test_whatever_is_typed_is_a_selection_or_a_prompt_error(typed: str) -> None:
    try:
        selection = parse_selection(typed)
    except PromptError:
        return
    assert set(names(selection(STAGE))) <= set(names(STAGE))
    assert json.loads(json.dumps(selection.to_dict()))["name"] == selection.name


def test_a_selection_is_a_value() -> None:
    assert parse_selection("nearest:1,2") == Selection("nearest", (1, 2), 1)
    assert hash(parse_selection("count:3")) == hash(Selection("count", count=3))


# --- boxes as prompts -----------------------------------------------------------------------------

CLIPPED = [
    ("inside stays as it is", (1.5, 2, 30, 40), (1.5, 2, 30, 40)),
    ("beyond every side", (-5, -5, 500, 500), (0, 0, 100, 50)),
    ("wholly to the left", (-90, 10, -80, 20), (0, 10, 1, 20)),
    ("wholly beyond the lower right", (200, 200, 300, 300), (99, 49, 100, 50)),
    ("without width", (30, 10, 30, 20), (30, 10, 31, 20)),
    ("thinner than a pixel", (30, 10, 30.25, 20), (30, 10, 31, 20)),
    ("inside out", (30, 10, 20, 20), (30, 10, 31, 20)),
]


@pytest.mark.parametrize(
    ("corners", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CLIPPED]
)
def test_to_prompts_clips_to_the_image(corners: Corners, expected: Corners) -> None:
    prompts = dets.to_prompts(layout(("a", corners)), (100, 50))
    assert prompts == [VisualPrompt(box=Box(*expected))]


@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4), max_size=4),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_to_prompts_always_lie_within_the_image(
    rows: list[Corners], width: int, height: int
) -> None:
    prompts = dets.to_prompts(layout(*(("a", row) for row in rows)), (width, height))
    for prompt in prompts:
        prompt.check_within((width, height))
        assert prompt.box is not None
        assert min(prompt.box.x1 - prompt.box.x0, prompt.box.y1 - prompt.box.y0) >= 0.999
    assert len(prompts) == len(rows)


# --- nothing is edited in place -------------------------------------------------------------------


def busy() -> sv.Detections:
    made = layout(("a", (0, 0, 9, 9), 0.2, 1), ("b", (5, 5, 30, 30), 0.8, 0))
    picked = [np.eye(30, dtype=bool), np.ones((30, 30), dtype=bool)]
    return dets.with_masks(made, picked, [0.5, 0.6], candidates=[(), ()])


FUNCTIONS: list[tuple[str, Callable[[sv.Detections], Any]]] = [
    ("take", lambda rows: dets.take(rows, [1])),
    ("copy", dets.copy),
    ("with_masks", lambda rows: dets.with_masks(rows, [np.zeros((3, 3), bool)] * 2, [1, 1])),
    ("merge", lambda rows: dets.merge([rows])),
    ("merge with itself", lambda rows: dets.merge([rows, rows])),
    ("by_confidence", dets.by_confidence),
    ("subtract", lambda rows: choose.subtract(rows, WORN)),
    ("subtract from", lambda rows: choose.subtract(PEOPLE, rows)),
    ("inside", lambda rows: choose.inside(rows, Box(0, 0, 9, 9))),
    ("nearest", lambda rows: choose.nearest(rows, 0, 0)),
    ("to_prompts", lambda rows: dets.to_prompts(rows, (30, 30))),
    *((typed, parse_selection(typed)) for typed, _ in CHOICES),
    *((f"order {name}", lambda rows, f=f: f(rows, 1)) for name, f in choose.ORDERS.items()),
]


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=[row[0] for row in FUNCTIONS])
def test_no_function_edits_its_argument(name: str, function: Callable[[Any], Any]) -> None:
    rows = busy()
    before = frozen(rows)
    function(rows)
    assert frozen(rows) == before


MAKERS = [row for row in FUNCTIONS if row[0] in ("take", "copy", "with_masks", "merge", "best:9")]


@pytest.mark.parametrize(("name", "function"), MAKERS, ids=[row[0] for row in MAKERS])
def test_what_is_made_shares_no_memory_with_what_it_was_made_of(
    name: str, function: Callable[[Any], Any]
) -> None:
    rows = busy()
    before = frozen(rows)
    made = function(rows)
    made.xyxy[:] = -1
    made.class_id[:] = -1
    made.data["class_name"][:] = "?"
    made.data["new"] = np.zeros(len(made))
    assert frozen(rows) == before
    assert len(MAKERS) == 5


def test_iou_of_boxes_by_hand() -> None:
    """Half of a 10 x 10 box: 50 of 150; itself: 1; a box without area: 0."""
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [3, 3, 3, 9]], dtype=float)
    shares = dets.iou(boxes, boxes)
    assert shares == pytest.approx(np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]))
    assert dets.iou(boxes, np.zeros((0, 4))).shape == (3, 0)


sides = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2)


@given(st.lists(sides, min_size=1, max_size=4))
def test_iou_of_boxes_is_symmetric_within_0_and_1_and_1_with_itself(
    rows: list[tuple[int, int, int, int]],
) -> None:
    boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in rows], dtype=float)
    shares = dets.iou(boxes, boxes)
    assert np.array_equal(shares, shares.T)
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert np.diag(shares) == pytest.approx(np.ones(len(boxes)))
