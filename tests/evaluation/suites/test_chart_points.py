"""The charts of a suite's page: what is drawn of which cells; people's words are no markup."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from limner.evaluation.suites.chart_points import LINES, charts_of
from limner.pages import render


def cell(prompt: str, value: float | None, **more: Any) -> dict[str, Any]:
    verdict = {"type": "iou", "unit": "", "measured": value, "pass": (value or 0) > 0.5}
    timed = {"type": "latency", "unit": "s", "measured": 3.0, "pass": True}
    made = {"case": "a<b>", "prompt": prompt, "models": "sam", "settings": "", "set": {}}
    return {**made, "verdicts": [verdict, timed], **more}


def page_of(cells: list[dict[str, Any]]) -> str:
    return render("charts", charts=charts_of(cells))


def drawn(cells: list[dict[str, Any]]) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{page_of(cells)}</div>")


def test_a_row_of_dots_a_column_with_what_failed_told_apart() -> None:
    root = drawn([cell("x & y", 0.0), cell("x & y", 1.0), cell("z", 0.75), cell("z", None)])
    assert [each.text for each in root.iter("figcaption")] == ["iou by column"]
    assert [e.text for e in root.iter("div") if e.get("class") == "name"] == ["x & y", "z"]
    assert [e.text for e in root.iter("div") if e.get("class") == "mean"] == [
        "0.50",
        "0.75",
        "mean",
    ]
    circles = list(root.iter("circle"))
    assert [(c.get("class"), c.get("cx")) for c in circles] == [
        ("fail", "6.0"),
        ("pass", "314.0"),
        ("pass", "237.0"),
    ]
    assert circles[0][0].text == "a<b>: 0"


def test_a_line_over_a_setting_that_is_a_number() -> None:
    """Cells of one setting are one point; words and lone values are none."""
    cells = [
        cell("p", value, set={"threshold": at, "select": ["largest"], "on": True})
        for at, value in ((0.1, 0.2), (0.1, 0.4), (0.5, 0.9))
    ]
    root = drawn([*cells, cell("q", 0.1, set={"threshold": 0.3})])
    captions = [each.text for each in root.iter("figcaption")]
    assert captions[0] == "iou by threshold, mean of the cases"
    assert not [
        caption for caption in captions if "select" in str(caption) or "on," in str(caption)
    ]
    (line,) = [each for each in root.iter("g") if each.get("class") == "line0"]
    assert [each[0].text for each in line.iter("circle")] == ["0.1: 0.3", "0.5: 0.9"]


@pytest.mark.parametrize(
    ("cells", "figures"),
    [
        ([], 0),
        ([cell("p", 0.5), cell("q", 0.5)], 0),
        ([cell("p", None)] * 9, 0),
        ([cell("p", 2.5)] * 3, 1),
        ([cell(str(k), 0.5) for k in range(50)], 0),
        ([cell(str(k), 0.5, set={"a": a}) for k in range(LINES + 1) for a in (1, 2)], 1),
    ],
)
def test_what_would_say_nothing_is_not_drawn(cells: list[dict[str, Any]], figures: int) -> None:
    assert page_of(cells).count("<figure>") == figures
