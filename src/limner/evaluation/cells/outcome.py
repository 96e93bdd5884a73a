"""What an answer to a cell is, and who can be asked about it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from limner.evaluation.cells.cell import Ask, Cell
from limner.ops import detections as dets
from limner.pipeline import Edit
from limner.pipeline.crops import crop_around
from limner.prompts import BoolMask, Mask
from limner.protocols import Encoder

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

JUDGES = {
    "clip": ("encode", "clip-vit-base-patch32"),
    "dino": ("encode", "dino-vits16"),
    "detect": ("detect", ""),
}
"""Who scores: task, and the model when the suite names none (those of DreamBooth's tables). An
empty name: the detector of the cell's own models."""

AROUND = 0.1
"""Space kept around what is compared with words or pictures, in parts of its size."""


@dataclass(frozen=True)
class Outcome:
    """What the models made of a cell."""

    image: Image
    """RGB, the original."""
    ask: Ask
    detections: sv.Detections
    """One row an object, with our keys; masks unless the verb was detect."""
    edit: Edit | None = None
    """None when nothing was painted: another verb, or nothing was found."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by stage, without loading the models."""
    peak_bytes: int | None = None
    """Most memory in use meanwhile; None where the system doesn't tell."""
    models: tuple[str, ...] = ()
    """Names of those that answered."""
    run: str = ""
    """Id of the run in the store; empty: it wasn't recorded."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """``RunRecord.to_dict()``: how it was made, for the pictures that are kept."""

    @property
    def result(self) -> Image:
        """The picture afterwards: the edited one, or the original."""
        return self.edit.image if self.edit else self.image

    @property
    def mask(self) -> BoolMask:
        """(H, W) union of all that was outlined; boxes count as filled where there are no masks."""
        if self.detections.mask is not None:
            return dets.union_of(self.detections, self.image.size)
        union = np.zeros((self.image.height, self.image.width), dtype=bool)
        for x0, y0, x1, y1 in np.rint(self.detections.xyxy).astype(int).clip(0):
            union[y0:y1, x0:x1] = True
        return union

    @property
    def part(self) -> Image | None:
        """What is compared: the painted part of the result, or the found one, and a little more."""
        where = self.edit.mask if self.edit else self.mask
        if not where.any():
            return None
        return self.result.crop(crop_around(where, context=AROUND, grid=1))

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """XYXY around all that was found; None where nothing was."""
        if not len(self.detections):
            return None
        low, high = self.detections.xyxy[:, :2].min(axis=0), self.detections.xyxy[:, 2:].max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


class Judges(Protocol):
    """Models and files that a verdict needs besides the outcome."""

    def encoder(self, judge: str) -> Encoder:
        """The encoder of a key of ``JUDGES``."""
        ...

    def look(self, cell: Cell, image: Image, phrase: str, least: float | None) -> sv.Detections:
        """Where a phrase is found in a picture."""
        ...

    def true_mask(self, cell: Cell) -> Mask:
        """The case's outline."""
        ...


class Answerer(Judges, Protocol):
    """What a cell is run by: one a process."""

    def answer(self, cell: Cell) -> Outcome: ...
