"""Who is asked to label, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from limner.options import LabelOptions
from limner.prompts import VisualPrompt
from limner.protocols import OnStep
from limner.session.model_slots import Models
from limner.session.request import Request
from limner.session.results import AnyImage, FindOptions, Run

VERB = "segment"
"""What is asked of each picture, and recorded."""


class Labelling(Protocol):
    """What of a session labels."""

    models: Models

    def request(
        self,
        verb: str,
        prompts: Sequence[VisualPrompt],
        *,
        finding: FindOptions | None = None,
        **settings: Any,
    ) -> Request: ...

    def answer(self, request: Request, image: AnyImage, on_step: OnStep | None = None) -> Run: ...


@dataclass(frozen=True)
class Asking:
    """The settings of a dataset, and how things are found."""

    options: LabelOptions
    finding: FindOptions
