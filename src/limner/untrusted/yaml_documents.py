"""YAML as values or as nodes, with the bounds of ``json_toml``.

Ten lines of aliases name nine times nine times the same list: values are counted as if every alias
were written out.
"""

from __future__ import annotations

import os
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from limner.errors import FileError
from limner.untrusted.json_toml import (
    DEEPEST,
    MOST_TEXT_BYTES,
    NO_CHARACTER,
    TOO_DEEP,
    check_values,
    no_character,
)
from limner.untrusted.regular_files import read_text, shown

MOST_NODES = 200_000
"""Values of a document, those of an alias counted wherever it stands."""


def read_yaml(
    path: str | os.PathLike[str], *, limit: int = MOST_TEXT_BYTES, what: str = "YAML file"
) -> Any:
    """The one document of a YAML file as a plain value; None where it is empty.

    Raises:
        FileMissing: there is no such file.
        FileError: it can't be read, is too large, or as ``parse_yaml``.
    """
    return parse_yaml(read_text(path, limit=limit, what=what), shown(path))


def parse_yaml(text: str, name: str) -> Any:
    """A text of YAML as a plain value.

    Raises:
        FileError: as ``compose_yaml``, or a value that YAML itself can't make of its text.
    """
    node = compose_yaml(text, name)
    if node is None:
        return None
    try:
        value = yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as error:
        raise FileError(_yaml_sentence(error, name)) from None
    except (ValueError, OverflowError, RecursionError) as error:  # a day that isn't in the calendar
        raise FileError(f"{name} holds a value that can't be read: {error}.") from None
    check_values(value, name)
    return value


def compose_yaml(text: str, name: str) -> yaml.Node | None:
    """A text's one document as nodes, which know their lines; None where it is empty.

    Raises:
        FileError: no YAML, several documents, deeper than ``DEEPEST``, more than ``MOST_NODES``
            values, a value inside itself, or half of a character or a NUL in a text.
    """
    try:
        node: yaml.Node | None = _Bounded(text).get_single_node()
    except _Refused as refused:
        raise FileError(f"{name}:{refused.line}: {refused}") from None
    except yaml.YAMLError as error:
        raise FileError(_yaml_sentence(error, name)) from None
    except (ValueError, RecursionError, OverflowError) as error:  # an escape beyond Unicode
        raise FileError(f"{name} is no YAML that can be read: {error}.") from None
    return node


class _Refused(Exception):
    """A bound that a document breaks, as a sentence; and the line."""

    def __init__(self, sentence: str, node: Any) -> None:
        super().__init__(sentence)
        self.line = int(node.start_mark.line) + 1


def _safe_loader() -> Any:
    """PyYAML's safe loader; libyaml scans the text where it is here, and the nodes are made in
    Python all the same, so that they can be counted."""
    if not yaml.__with_libyaml__:
        return yaml.SafeLoader
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class Loader(Composer, CParser, SafeConstructor, Resolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return Loader


class _Bounded(_safe_loader()):  # type: ignore[misc]
    """Composes nodes and counts what each would be if every alias in it were written out."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0
        self._sizes: dict[int, int] = {}
        self._total = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if self._level >= DEEPEST:
            raise _Refused(f"This {TOO_DEEP}", event)
        is_alias = isinstance(event, yaml.AliasEvent)
        self._level += 1
        before = self._total
        node = super().compose_node(parent, index)
        self._level -= 1
        if is_alias and id(node) not in self._sizes:
            raise _Refused(f"*{event.anchor} stands inside of what it names.", event)
        self._total += self._sizes[id(node)] if is_alias else 1
        if not is_alias:
            self._sizes[id(node)] = self._total - before
        if self._total > MOST_NODES:
            raise _Refused(
                f"Aliases written out, there are more than {MOST_NODES:,} values up to here: make "
                "several files of it.",
                event,
            )
        return node

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        if match := NO_CHARACTER.search(node.value):
            raise _Refused(no_character(match[0]), node)
        return node


def _yaml_sentence(error: yaml.YAMLError, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    line = mark.line + 1 if mark else 1
    return f"{name}:{line}: This is not YAML: {' '.join(str(problem).split())}."
