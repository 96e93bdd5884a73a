"""JSON, TOML and YAML from strangers: a value, or one sentence; never a crash, never all memory."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import FileError, FileMissing
from limner.untrusted.json_toml import (
    parse_json,
    parse_toml,
    read_json,
    read_json_object,
    read_toml,
)
from limner.untrusted.yaml_documents import MOST_NODES, compose_yaml, parse_yaml, read_yaml

PARSERS = {"json": parse_json, "toml": parse_toml, "yaml": parse_yaml}


def laughs(levels: int) -> str:
    """Each level names the one before nine times."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, levels)]
    return "\n".join(lines)


HOSTILE: dict[str, tuple[str, str, str]] = {
    "JSON nested 100,000 deep": ("json", "[" * 100_000 + "]" * 100_000, "nested deeper"),
    "JSON nested just too deep": ("json", "[" * 101 + "]" * 101, "nested deeper"),
    "JSON of open brackets": ("json", '{"a":' * 5000, "nested deeper"),
    "JSON cut off in a text of quotes": ("json", '"' + '\\"' * 200_000, "file:1: This is not JSON"),
    # Python 3.13 names the comma's line, those before it the next one
    "JSON with a comma too many": ("json", '{\n"a": 1,\n}', "file:[23]: This is not JSON"),
    "JSON with half of a character": ("json", '{"a": "\\ud800"}', r"half of a character \(\\ud800"),
    "JSON with a NUL in a key": ("json", '{"a\\u0000": 1}', "a NUL"),
    "JSON with a number of 6,000 digits": ("json", "1" * 6000, "no JSON that can be read"),
    "JSON that is empty": ("json", "", "file:1: This is not JSON"),
    "TOML nested 300 deep": ("toml", "a=" + "{a=" * 300 + "1" + "}" * 300, "nested deeper"),
    "TOML nested 5,000 deep": ("toml", "a=" + "[" * 5000 + "]" * 5000, "nested deeper"),
    "TOML with a key of 300 parts": ("toml", ".".join("a" * 300) + "=1", "nested deeper"),
    "TOML with a NUL": ("toml", 'a = "\\u0000"', "a NUL"),
    "TOML with half a table": ("toml", "a = 1\n[b", "file:2: This is not TOML"),
    "TOML with 9,000 hexadecimal digits": ("toml", "a = 0x" + "f" * 9000, "300 digits"),
    "YAML that laughs": ("yaml", laughs(9), "file:6: Aliases written out"),
    "YAML inside itself": ("yaml", "a: &a [1, *a]", r"file:1: \*a stands inside"),
    "YAML nested 100,000 deep": ("yaml", "[" * 100_000, "nested deeper"),
    "YAML of dashes": ("yaml", "- " * 100_000, "nested deeper"),
    "YAML with a list as a key": ("yaml", "[1, 2]: 3", "file:1: This is not YAML"),
    "YAML with a mapping as a key": ("yaml", "a: 1\n? {a: b}\n: c", "file:2: This is not YAML"),
    "YAML with half of a character": ("yaml", 'a: "\\ud800"', "file:1: "),
    "YAML with an escaped NUL": ("yaml", 'a: b\nc: "\\0"', "file:2: There is a NUL"),
    "YAML with a bare NUL": ("yaml", "a: \0", "file:1: This is not YAML"),
    "YAML with a day that never was": ("yaml", "a: 2026-99-99", "can't be read"),
    "YAML with sixty to the five thousandth": ("yaml", "a: 1" + ":59" * 5000, "300 digits"),
    "YAML of two documents": ("yaml", "a: 1\n---\nb: 2", "file:2: This is not YAML"),
    "YAML that runs a command": ("yaml", "a: !!python/object:os.system x", "file:1: "),
    "YAML that merges a number": ("yaml", "<<: 1", "file:1: This is not YAML"),
    "YAML beyond Unicode": ("yaml", 'a: "\\Uffffffff"', "YAML"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_one_sentence_with_the_file(name: str) -> None:
    kind, text, said = HOSTILE[name]
    with pytest.raises(FileError, match=said) as caught:
        PARSERS[kind](text, "file")
    assert str(caught.value).startswith("file")
    str(caught.value).encode("utf-8")


PLAIN: dict[str, tuple[str, str, Any]] = {
    "brackets in a JSON text aren't levels": ("json", json.dumps("[" * 5000), "[" * 5000),
    "JSON as deep as may be": ("json", "[" * 100 + "]" * 100, None),
    "a pair of surrogates is a character": ("json", '"\\ud83d\\ude00"', "😀"),
    "an escaped backslash before u0000": ("json", '"\\\\u0000"', "\\u0000"),
    "TOML as deep as may be": ("toml", "a=" + "[" * 99 + "]" * 99, None),
    "aliases that are few": ("yaml", "a: &a [1]\nb: [*a, *a]", {"a": [1], "b": [[1], [1]]}),
    "a merge": ("yaml", "a: &a {x: 1}\nb: {<<: *a, y: 2}", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
    "nothing": ("yaml", "", None),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_within_the_bounds_is_read(name: str) -> None:
    kind, text, expected = PLAIN[name]
    value = PARSERS[kind](text, "file")
    assert expected is None or value == expected


def test_values_of_aliases_count_wherever_they_stand() -> None:
    """The bound is on what a reader would walk through: the same list a thousand times is a
    thousand lists."""
    list_of_500 = f"a: &a [{', '.join(['x'] * 500)}]\n"
    uses = MOST_NODES // 500
    assert compose_yaml(list_of_500 + "b: [" + "*a, " * (uses - 10) + "]", "file") is not None
    with pytest.raises(FileError, match="Aliases written out"):
        compose_yaml(list_of_500 + "b: [" + "*a, " * uses + "]", "file")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab[]{}\"\\"), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_json_is_read_as_the_standard_library_reads_it(value: Any) -> None:
    assert parse_json(json.dumps(value), "file") == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode(), "file") == value


@given(st.binary(max_size=60) | st.text('[]{}",:\\ud80&*!-? \na1', max_size=40).map(str.encode))
def test_any_bytes_are_a_value_or_a_sentence(content: bytes) -> None:
    text = content.decode("latin-1")
    for parse in PARSERS.values():
        with contextlib.suppress(FileError):
            parse(text, "file")


def test_readers_name_the_file_and_an_object_is_an_object(tmp_path: Path) -> None:
    for reader in (read_json, read_json_object, read_toml, read_yaml):
        with pytest.raises(FileMissing, match=r"There is no .*/none"):
            reader(tmp_path / "none")
    (tmp_path / "list.json").write_text("[]")
    assert read_json(tmp_path / "list.json") == []
    with pytest.raises(FileError, match=r"list\.json should hold a JSON object, and holds a list"):
        read_json_object(tmp_path / "list.json")
