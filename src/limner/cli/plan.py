"""``--dry-run``: which models, how much memory, about how long. Nothing is loaded or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from limner.cli.batch import Settings
    from limner.grammar import Draft
    from limner.session import Session


def print_plan(
    settings: Settings,
    session: Session,
    objects: tuple[Draft, ...],
    *,
    verb: str,
    everything: bool = False,
    paints: bool = False,
) -> None:
    raise NotImplementedError
