"""What is known of a dataset that was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import supervision as sv


@dataclass(frozen=True)
class Labelled:
    """A dataset that was written."""

    folder: Path
    file: Path
    """What one names to other programs: ``annotations.json``, ``data.yaml``, or VOC's folder."""
    sheet: Path | None
    """The least sure objects, to be looked at; None where there is no object."""
    classes: Mapping[str, int]
    """Name -> number, the same in every picture."""
    objects: Mapping[str, int]
    """Name -> how many were outlined."""
    pictures: int
    done_before: int
    """Pictures that an earlier run had answered."""
    empty: tuple[str, ...]
    """Prompts whose outline came out empty: they aren't in the dataset."""
    failed: Mapping[str, str]
    """Picture -> why it isn't in the dataset."""
    notes: tuple[str, ...]
    _dataset: Callable[[], sv.DetectionDataset]

    @property
    def dataset(self) -> sv.DetectionDataset:
        """The same as supervision holds it; classes are numbered from 0, in their order."""
        return self._dataset()

    def __repr__(self) -> str:
        count = sum(self.objects.values())
        return f"Labelled({self.file}: {self.pictures} pictures, {count} objects)"
