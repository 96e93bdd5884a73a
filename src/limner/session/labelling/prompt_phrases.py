"""The phrases of each class, for all pictures.

::

    mug: [a coffee mug, a cup]
    apple: a red apple
    rabbit:

A class without a phrase is asked for by its name; a list of names is one of such classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from limner.errors import PromptError
from limner.prompts import VisualPrompt
from limner.session.labelling.prompt_table import Entry, PromptTable, numbered
from limner.untrusted.regular_files import MB, read_text, shown
from limner.untrusted.yaml_documents import compose_yaml

MOST_BYTES = 16 * MB


def read_phrases(file: Path) -> PromptTable:
    """The classes of a YAML or JSON file.

    Raises:
        PromptError: no classes, or a phrase that is none; at which line.
        FileError: no text or YAML that can be read.
    """
    name = shown(file)
    root = compose_yaml(read_text(file, limit=MOST_BYTES, what="file of prompts"), name)
    rows = list(_rows(root, name)) if root is not None else []
    if not rows:
        raise PromptError(
            f"{name} is empty: expected the phrases of each class, such as mug: [a mug, a cup]."
        )
    return table_of_rows(rows, name)


def table_of_rows(rows: Sequence[tuple[str, str, str]], source: str) -> PromptTable:
    """From (class, phrase, where it stands)."""
    entries = []
    for name, phrase, where in rows:
        try:
            entries.append(Entry(VisualPrompt(text=phrase, label=name), where))
        except PromptError as error:
            raise PromptError(f"{where}: {error}") from None
    known: dict[str, str] = {}
    for entry in entries:
        phrase = " ".join(entry.prompt.text.phrase.casefold().split()) if entry.prompt.text else ""
        other = known.setdefault(phrase, entry.prompt.label or "")
        if other != entry.prompt.label:
            raise PromptError(
                f"{entry.where}: {phrase!r} is a phrase of {other!r} and of "
                f"{entry.prompt.label!r}: what it finds can have one class."
            )
    names = [(entry.prompt.label or "", entry.where) for entry in entries]
    return PromptTable(source, numbered(names), everywhere=tuple(entries))


def _rows(root: yaml.Node, name: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(root, yaml.SequenceNode):
        for node in root.value:
            yield _text(node, name), _text(node, name), _where(node, name)
        return
    if not isinstance(root, yaml.MappingNode):
        raise PromptError(
            f"{name} holds no classes: expected a mapping such as mug: [a mug, a cup]."
        )
    for key, value in root.value:
        label = _text(key, name)
        several = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for node in several or [key]:
            is_empty = isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
            yield label, label if is_empty else _text(node, name), _where(node, name)


def _text(node: yaml.Node, name: str) -> str:
    """As it is written: ``no`` is a name, not what YAML makes of it."""
    if not isinstance(node, yaml.ScalarNode):
        raise PromptError(f"{_where(node, name)}: A class's phrase is a text.")
    return str(node.value)


def _where(node: yaml.Node, name: str) -> str:
    return f"{name}:{node.start_mark.line + 1}"
