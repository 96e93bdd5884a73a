"""``{{thing}}`` in a suite: filled in from a case's variables by Jinja2, as promptfoo's are.

A suite may come from a stranger's pull request, and Jinja2's sandbox bounds neither time nor
memory: ``{{ 'a' * 3000000000 }}`` is one line. So only what costs no more than the text it writes
is taken (variables, conditions, filters that change letters), and no more of that than ``LONGEST``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

MARKS = ("{{", "{%", "{#")
LONGEST = 20_000
"""Characters of a template, and of what is made of it."""
FILTERS = ("capitalize", "default", "lower", "title", "trim", "upper")
TAKEN = "variables, if and else, comparisons, and the filters " + ", ".join(FILTERS)

_PLAIN = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_KINDS = (
    "Template", "Output", "TemplateData", "Name", "Const", "If", "CondExpr", "Compare", "Operand",
    "And", "Or", "Not", "Filter", "Neg", "Test",
)  # fmt: skip
"""Jinja2's nodes that cost no more than what they read and write."""
_TESTS = ("defined", "undefined", "none", "string", "number", "boolean")


class TemplateFault(Exception):
    """Why a text can't be filled in, as a sentence; whoever knows the line adds it."""


def is_template(text: str) -> bool:
    return any(mark in text for mark in MARKS)


def fill(text: str, variables: Mapping[str, Any]) -> str:
    """The text with its variables filled in.

    Raises:
        TemplateFault: a variable that isn't there, no template, one that does more than limner
            takes, or more than ``LONGEST`` characters.
    """
    if not is_template(text):
        return text
    if len(text) > LONGEST:
        raise TemplateFault(f"{_short(text)} is a template of more than {LONGEST:,} characters.")
    simple = _PLAIN.sub("", text)
    if not is_template(simple) and all(name in variables for name in _PLAIN.findall(text)):
        pieces = _PLAIN.split(text)  # what stands between, and each name after it
        return _joined(
            text, (_as_written(variables[p]) if k % 2 else p for k, p in enumerate(pieces))
        )
    return _rendered(text, variables)


def _rendered(text: str, variables: Mapping[str, Any]) -> str:
    import jinja2

    try:
        return _joined(text, _compiled(text).generate(variables))
    except jinja2.UndefinedError as error:
        missing = _missing(text, variables)
        if not missing:
            raise TemplateFault(f"{_short(text)} can't be filled in: {error.message}.") from None
        there = ", ".join(variables) or "no variables"
        raise TemplateFault(
            f"{_short(text)} needs the variable {missing[0]}, and vars has {there}."
            + near(missing[0], variables)
        ) from None
    except jinja2.TemplateError as error:
        raise TemplateFault(f"{_short(text)} is no template: {error.message}.") from None
    except TemplateFault:
        raise
    except Exception as error:  # nested deeper than Python compiles; a comparison of unlike things
        raise TemplateFault(f"{_short(text)} can't be filled in: {error}.") from None


def _joined(text: str, pieces: Iterable[str]) -> str:
    """One text; no piece is longer than the longest variable, so the sum can be watched."""
    filled, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > LONGEST:
            raise TemplateFault(
                f"{_short(text)} makes more than {LONGEST:,} characters when it is filled in."
            )
        filled.append(piece)
    return "".join(filled)


@lru_cache(maxsize=512)
def _compiled(text: str) -> Template:
    """Checked before it is compiled: Jinja2 computes constants while it compiles.

    Raises:
        TemplateFault: it does more than limner takes.
        jinja2.TemplateError: it is none.
    """
    from jinja2 import nodes

    environment = _environment()
    tree = environment.parse(text)
    for node in [tree, *tree.find_all(nodes.Node)]:
        kind = type(node).__name__
        if kind not in _KINDS:
            raise TemplateFault(f"{_short(text)} does more than a template here may: {TAKEN}.")
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise TemplateFault(
                f"{_short(text)} uses {node.name}; templates here have {', '.join(FILTERS)}."
            )
        if isinstance(node, nodes.Test) and node.name not in _TESTS:
            raise TemplateFault(f"{_short(text)} tests for {node.name}: {', '.join(_TESTS)}.")
    return environment.from_string(tree)


def near(word: str, known: Iterable[str]) -> str:
    """`` Did you mean mug?``; empty when nothing is like it."""
    close = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _missing(text: str, variables: Mapping[str, Any]) -> list[str]:
    from jinja2 import meta

    names = meta.find_undeclared_variables(_environment().parse(text))
    return sorted(names - set(variables))


def _as_written(value: Any) -> str:
    """A value as it is written in a suite."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else f"{text[:60]!r}…"


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, finalize=_finalized, cache_size=0)
    environment.globals.clear()  # range, lipsum, …
    return environment


def _finalized(value: Any) -> Any:
    return _as_written(value) if isinstance(value, bool) else value
