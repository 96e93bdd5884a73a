"""How each verb is done, by its name: with a session's models, as a request asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from limner.protocols import OnStep
from limner.session.finder import Finder
from limner.session.request import Request
from limner.session.results import AnyImage, Run
from limner.session.verbs.background import background, cutout
from limner.session.verbs.find import detect, segment
from limner.session.verbs.paint import edit, extend, remove
from limner.session.verbs.redact import redact

Perform = Callable[[Finder, Request, AnyImage, OnStep | None], Run]

PERFORM: Mapping[str, Perform] = {
    "detect": detect,
    "segment": segment,
    "edit": edit,
    "remove": remove,
    "cutout": cutout,
    "background": background,
    "redact": redact,
    "extend": extend,
}

__all__ = ["PERFORM", "Perform"]
