"""Flags become a ``Session``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from limner.cli.configuration import models
from limner.cli.console import saying_once
from limner.cli.options.flags import threshold_for, typed
from limner.cli.options.run_store import recording_store, stage_cache
from limner.cli.terminal_session import is_first_here
from limner.errors import OptionError, UnknownModel
from limner.ops.selection import parse_selection
from limner.options import DetectOptions, SegmentOptions
from limner.session import FindOptions, Session
from limner.session.model_slots import MINI_SAID

TASK_OF = {
    "detector": "detect",
    "segmenter": "segment",
    "inpainter": "inpaint",
    "generator": "generate",
    "refiner": "refine",
    "encoder": "encode",
    "captioner": "caption",
    "matting": "matte",
}
"""Flag of a model -> where a session has it."""


def finding_of(given: dict[str, Any]) -> FindOptions:
    """The finding settings from a command's parameters."""
    from limner.session import FindOptions

    return FindOptions(
        detect=typed(
            DetectOptions,
            {**given, "phrase_thresholds": tuple(map(threshold_for, given["threshold_for"]))},
        ),
        segment=typed(SegmentOptions, given),
        select=tuple(parse_selection(text) for text in given["select"]),
    )


def recording_session_of(given: dict[str, Any]) -> Session:
    """A session of a verb, which records its runs unless told not to.

    Raises:
        UnknownModel, ModelError, LicenceRefused: as ``session_of``.
        OptionError: options about the store that exclude each other.
    """
    from limner.runs.entries import Labels

    return session_of(
        given,
        store=recording_store(given),
        labels=Labels(tags=given["tags"]),
        cache=stage_cache(given),
    )


def _listener() -> Callable[[str], None]:
    """What says a session's notes, each once; that minis are tiny once a terminal."""
    say_once = saying_once()

    def say(sentence: str) -> None:
        if not sentence.endswith(MINI_SAID) or is_first_here("minis"):
            say_once(sentence)

    return say


def _configured(given: dict[str, Any]) -> dict[str, str]:
    """The models of the environment and of the user's file by task; none beside a profile that was
    typed.

    Raises:
        UnknownModel: no model has such a name; where it stands.
    """
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source("profile") if context else None
    if source is click.core.ParameterSource.COMMANDLINE:
        return {}
    from limner.registry.resolve import resolve
    from limner.registry.weights import as_path, is_path, members_of

    names = {}
    for role, setting in models().items():
        if given.get(role):
            continue
        name = names[TASK_OF[role]] = str(setting.value)
        for member in members_of(TASK_OF[role], name):
            try:
                if not is_path(as_path("", member)):
                    resolve(member)
            except UnknownModel as error:
                raise UnknownModel(f"{setting.source}, models.{role}: {error}") from None
    return names


def session_of(given: dict[str, Any], **recording: Any) -> Session:
    """A session with the models that were named; a name that can't be meant is refused at once.

    Args:
        recording: ``store``, ``labels`` and ``cache``, as ``Session`` takes them; without them
            nothing is kept.

    Raises:
        UnknownModel, ModelError, LicenceRefused: a model was named and can't be used.
    """
    from limner.session import Session

    named = {task: given.get(role) for role, task in TASK_OF.items()}
    configured = _configured(given)
    session = Session(
        profile=given["profile"],
        models=configured | {task: name for task, name in named.items() if name},
        commercial_safe=given["commercial_safe"],
        device=given["device"],
        dtype=given["dtype"],
        say=_listener(),
        subjects=subjects_of(given.get("subjects", ())),
        fast=given.get("fast", False),
        **recording,
    )
    for task, name in named.items():
        if name:
            session.models.entry(task)
    return session


def subjects_of(said: Sequence[str]) -> dict[str, float]:
    """``--subject`` options as names and weights; models are not imported for none.

    Raises:
        OptionError: one that can't be meant, or one twice.
    """
    if not said:
        return {}
    from limner.registry.subjects import parse

    pairs = [parse(text) for text in said]
    if len(dict(pairs)) < len(pairs):
        raise OptionError(f"A subject is named once; got {', '.join(said)}.")
    return dict(pairs)
