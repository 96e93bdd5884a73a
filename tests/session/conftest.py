"""Models that answer at once, in the place of whatever a session names."""

from __future__ import annotations

from typing import Any

import pytest

from limner.protocols import ModelRef
from limner.session.model_slots import Models
from tests.pipeline.doubles import ColourDetector, FillSegmenter, FloodInpainter


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand-ins by task that answer in the place of whatever a session names."""
    made = {"detect": ColourDetector(), "segment": FillSegmenter(), "inpaint": FloodInpainter()}

    def load(self: Models, task: str, kind: type) -> Any:
        assert isinstance(made[task], kind)
        self.answered[task] = made[task].ref
        return made[task]

    def answering(self: Models, task: str) -> ModelRef:
        self.answered[task] = made[task].ref
        return self.answered[task]

    monkeypatch.setattr(Models, "_load", load)
    monkeypatch.setattr(Models, "answering", answering)
    return made
