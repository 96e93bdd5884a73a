"""``detect`` and ``segment``: where things are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from limner.errors import OptionError
from limner.options import EverythingOptions
from limner.prompts import VisualPrompt
from limner.protocols import OnStep
from limner.session.finder import Finder, Found
from limner.session.request import Request, run_of
from limner.session.results import AnyImage, FindOptions, Outcome, Run, Source
from limner.session.what_is_here import look_by_caption
from limner.verbs import VERBS


def detect(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    source = Source.open(image)
    look = partial(finder.detect, source, finding=request.finding)
    return _find(finder, request, source, look)


def segment(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    source = Source.open(image)
    everything: EverythingOptions | None = request.setting("everything")
    if everything is not None:
        _check_everything(request)
        grounding, slots = finder.everything(source, everything, on_step)
        return run_of(finder.models, request, source, Outcome(grounding, slots))
    look = partial(
        finder.ground,
        source,
        finding=request.finding,
        on_step=on_step,
        as_drawn=VERBS["segment"].mask_as_drawn,
    )
    return _find(finder, request, source, look)


def _check_everything(request: Request) -> None:
    if request.prompts or request.setting("what_is_here"):
        raise OptionError("Everything mode takes no prompts: give one or the other.")
    if request.finding != FindOptions():
        raise OptionError(
            "Settings for finding by prompts, and selections, have no effect on everything "
            "mode; its own are the fields of EverythingOptions."
        )


def _find(
    finder: Finder,
    request: Request,
    source: Source,
    look: Callable[[Sequence[VisualPrompt]], Found],
) -> Run:
    facts: dict[str, Any] = {}
    if request.setting("what_is_here"):
        captioner = finder.models.captioner
        (grounding, slots), facts = look_by_caption(source, request.prompts, captioner, look)
    else:
        grounding, slots = look(request.prompts)
    return run_of(finder.models, request, source, Outcome(grounding, slots, facts))
