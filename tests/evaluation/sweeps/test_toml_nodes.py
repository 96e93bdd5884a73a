"""Every value of a TOML file is found in its line, and means what ``tomllib`` says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner.errors import RecipeError
from limner.evaluation.cells.config_nodes import ConfigNode, read_config
from limner.evaluation.sweeps.recipe import RECIPE_FILE
from limner.evaluation.sweeps.toml_nodes import nodes

TEXT = '''\
# a comment with [brackets] and x = 1
title = "a # no comment, \\"quoted\\""  # one

[edit]
find = {text = "apple", not = 'a "pear"'}
paint = """
a red
car"""
steps = [1, 2,
  3,  # the third
  4,
]

[sweep]
models.inpaint = ["a]b", "c,d"]
"models.detect" = [ ]
strength = { from = 0.4, to = 1e0, log = true }
[[images]]
image = "a.png"
[[images]]
image = "b.png"
  [images.more]
  when = 1979-05-27 07:32:00
'''


def test_every_value_stands_in_its_line() -> None:
    """What errors point at: inside arrays and inline tables, after a text of several lines."""
    root = ConfigNode(nodes(TEXT), Path("r.toml"))
    lines = {}

    def walk(spot: ConfigNode, name: str) -> None:
        lines[name] = spot.line
        if spot.is_mapping:
            for key, value in spot.mapping("It", ()).items():
                walk(value, f"{name}.{key}")
        elif spot.is_list and spot.node.value:
            for k, item in enumerate(spot.items("It")):
                walk(item, f"{name}.{k}")

    walk(root, "")
    assert lines[".title"] == 2
    assert (lines[".edit.find.not"], lines[".edit.paint"]) == (5, 6)
    assert [lines[f".edit.steps.{k}"] for k in range(4)] == [9, 9, 10, 11]
    assert lines[".sweep.models.inpaint.1"] == 15
    assert lines[".sweep.models.detect"] == 16
    assert lines[".sweep.strength.log"] == 17
    assert (lines[".images.0.image"], lines[".images.1.image"]) == (19, 21)
    assert lines[".images.1.more.when"] == 23


def _as_words(value: Any) -> Any:
    """Dates are words in a recipe."""
    if isinstance(value, dict):
        return {key: _as_words(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_words(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def test_values_are_those_of_tomllib() -> None:
    read = ConfigNode(nodes(TEXT), Path("r.toml")).plain()
    assert read.pop("sweep") == {
        "models": {"inpaint": ["a]b", "c,d"]},
        "models.detect": [],
        "strength": {"from": 0.4, "to": 1.0, "log": True},
    }
    known = tomllib.loads(TEXT)
    del known["sweep"]
    assert read == _as_words(known)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
scalars = st.one_of(
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.booleans(),
    words,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)


def _written(value: Any, gap: str) -> str:
    """A value as TOML, with blanks and line ends where they may stand."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = (f"{_quoted(key)} {gap}= {_written(v, '')}" for key, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        breaks = f"{gap}\n # ,]\n"
        return "[" + ",".join(breaks + _written(v, gap) for v in value) + f"{gap}]"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@settings(max_examples=40)
@given(st.dictionaries(words, values, max_size=5), st.sampled_from(["", " ", "\t "]))
def test_any_document_reads_as_tomllib_reads_it(document: dict[str, Any], gap: str) -> None:
    text = "".join(
        f"{_quoted(key)}{gap} = {_written(value, gap)}{gap}# x\n" for key, value in document.items()
    )
    assert tomllib.loads(text) == document, "the test's own writer"
    assert ConfigNode(nodes(text), Path("r.toml")).plain() == document


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "There is no recipe .*r.toml. It is a TOML file"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"a = 1\nb = \n", "r.toml:2: This is not TOML: Invalid value"),
        (b"a = 1\n\nc = [1,\n", "r.toml:3: This is not TOML"),
        (b"a = 1\na = 2\n", "r.toml:2: This is not TOML: Cannot overwrite a value"),
        (b"[a]\n[a]\n", r"r.toml:2: This is not TOML: Cannot declare"),
        (b"a = " + b"[" * 5000, "r.toml is nested deeper"),
        (b"x=" + b"{a=" * 300 + b"1" + b"}" * 300, "r.toml is nested deeper"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        read_config(path, RECIPE_FILE)
