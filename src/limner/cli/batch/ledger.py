"""What keeps account of every picture of a folder while a verb works on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Ledger(Protocol):
    """What keeps account of every picture of a folder."""

    def found_nothing(self, path: Path, job: str) -> bool:
        """Whether a run before found nothing in it, so that it needn't be looked at again."""

    def add(self, path: Path, record: Mapping[str, Any], outputs: Sequence[Path]) -> None:
        """It was done, now or before."""

    def fail(self, path: Path, error: Exception) -> None:
        """It wasn't done."""

    def write(self) -> None:
        """Called once, at the end, also of a run that was broken off."""
