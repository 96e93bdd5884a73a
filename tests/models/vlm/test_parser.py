"""Replies of vision-language models are read as they were meant or refused; no box is made up."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from limner.models.vlm.parser import Unreadable, read
from limner.models.vlm.questions import question, schema
from limner.ops.box_formats import CONVENTIONS
from limner.registry.vlm_formats import TABLE, VlmFormat, vlm_format_of

PIXELS = VlmFormat(CONVENTIONS["xyxy"], "asis")
THOUSANDTHS = VlmFormat(CONVENTIONS["xyxy_1000"], "asis")
GEMINI = vlm_format_of("gemini-2.5-pro")
SIZE = (640, 480)
DOG = '{"bbox_2d": [10, 20, 110, 220], "label": "the dog"}'
CAT = '{"bbox_2d": [300, 100, 400, 300], "label": "a cat"}'
PHRASES = ("the dog", "a cat")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'{{"boxes": [{DOG}, {CAT}]}}', id="as asked"),
        pytest.param(f"[{DOG}, {CAT}]", id="bare list, as Qwen learned it"),
        pytest.param(f"```json\n[{DOG}, {CAT}]\n```", id="fenced"),
        pytest.param(f"Here they are:\n```json\n[{DOG},\n {CAT}]\n```\nAnything else?", id="talk"),
        pytest.param(f"I found two: [{DOG}, {CAT}].", id="in a sentence"),
        pytest.param(f"<think>[1, 2] or {DOG}?</think>\n[{DOG}, {CAT}]", id="thinking aloud"),
        pytest.param(f"[{DOG}, {CAT}]".replace("the dog", "Dog."), id="label without article"),
    ],
)
def test_what_is_meant_is_read(text: str) -> None:
    reply = read(text, PHRASES, PIXELS, SIZE)
    assert reply.of(0).tolist() == [[10, 20, 110, 220]]
    assert reply.of(1).tolist() == [[300, 100, 400, 300]]


@pytest.mark.parametrize("text", ["[]", '{"boxes": []}', "```\n[]\n```", "```json\n[]\n```"])
def test_nothing_is_an_answer(text: str) -> None:
    assert len(read(text, PHRASES, PIXELS, SIZE).xyxy) == 0


def test_a_single_box_without_a_label_answers_the_only_phrase() -> None:
    assert read('{"bbox_2d": [1, 2, 30, 40]}', ["a cat"], PIXELS, SIZE).of(0).tolist() == [
        [1, 2, 30, 40]
    ]
    with pytest.raises(Unreadable, match="wasn't asked for"):
        read('{"bbox_2d": [1, 2, 30, 40]}', PHRASES, PIXELS, SIZE)


def boxed(*numbers: Any, key: str = "bbox_2d", label: str = "the dog") -> str:
    return json.dumps({"boxes": [{key: list(numbers), "label": label}]})


@pytest.mark.parametrize(
    ("text", "manner", "why"),
    [
        pytest.param("", PIXELS, "empty", id="empty"),
        pytest.param("  \n", PIXELS, "empty", id="blank"),
        pytest.param("I see a dog at 10, 20, 110, 220.", PIXELS, "JSON", id="prose"),
        pytest.param("There is nothing: [] or so.", PIXELS, "JSON", id="nothing in passing"),
        pytest.param(f"[{DOG}, {CAT[:20]}", PIXELS, "JSON", id="cut off"),
        pytest.param(f"```json\n[{DOG}, {CAT[:20]}", PIXELS, "code block", id="cut off in a fence"),
        pytest.param(f"<think>maybe {DOG}", PIXELS, "thoughts", id="cut off thinking"),
        pytest.param(f"{DOG} or {CAT}", PIXELS, "several", id="two answers"),
        pytest.param(f"```\n[{DOG}]\n```\n```\n[{CAT}]\n```", PIXELS, "several", id="two fences"),
        pytest.param(boxed(110, 20, 10, 220), PIXELS, "negative width", id="swapped"),
        pytest.param(boxed(10, 20, 700, 220), PIXELS, "reaches out", id="out of range"),
        pytest.param(boxed(10, 20, 642, 220), PIXELS, "reaches out", id="a little out of range"),
        pytest.param(boxed(10, 20, 990, 220), PIXELS, "can't be xyxy", id="thousandths for pixels"),
        pytest.param(boxed(-3, 20, 100, 220), PIXELS, "reaches out", id="negative"),
        pytest.param(boxed(0.1, 0.1, 0.4, 0.9), PIXELS, "no area", id="parts for pixels"),
        pytest.param(boxed(0.1, 0.1, 0.4, 0.9), THOUSANDTHS, "whole", id="parts for thousandths"),
        pytest.param(boxed(10, 20, 1100, 220), THOUSANDTHS, "range", id="pixels for thousandths"),
        pytest.param(boxed(10, 20, 10, 220), PIXELS, "no area", id="flat"),
        pytest.param(boxed(10, 20, 110), PIXELS, "four numbers", id="three numbers"),
        pytest.param(boxed(10, 20, 110, "220"), PIXELS, "four numbers", id="text as number"),
        pytest.param(boxed(10, 20, 110, None), PIXELS, "four numbers", id="null"),
        pytest.param(boxed(10, 20, 110, True), PIXELS, "four numbers", id="true"),
        pytest.param(boxed(10, 20, 110, 10**400), PIXELS, "four numbers", id="endless"),
        pytest.param(boxed(10, 20, 110, 220, label="the horse"), PIXELS, "horse", id="not asked"),
        pytest.param(boxed(10, 20, 110, 220, key="box_2d"), PIXELS, "list of boxes", id="key"),
        pytest.param(boxed(10, 20, 110, 220), GEMINI, "list of boxes", id="x first from Gemini"),
        pytest.param('{"boxes": 3}', PIXELS, "list of boxes", id="no list"),
        pytest.param('[{"bbox_2d": [NaN, 1, 2, 3], "label": "a cat"}]', PIXELS, "JSON", id="NaN"),
        pytest.param("[" * 100_000, PIXELS, "JSON", id="deep"),
    ],
)
def test_what_can_not_be_meant_is_refused(text: str, manner: VlmFormat, why: str) -> None:
    """As a whole, with the reason: half of a wrong answer is no answer."""
    with pytest.raises(Unreadable, match=why):
        read(text, PHRASES, manner, SIZE)
    if text.startswith('{"boxes": [{'):
        mixed = text.replace("]}", f", {CAT}]}}") if text.endswith("]}") else text
        with pytest.raises(Unreadable):
            read(mixed, PHRASES, manner, SIZE)


def test_a_box_a_rounding_past_the_edge_is_clipped() -> None:
    assert read(boxed(-1, 0, 640.6, 481), PHRASES, PIXELS, SIZE).xyxy.tolist() == [[0, 0, 640, 480]]


# ---- five hundred fuzzed replies

numbers = st.one_of(
    st.integers(-50, 1100), st.floats(-0.5, 1.5), st.sampled_from([0, 1, 480, 640, 1000, 10**12])
)
boxes = st.fixed_dictionaries(
    {"bbox_2d": st.lists(numbers, min_size=4, max_size=4), "label": st.sampled_from(PHRASES)}
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.sampled_from([*PHRASES, "bbox_2d"]) | boxes,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["boxes", "bbox_2d", "label", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
WRAPPED = ("{}", "```json\n{}\n```", "Sure! {}", "```\n{}", "<think>hm {} </think>{}", "{} {}")


@st.composite
def replies(draw: st.DrawFn) -> str:
    """What a model might write on a bad day: JSON of sorts, in words, cut and scratched."""
    value = draw(st.lists(boxes, max_size=3) | anything)
    said = json.dumps(value)
    text = draw(st.sampled_from(WRAPPED)).replace("{}", said)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 3))
        text = text[:at] + draw(st.text(max_size=2)) + text[at + gone :]
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


FOUR = re.compile(r"\[\s*([^\[\],]+),\s*([^\[\],]+),\s*([^\[\],]+),\s*([^\[\],]+?)\s*\]")


@settings(max_examples=500)
@given(text=st.text() | replies(), manner=st.sampled_from([PIXELS, THOUSANDTHS]))
@example(text='[{"bbox_2d": [1, 2, 3, 4], "label": "a cat"}', manner=PIXELS)
def test_a_fuzzed_reply_gives_no_traceback_and_no_invented_box(
    text: str, manner: VlmFormat
) -> None:
    """Every box that comes back stands in the text, four numbers in a row, inside the picture."""
    try:
        reply = read(text, PHRASES, manner, SIZE)
    except Unreadable:
        return
    written = []
    for row in FOUR.findall(text):
        try:
            written.append([float(number) for number in row])
        except ValueError:
            continue
    scale = np.array((1, 1, 1, 1) if manner is PIXELS else (0.64, 0.48, 0.64, 0.48))
    for xyxy in reply.xyxy:
        assert any(np.abs(np.array(row) * scale - xyxy).max() <= 1 for row in written), text
        assert (xyxy[:2] < xyxy[2:]).any()
        assert (xyxy >= 0).all()
        assert (xyxy <= (640, 480, 640, 480)).all()


# ---- what is asked


def test_phrases_are_asked_word_for_word_negations_too() -> None:
    """Quotes in a phrase end nothing, and the schema lets no other label through."""
    phrases = ["the mug behind the laptop that is not red", 'a sign that says "no"']
    words = question(phrases, PIXELS, SIZE)
    assert '- "the mug behind the laptop that is not red"' in words
    assert '- "a sign that says \\"no\\""' in words
    assert "640 wide and 480 high" in words
    box = schema(phrases, PIXELS)["properties"]["boxes"]["items"]
    assert box["properties"]["label"]["enum"] == phrases
    assert box["properties"]["bbox_2d"]["items"] == {"type": "number"}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_words_say_how_every_convention_writes(name: str) -> None:
    convention = CONVENTIONS[name]
    words = question(["a cat"], VlmFormat(convention, "asis"), SIZE)
    first = {"yxyx": "[y_min", "cxcywh": "[x_centre"}.get(convention.order, "[x_min")
    assert first in words
    unit = "pixels" if convention.full is None else "from 0 to 1,"
    assert unit in words or f"from 0 to {convention.highest}" in words


@pytest.mark.parametrize(
    ("model", "convention", "fit"),
    [
        ("gpt-4o-mini", "xyxy", "openai"),
        ("gpt-4.1", "xyxy", "openai"),
        ("gpt-5", "xyxy_norm", "openai"),
        ("gpt-5-2025-08-07", "xyxy_norm", "openai"),
        ("openai/gpt-5.1", "xyxy_norm", "openai"),
        ("gpt-5.2-pro", "xyxy", "openai"),
        ("gpt-5.12", "xyxy", "openai"),
        ("anthropic/claude-opus-4.1", "xyxy", "claude"),
        ("models/gemini-3-pro-preview", "yxyx_1000", "within2048"),
        ("Qwen/Qwen2.5-VL-72B-Instruct-AWQ", "xyxy", "qwen28"),
        ("qwen2.5vl:3b", "xyxy", "qwen28"),
        ("qwen/qwen-2.5-vl-7b-instruct", "xyxy", "qwen28"),
        ("Qwen2-VL-2B", "xyxy_1000", "qwen28"),
        ("qwen3-vl:235b-cloud", "xyxy_1000", "qwen32"),
        ("internvl3.5-8b", "xyxy_1000", "within2048"),
    ],
)
def test_a_name_says_how_a_model_writes(model: str, convention: str, fit: str) -> None:
    manner = vlm_format_of(model)
    assert (manner.convention.name, manner.fit) == (convention, fit)
    assert manner.key == ("box_2d" if "gemini" in model else "bbox_2d")


def test_every_row_of_the_table_can_be_meant() -> None:
    assert len(TABLE) == 9
    for row in TABLE:
        assert row.convention in CONVENTIONS
        assert vlm_format_of("x", row.convention, row.fit).frame((300, 200)).source_wh == (300, 200)
