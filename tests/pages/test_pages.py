"""What every page has in common: one base and style, text that stays text, nothing fetched."""

from __future__ import annotations

import json
import re

import pytest

from limner.pages import TEMPLATES, render, script_json

PAGES = ("demo", "suite", "sweep")
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028&{{ 7 * 7 }}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_on_the_base_and_fetches_nothing(name: str) -> None:
    text = (TEMPLATES / f"{name}.html").read_text(encoding="utf-8")
    assert text.startswith('{% extends "base.html" %}')
    assert not re.search(r'(src|href)="https?:|url\(|@import|fetch\(', text)
    assert not re.search(r"\|\s*safe|autoescape", text), "nothing is let through unescaped"


def test_words_are_shown_as_words_and_data_never_ends_its_script() -> None:
    page = render(
        "sweep", title=HOSTILE, recipe=HOSTILE, made=HOSTILE, data=script_json({"a": HOSTILE})
    )
    assert "<img src=x" not in page
    assert page.count("</script>") == 2, "the data's own and the program's"
    assert "49" not in page.partition("<header>")[2].partition("</header>")[0]
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data) == {"a": HOSTILE}
