"""``{{thing}}`` in a suite: filled in from a case's variables by Jinja2, as promptfoo's are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

MARKS = ("{{", "{%", "{#")


class TemplateFault(Exception):
    """Why a text can't be filled in, as a sentence; whoever knows the line adds it."""


def fill(text: str, variables: Mapping[str, Any]) -> str:
    """The text with its variables filled in.

    Raises:
        TemplateFault: a variable that isn't there, or no template.
    """
    if not any(mark in text for mark in MARKS):
        return text
    import jinja2

    try:
        return _environment().from_string(text).render(variables)
    except jinja2.UndefinedError as error:
        missing = _missing(text, variables)
        if not missing:  # an attribute or item of one that is there
            raise TemplateFault(f"{text!r} can't be filled in: {error.message}.") from None
        there = ", ".join(variables) or "no variables"
        raise TemplateFault(
            f"{text!r} needs the variable {missing[0]}, and vars has {there}."
            + near(missing[0], variables)
        ) from None
    except jinja2.TemplateError as error:
        raise TemplateFault(f"{text!r} is no template: {error.message}.") from None
    except Exception as error:  # a template computes: 1 / 0
        raise TemplateFault(f"{text!r} can't be filled in: {error}.") from None


def near(word: str, known: Iterable[str]) -> str:
    """`` Did you mean mug?``; empty when nothing is like it."""
    close = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _missing(text: str, variables: Mapping[str, Any]) -> list[str]:
    from jinja2 import meta

    names = meta.find_undeclared_variables(_environment().parse(text))
    return sorted(names - set(variables))


@cache
def _environment() -> SandboxedEnvironment:
    """Sandboxed: a suite may come from a stranger's pull request."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(undefined=StrictUndefined)
