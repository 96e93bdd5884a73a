"""JSON and TOML as values, with bounds: files may come from strangers.

What the parsers themselves would make of a hostile text is a ``RecursionError``, or a value that
fails much later: half of a surrogate pair, a NUL in a path, a number that can't be printed. Here
each is one sentence with the file and, where the parser knows it, the line.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from itertools import accumulate
from typing import Any

from limner.errors import FileError
from limner.untrusted.regular_files import MB, decoded, read_bytes, read_text, shown

DEEPEST = 100
"""Levels of lists and mappings."""

MOST_BYTES = 64 * MB
"""Of a JSON file, unless its reader says otherwise."""
MOST_TEXT_BYTES = 4 * MB
"""Of TOML and YAML, which people write."""

MOST_BITS = 1000
"""Of a whole number: about 300 digits."""

TOO_DEEP = f"is nested deeper than {DEEPEST} levels: limner reads no further."
_JSON_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_ESCAPED = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
NO_CHARACTER = re.compile("[\0\ud800-\udfff]")
_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


# --- JSON -----------------------------------------------------------------------------------------


def read_json(
    path: str | os.PathLike[str], *, limit: int = MOST_BYTES, what: str = "JSON file"
) -> Any:
    """The value in a JSON file.

    Raises:
        FileMissing: there is no such file.
        FileError: it can't be read, is too large, or as ``parse_json``.
    """
    return parse_json(read_bytes(path, limit=limit, what=what), shown(path))


def read_json_object(
    path: str | os.PathLike[str], *, limit: int = MOST_BYTES, what: str = "JSON file"
) -> dict[str, Any]:
    """The same where it must be an object.

    Raises:
        FileMissing, FileError: as ``read_json``, or another kind of value.
    """
    value = read_json(path, limit=limit, what=what)
    if not isinstance(value, dict):
        raise FileError(f"{shown(path)} should hold a JSON object, and holds {_kind(value)}.")
    return value


def parse_json(content: bytes | str, name: str, *, ours: bool = False) -> Any:
    """A text of JSON as a value.

    Args:
        name: the file's, for sentences.
        ours: limner wrote it, and it may name files whose names aren't UTF-8 (half characters).

    Raises:
        FileError: no JSON, deeper than ``DEEPEST``, or with half of a character or a NUL in it.
    """
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if _depth(data) > DEEPEST:
        raise FileError(f"{name} {TOO_DEEP}")
    try:
        value = json.loads(decoded(data, name))
    except json.JSONDecodeError as error:
        raise FileError(f"{name}:{error.lineno}: This is not JSON: {error.msg}.") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits
        raise FileError(f"{name} is no JSON that can be read: {error}.") from None
    if not ours and _ESCAPED.search(data):
        check_values(value, name)
    return value


def _depth(data: bytes) -> int:
    """Most brackets that are open at once, those in texts left out."""
    brackets = data.translate(None, _NOT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") <= DEEPEST:
        return 0  # not more than that can be open
    brackets = _JSON_STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0)


# --- TOML -----------------------------------------------------------------------------------------


def read_toml(
    path: str | os.PathLike[str], *, limit: int = MOST_TEXT_BYTES, what: str = "TOML file"
) -> dict[str, Any]:
    """The root table of a TOML file.

    Raises:
        FileMissing: there is no such file.
        FileError: it can't be read, is too large, or as ``parse_toml``.
    """
    return parse_toml(read_text(path, limit=limit, what=what), shown(path))


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """A text of TOML as its root table.

    Args:
        name: the file's, for sentences.

    Raises:
        FileError: no TOML, deeper than ``DEEPEST``, or with a NUL in it.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        last = max(text.count("\n") + (not text.endswith("\n")), 1)
        line = int(place[1]) if place and place[1] else last
        reason = _TOML_PLACE.sub("", str(error))
        raise FileError(f"{name}:{line}: This is not TOML: {reason}.") from None
    except RecursionError:
        raise FileError(f"{name} {TOO_DEEP}") from None
    except ValueError as error:  # a number of 5,000 digits
        raise FileError(f"{name} is no TOML that can be read: {error}.") from None
    check_values(table, name)
    return table


# --- what they hold --------------------------------------------------------------------------


def check_values(value: Any, name: str) -> None:
    """Refuse what is deeper than ``DEEPEST``, half of a surrogate pair, a NUL, and a number that
    Python itself would not print."""
    stack = [(value, 0)]
    while stack:
        item, level = stack.pop()
        if isinstance(item, str):
            if match := NO_CHARACTER.search(item):
                raise FileError(f"{name}: {no_character(match[0])}")
        elif isinstance(item, int):
            if item.bit_length() > MOST_BITS:
                raise FileError(f"{name}: There is a number of more than 300 digits.")
        elif isinstance(item, dict | list):
            if level > DEEPEST:
                raise FileError(f"{name} {TOO_DEEP}")
            inside = [*item, *item.values()] if isinstance(item, dict) else item
            stack += [(child, level + 1) for child in inside]


def no_character(character: str) -> str:
    what = "a NUL (\\0)" if character == "\0" else f"half of a character (\\u{ord(character):04x})"
    return f"There is {what} in a text: take it out."


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
