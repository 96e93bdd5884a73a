"""TOML whose every value knows its line, as the nodes that ``ConfigNode`` reads.

``tomllib`` says whether a file is TOML and what each scalar means, but not where anything stands:
that is found here. Because the text is known to be TOML, finding takes no care of what is none.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Callable
from typing import Any

import yaml

from limner.untrusted.json_toml import parse_toml

_TAG = "tag:yaml.org,2002:"
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRINGS = (
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\]|\\.)*"'),
    re.compile(r"'[^']*'"),
)


def compose_toml(text: str, name: str) -> yaml.MappingNode:
    """A text's root table.

    Raises:
        FileError: as ``parse_toml``.
    """
    parse_toml(text, name)
    return nodes(text)


def nodes(text: str) -> yaml.MappingNode:
    """The root table of a text that ``tomllib`` took."""
    return _Scanner(text.replace("\r\n", "\n")).document()


def scalar(value: Any, mark: yaml.Mark) -> yaml.ScalarNode:
    """A value as the node that YAML would have made of it."""
    if isinstance(value, bool):
        return yaml.ScalarNode(f"{_TAG}bool", str(value).lower(), mark)
    if isinstance(value, int):
        return yaml.ScalarNode(f"{_TAG}int", str(value), mark)
    if isinstance(value, float):
        text = repr(value).replace("inf", ".inf").replace("nan", ".nan")
        if "e" in text and "." not in text:  # YAML's numbers have a point: 5e-324 would be a word
            text = text.replace("e", ".0e")
        return yaml.ScalarNode(f"{_TAG}float", text, mark)
    return yaml.ScalarNode(f"{_TAG}str", str(value), mark)  # dates are words here


def table(pairs: list[tuple[yaml.Node, yaml.Node]], mark: yaml.Mark) -> yaml.MappingNode:
    """A table of keys and values that stand anywhere."""
    return yaml.MappingNode(f"{_TAG}map", pairs, mark)


class _Scanner:
    """Goes through a text once; ``at`` is the next character."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._inside: dict[int, dict[str, yaml.Node]] = {}
        """What each table has, by the table's ``id``, so that no key is looked for among all."""

    def document(self) -> yaml.MappingNode:
        root = here = table([], self._mark())
        while self._skip():
            if self.text.startswith("[[", self.at):
                self.at += 2
                *path, last = self._keys()
                here = self._appended(self._inner(root, path), last)
                self.at = self.text.index("]]", self.at) + 2
            elif self.text[self.at] == "[":
                self.at += 1
                here = self._inner(root, self._keys())
                self.at = self.text.index("]", self.at) + 1
            else:
                self._pair(here)
        return root

    def _mark(self) -> yaml.Mark:
        line = bisect.bisect_left(self._ends, self.at)
        return yaml.Mark("", self.at, line, 0, None, 0)

    def _skip(self) -> bool:
        """Over blanks, line ends and comments; whether anything is left."""
        blanks = _SPACE.match(self.text, self.at)
        self.at = blanks.end() if blanks else self.at
        return self.at < len(self.text)

    def _keys(self) -> list[yaml.ScalarNode]:
        """The parts of a key with dots."""
        keys = []
        while True:
            self._skip()
            mark = self._mark()
            if self.text[self.at] in "\"'":
                keys.append(scalar(self._string(), mark))
            else:
                word = _WORD.match(self.text, self.at)
                assert word is not None
                self.at = word.end()
                keys.append(scalar(word[0], mark))
            self._skip()
            if self.text[self.at] != ".":
                return keys
            self.at += 1

    def _pair(self, into: yaml.MappingNode) -> None:
        *path, last = self._keys()
        self.at += 1  # the "="
        self._skip()
        table_of = self._inner(into, path)
        self._add(table_of, last, self._value())

    def _value(self) -> yaml.Node:
        mark, first = self._mark(), self.text[self.at]
        if first in "\"'":
            return scalar(self._string(), mark)
        if first == "[":
            items: list[yaml.Node] = []
            self._each("]", lambda: items.append(self._value()))
            return yaml.SequenceNode(f"{_TAG}seq", items, mark)
        if first == "{":
            inner = table([], mark)
            self._each("}", lambda: self._pair(inner))
            return inner
        word = _SCALAR.match(self.text, self.at)
        assert word is not None
        self.at = word.end()
        return scalar(_value_of(word[0].strip()), mark)

    def _each(self, end: str, read: Callable[[], None]) -> None:
        """Reads what stands between brackets, with commas between."""
        self.at += 1
        while self._skip() and self.text[self.at] != end:
            read()
            self._skip()
            self.at += self.text[self.at] == ","
        self.at += 1

    def _string(self) -> str:
        for form in _STRINGS:
            if match := form.match(self.text, self.at):
                self.at = match.end()
                return str(_value_of(match[0]))
        raise AssertionError(self.text[self.at : self.at + 20])

    def _inner(self, node: yaml.MappingNode, path: list[yaml.ScalarNode]) -> yaml.MappingNode:
        """The table that a path of keys leads to, made where there is none; of several the last."""
        for key in path:
            inner = self._inside.get(id(node), {}).get(key.value)
            if isinstance(inner, yaml.SequenceNode):
                inner = inner.value[-1]
            if inner is None:
                inner = table([], key.start_mark)
                self._add(node, key, inner)
            assert isinstance(inner, yaml.MappingNode)
            node = inner
        return node

    def _appended(self, node: yaml.MappingNode, key: yaml.ScalarNode) -> yaml.MappingNode:
        """A new last table of the list of tables that a key names."""
        last = table([], key.start_mark)
        tables = self._inside.get(id(node), {}).get(key.value)
        if tables is None:
            self._add(node, key, yaml.SequenceNode(f"{_TAG}seq", [last], key.start_mark))
        else:
            tables.value.append(last)
        return last

    def _add(self, node: yaml.MappingNode, key: yaml.ScalarNode, value: yaml.Node) -> None:
        node.value.append((key, value))
        self._inside.setdefault(id(node), {})[key.value] = value


def _value_of(text: str) -> Any:
    return tomllib.loads(f"x = {text}")["x"]
