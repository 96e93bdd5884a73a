"""TOML whose every value knows its line, as the nodes that ``suites.lines.ConfigNode`` reads.

``tomllib`` says whether a file is TOML and what each scalar means, but not where anything stands:
that is found here. Because the text is known to be TOML, finding takes no care of what is none.
"""

from __future__ import annotations

import bisect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from limner.errors import FileError, FileMissing, RecipeError
from limner.evaluation.cells.yaml_nodes import ConfigNode
from limner.untrusted.json_toml import MOST_TEXT_BYTES, parse_toml
from limner.untrusted.regular_files import read_text, shown

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


def read_toml(path: Path) -> ConfigNode:
    """A file's root table.

    Raises:
        RecipeError: no such file, not UTF-8, or not TOML; with the line where there is one.
    """
    try:
        text = read_text(path, limit=MOST_TEXT_BYTES, what="recipe")
        parse_toml(text, shown(path))
    except FileMissing as error:
        raise RecipeError(f"{error} It is a TOML file.") from None
    except FileError as error:
        raise RecipeError(str(error)) from None
    return ConfigNode(nodes(text), path, refusal=RecipeError)


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
        said = repr(value).replace("inf", ".inf").replace("nan", ".nan")
        if "e" in said and "." not in said:  # YAML's numbers have a point: 5e-324 would be a word
            said = said.replace("e", ".0e")
        return yaml.ScalarNode(f"{_TAG}float", said, mark)
    return yaml.ScalarNode(f"{_TAG}str", str(value), mark)  # dates are words here


def table(pairs: list[tuple[yaml.Node, yaml.Node]], mark: yaml.Mark) -> yaml.MappingNode:
    """A table of keys and values that stand anywhere."""
    return yaml.MappingNode(f"{_TAG}map", pairs, mark)


class _Scanner:
    """Goes through a text once; ``at`` is the next character."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
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
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
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
                found = _WORD.match(self.text, self.at)
                assert found is not None
                self.at = found.end()
                keys.append(scalar(found[0], mark))
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
            made = table([], mark)
            self._each("}", lambda: self._pair(made))
            return made
        found = _SCALAR.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return scalar(_meant(found[0].strip()), mark)

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
            if found := form.match(self.text, self.at):
                self.at = found.end()
                return str(_meant(found[0]))
        raise AssertionError(self.text[self.at : self.at + 20])

    def _inner(self, node: yaml.MappingNode, path: list[yaml.ScalarNode]) -> yaml.MappingNode:
        """The table that a path of keys leads to, made where there is none; of several the last."""
        for key in path:
            found = self._inside.get(id(node), {}).get(key.value)
            if isinstance(found, yaml.SequenceNode):
                found = found.value[-1]
            if found is None:
                found = table([], key.start_mark)
                self._add(node, key, found)
            assert isinstance(found, yaml.MappingNode)
            node = found
        return node

    def _appended(self, node: yaml.MappingNode, key: yaml.ScalarNode) -> yaml.MappingNode:
        """A new last table of the list of tables that a key names."""
        made = table([], key.start_mark)
        known = self._inside.get(id(node), {}).get(key.value)
        if known is None:
            self._add(node, key, yaml.SequenceNode(f"{_TAG}seq", [made], key.start_mark))
        else:
            known.value.append(made)
        return made

    def _add(self, node: yaml.MappingNode, key: yaml.ScalarNode, value: yaml.Node) -> None:
        node.value.append((key, value))
        self._inside.setdefault(id(node), {})[key.value] = value


def _meant(said: str) -> Any:
    return tomllib.loads(f"x = {said}")["x"]
