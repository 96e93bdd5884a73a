"""What reports say is what happened, in the words of those who read them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from junitparser import Error, Failure, JUnitXml
from PIL import Image

from limner.errors import OptionError
from limner.evaluation.cells.journal import PICTURES
from limner.evaluation.cells.runner import run_cells
from limner.evaluation.suites.baseline import compare, read_statuses
from limner.evaluation.suites.html import report_html
from limner.evaluation.suites.reports import report_csv, report_json, report_junit, report_of

from .doubles import Told, suite_of

SUITE = """\
description: Mugs & <things>
models: [grabcut]
prompts: ["{{thing}}", {find: half}]
cases:
- {image: thing.png, vars: {thing: mug}, mask: mask.png,
   assert: [{type: iou, value: 0.9}, {type: latency, value: 2s}]}
- {image: thing.png, vars: {thing: "\\x08cup"}, mask: mask.png, description: easy,
   assert: [{type: iou, value: 0.3}]}
- {image: gone.png, find: mug, description: "no picture ü"}
"""


@pytest.fixture
def report(tmp_path: Path) -> dict[str, Any]:
    suite = suite_of(tmp_path, SUITE)
    return report_of(suite, run_cells(suite.cells, Told, tmp_path / "kept"))


def test_json_holds_every_cell_with_its_measures(report: dict[str, Any]) -> None:
    read = json.loads(report_json(report))
    assert read["stats"] == {"pass": 3, "fail": 1, "error": 1}
    failed = next(cell for cell in read["cells"] if cell["status"] == "fail")
    assert failed["prompt"] == "find half"
    assert failed["verdicts"][0]["measured"] == 0.5


def test_csv_has_a_row_a_cell_and_a_column_a_measure(report: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert len(rows) == 5
    assert [row["iou 0.9"] for row in rows] == ["1.0", "0.5", "", "", ""]
    assert rows[-1]["status"] == "error"


def test_junit_is_what_junitparser_reads(report: dict[str, Any], tmp_path: Path) -> None:
    """An independent reader finds the same numbers, failures and errors."""
    path = tmp_path / "junit.xml"
    path.write_text(report_junit(report), encoding="utf-8")
    read = JUnitXml.fromfile(str(path))
    assert (read.tests, read.failures, read.errors) == (5, 1, 1)
    suites = list(read)
    assert [suite.name for suite in suites] == [
        "find {{thing}} | grabcut",
        "find half | grabcut",
        "its own | grabcut",
    ]
    cases = [case for suite in suites for case in suite]
    assert len(cases) == 5
    kinds = [type(case.result[0]) if case.result else None for case in cases]
    assert kinds == [None, None, Failure, None, Error]
    assert "at least 0.9 wanted" in cases[2].result[0].message
    assert cases[4].name == "no picture ü"


class Links(HTMLParser):
    """Everything that a page would fetch, and how often each tag comes."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [str(v) for k, v in attrs if k in ("src", "href", "srcset")]


def test_the_page_stands_alone(report: dict[str, Any], tmp_path: Path) -> None:
    """Pictures are in it, nothing is fetched, what people wrote is text and no markup."""
    page = report_html(report, tmp_path / "kept" / PICTURES)
    links = Links()
    links.feed(page)
    assert len(links.fetched) == 4
    assert all(url.startswith("data:image/jpeg;base64,") for url in links.fetched)
    assert "url(" not in page
    assert "@import" not in page
    assert "Mugs &amp; &lt;things&gt;" in page
    assert links.tags.count("article") == 5
    assert page.count('data-failing="1"') == 2
    assert page.count('data-different="1"') == 1, "the first case: the prompts differ on it"
    assert "Failures 2" in page


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
def test_the_page_is_drawn_by_a_browser(report: dict[str, Any], tmp_path: Path) -> None:
    """From disk, only the failures: a picture of the page, in which the case that passes is not."""
    page = tmp_path / "report.html"
    page.write_text(report_html(report, tmp_path / "kept" / PICTURES), encoding="utf-8")

    def shot(mode: str) -> np.ndarray:
        picture = tmp_path / f"{mode}.png"
        command = [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1200,1600",
            f"--screenshot={picture}",
            f"{page.as_uri()}#{mode}",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return np.asarray(Image.open(picture).convert("RGB"))

    every, failing = shot("all"), shot("failing")
    assert every.shape == failing.shape == (1600, 1200, 3)

    def red(pixels: np.ndarray) -> int:
        """Pixels of the thing itself, as far as its tint lets it through."""
        r, g, b = (pixels[..., k].astype(int) for k in range(3))
        return int(((r > g + 40) & (r > b + 40)).sum())

    assert red(every) > red(failing) > 1000


LONG_NAME = "/".join(["a-folder-with-a-long-name"] * 12)
WIDE = f"""\
models: [grabcut]
prompts: [a, b, c, d, e, f]
settings: [{{iterations: 1}}, {{iterations: 2}}]
cases:
- {{image: thing.png, assert: [{{type: count, value: 0}}]}}
- {{image: "gone/{LONG_NAME}.png", assert: [{{type: count, value: 0}}]}}
"""


def wide_page(folder: Path) -> str:
    suite = suite_of(folder, WIDE)
    report = report_of(suite, run_cells(suite.cells, Told, folder / "kept"))
    return report_html(report, folder / "kept" / PICTURES)


def test_a_long_error_is_folded_and_many_columns_are_drawn_small(
    report: dict[str, Any], tmp_path: Path
) -> None:
    """All of the sentence is in the page, to be opened by keyboard or click; few columns stay
    as large as they were."""
    page = wide_page(tmp_path)
    assert '<body data-mode="all" class="dense">' in page
    assert page.count('<details class="long">') == 12 + 1, "each error, and the case's name"
    assert LONG_NAME in page
    assert '<body data-mode="all">' in report_html(report, tmp_path / "kept" / PICTURES)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the page with")
def test_twelve_columns_stand_side_by_side_on_a_screen_of_1280_pixels(tmp_path: Path) -> None:
    """Four did, and the one long error made its row higher than the screen."""
    script = """<script>document.title = JSON.stringify([
      [...document.querySelectorAll("thead th")].filter((h) => {
        const box = h.getBoundingClientRect(); return box.right <= innerWidth && box.width > 60;
      }).length,
      Math.max(...[...document.querySelectorAll("tbody tr")].map((r) => r.offsetHeight)),
    ]);</script></body>"""
    page = tmp_path / "wide.html"
    page.write_text(wide_page(tmp_path).replace("</body>", script), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,900", page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    columns, highest = json.loads(title)
    assert columns == 13
    assert highest < 300


def test_only_what_became_worse_is_a_regression(report: dict[str, Any], tmp_path: Path) -> None:
    """A cell that failed before and fails now is no news; a new one that fails is said apart."""
    path = tmp_path / "old.json"
    path.write_text(report_json(report))
    before = read_statuses(path)
    same = compare(report, before)
    assert (same.regressions, same.improvements, same.new_failures, same.gone) == ((), (), (), ())
    names = list(before)
    before[names[0]] = "fail"  # better now
    before[names[1]] = "pass"  # worse now
    del before[names[4]]  # new now, and an error
    before["a case that was dropped"] = "pass"
    changed = compare(report, before)
    assert changed.regressions == ((names[1], "pass", "fail"),)
    assert changed.improvements == ((names[0], "fail", "pass"),)
    assert changed.new_failures == (names[4],)
    assert changed.gone == ("a case that was dropped",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "There is no report"),
        ("{}", "no report of limner eval"),
        ("[1", "no report"),
        ('{"format": 99, "limner": "9.0", "cells": []}', "newer limner, 9.0"),
        ('{"format": 1, "cells": [{"name": "a", "status": "fine"}]}', "no report"),
    ],
)
def test_a_baseline_that_is_none_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "old.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OptionError, match=said):
        read_statuses(path)
