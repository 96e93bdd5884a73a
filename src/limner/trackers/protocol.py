"""What a tracker must offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL.Image import Image


@dataclass(frozen=True)
class Mark:
    """A box, outline or point on an image; pixels of the image, x to the right, y down."""

    label: str
    score: float | None = None
    """0..1; None: nobody gave it one."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Each ``(x0, y0, x1, y1)``."""
    outlines: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Each a closed polygon of at least three ``(x, y)`` corners."""


@dataclass(frozen=True)
class Layer:
    """Marks that are shown or hidden together, whatever becomes of the other layers."""

    name: str
    marks: tuple[Mark, ...]


@runtime_checkable
class Tracker(Protocol):
    """A place that keeps what was made with which settings: an experiment tracker.

    Any method may raise anything: ``limner.trackers`` keeps that away from the run. Names may hold
    slashes, by which trackers group.
    """

    def parameters(self, values: Mapping[str, str | float | bool]) -> None:
        """What was asked for. Comes before everything else."""
        ...

    def tag(self, names: Sequence[str]) -> None:
        """Words to find the experiment by."""
        ...

    def log(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Numbers that were measured; ``step`` counts the pictures of a batch, from 0."""
        ...

    def save_image(
        self, name: str, image: Image, layers: Sequence[Layer] = (), step: int | None = None
    ) -> None:
        """A picture; a tracker that can't show layers leaves them out."""
        ...

    def save_file(self, name: str, data: bytes, step: int | None = None) -> None: ...

    def save_artifact(self, name: str, kind: str, files: Mapping[str, bytes]) -> None:
        """Files that belong together; the same name again is the next version."""
        ...

    def end(self) -> str:
        """Everything is on its way or on the disk; returns where a person finds it."""
        ...
