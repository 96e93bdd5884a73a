"""One setting in the text of a configuration file, the rest of which is the user's: comments,
order and blank lines stay."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from limner.cli.configuration import KEYS, Value
from limner.errors import FileError

_HEADER = re.compile(r"\s*\[\s*([\w.\-\" ]+?)\s*\]\s*(#.*)?$")


def with_value(text: str, name: str, value: Value) -> str:
    """The text with a key set; its line is replaced, or a new one added.

    Raises:
        FileError: it is written in a way that only a person can change.
    """
    return _checked(_edited(text, name, f"{{}} = {_toml(value)}"), text, name, value)


def without(text: str, name: str) -> str:
    """The text without a key's line.

    Raises:
        FileError: as ``with_value``.
    """
    return _checked(_edited(text, name, None), text, name, None)


def _toml(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(map(_toml, value))}]"


def _edited(text: str, name: str, line: str | None) -> str:
    """Replace, add or (None) remove the key's line."""
    table, _, key = name.rpartition(".")
    lines = text.splitlines()
    at = next(_places(lines, table, key), None)
    if at is not None:
        number, written = at
        lines[number : number + 1] = [] if line is None else [line.format(written)]
    elif line is not None:
        _add(lines, table, line.format(key))
    return "\n".join(lines) + "\n" if lines else ""


def _places(lines: Sequence[str], table: str, key: str) -> Iterator[tuple[int, str]]:
    """Number of a line that sets the key, and the key as it is written there."""
    current = ""
    for number, line in enumerate(lines):
        if header := _HEADER.fullmatch(line):
            current = header[1].replace('"', "")
            continue
        written = line.partition("=")[0].strip()
        whole = ".".join(filter(None, (current, written.replace('"', "").replace(" ", ""))))
        if "=" in line and whole == ".".join(filter(None, (table, key))):
            yield number, written


def _add(lines: list[str], table: str, line: str) -> None:
    headers = {
        match[1].replace('"', ""): number
        for number, text in enumerate(lines)
        if (match := _HEADER.fullmatch(text))
    }
    if table in headers:
        lines.insert(headers[table] + 1, line)
    elif table:
        lines += [*([""] if lines else []), f"[{table}]", line]
    else:
        first = min(headers.values(), default=len(lines))
        lines[first:first] = [line, ""] if headers else [line]


def _checked(edited: str, text: str, name: str, value: Value | None) -> str:
    """The edited text, if it says what was meant and nothing else."""
    table, _, key = name.rpartition(".")
    wanted = tomllib.loads(text)
    inside = wanted.setdefault(table, {}) if table else wanted
    if value is None:
        inside.pop(key, None)
    else:
        inside[key] = list(value) if isinstance(value, tuple) else value
    if name not in KEYS or _parsed(edited) != _without_empty(wanted):
        raise FileError(f"{name} is written over several lines or in a table of one line: edit it.")
    return edited


def _parsed(text: str) -> dict[str, Any] | None:
    """None: no TOML."""
    try:
        return _without_empty(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return None


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """A table without those in which nothing is left."""
    return {name: value for name, value in table.items() if value != {}}
