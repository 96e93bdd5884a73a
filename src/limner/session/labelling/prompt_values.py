"""Prompts as values: phrases by class, or each picture's own prompts by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from limner.errors import PromptError
from limner.prompts.prompt_list import AnyPrompts, prompts_of
from limner.session.labelling.prompt_phrases import table_of_rows
from limner.session.labelling.prompt_table import Entry, PromptTable, numbered

PromptValues: TypeAlias = Mapping[str, AnyPrompts | None]
"""Class -> a phrase or several, None: its name; or picture -> prompts that carry labels."""
SOURCE = "prompts"
"""What a mapping is called in sentences."""


def value_table(values: PromptValues) -> PromptTable:
    """Phrases by class, where all values are phrases; else prompts by picture.

    Raises:
        PromptError: nothing was given, a value that can't be understood, or a prompt without a
            label.
    """
    if not values:
        raise PromptError(
            'No prompts were given: expected phrases by class, {"mug": ["a mug", "a cup"]}, or '
            'prompts by picture, {"a.png": [VisualPrompt(box=(1, 2, 30, 40), label="mug")]}.'
        )
    if all(map(_is_phrases, values.values())):
        return _by_class(values)
    return _by_picture(values)


def _is_phrases(value: object) -> bool:
    if isinstance(value, str | None):
        return True
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _by_class(values: PromptValues) -> PromptTable:
    rows: list[tuple[str, str, str]] = []
    for name, value in values.items():
        phrases = [name] if value is None or value == [] else value
        several: Sequence[object] = [phrases] if isinstance(phrases, str) else list(phrases)  # type: ignore[arg-type]  # texts alone
        rows += [(name, str(phrase), SOURCE) for phrase in several]
    return table_of_rows(rows, SOURCE)


def _by_picture(values: PromptValues) -> PromptTable:
    of_picture: dict[str, tuple[Entry, ...]] = {}
    for name, value in values.items():
        try:
            prompts = prompts_of(value)
        except PromptError as error:
            raise PromptError(f"{name}: {error}") from None
        for prompt in prompts:
            if prompt.label is None:
                raise PromptError(
                    f"{name}: The prompt has no label, which is its class: "
                    'VisualPrompt(box=(1, 2, 30, 40), label="mug").'
                )
        of_picture[name] = tuple(Entry(prompt, name) for prompt in prompts)
    names = [(e.prompt.label or "", e.where) for each in of_picture.values() for e in each]
    return PromptTable(SOURCE, numbered(names), of_picture)
