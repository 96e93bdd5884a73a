"""Flags become a ``Session``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limner.cli.console import saying_once
from limner.cli.options.flags import threshold_for, typed
from limner.cli.options.run_store import recording_store, stage_cache
from limner.errors import OptionError
from limner.ops.selection import parse_selection
from limner.options import DetectOptions, SegmentOptions
from limner.session import FindOptions, Session


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


def session_of(given: dict[str, Any], **recording: Any) -> Session:
    """A session with the models that were named; a name that can't be meant is refused at once.

    Args:
        recording: ``store``, ``labels`` and ``cache``, as ``Session`` takes them; without them
            nothing is kept.

    Raises:
        UnknownModel, ModelError, LicenceRefused: a model was named and can't be used.
    """
    from limner.session import Session

    named = {
        "detect": given.get("detector"),
        "segment": given.get("segmenter"),
        "inpaint": given.get("inpainter"),
        "generate": given.get("generator"),
        "refine": given.get("refiner"),
        "encode": given.get("encoder"),
        "caption": given.get("captioner"),
    }
    session = Session(
        profile=given["profile"],
        models={task: name for task, name in named.items() if name},
        commercial_safe=given["commercial_safe"],
        device=given["device"],
        dtype=given["dtype"],
        say=saying_once(),
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
