"""Flags become what the cells of a suite or a sweep are answered with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.cli.console import say_note
from limner.cli.options.run_store import recording_store, stage_cache
from limner.runs.entries import Labels
from limner.session.cell_answers import AnswererConfig


def answerer_config(given: Mapping[str, Any]) -> AnswererConfig:
    """From a command's ``runtime_options``, ``keeping_options`` and ``caching_option``.

    Raises:
        OptionError, StoreError: as ``recording_store`` and ``stage_cache`` do.
    """
    return AnswererConfig(
        commercial_safe=given["commercial_safe"],
        device=given["device"],
        dtype=given["dtype"],
        reuse=not given["no_cache"],
        stages=stage_cache(given),
        store=recording_store(given),
        labels=Labels(given["tags"]),
        record=not given.get("no_record"),
        notify=say_note,
    )
