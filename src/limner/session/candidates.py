"""What a segmenter offered for each object: a click on a shirt may mean the shirt or the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from limner.errors import OptionError
from limner.ops import detections as dets
from limner.ops.masks import MaskCrop
from limner.ops.overlay import overlay
from limner.pipeline import notebook
from limner.prompts import BoolMask, VisualPrompt

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 320
"""px: longest side of a picture beside others."""


@dataclass(frozen=True, repr=False)
class MaskCandidates:
    """The masks that a segmenter offered for each object, best first; seen side by side, one of
    them is taken by ``Run.choose``.

    ``picture`` is what was segmented, ``detections`` the objects, ``prompts`` what asked for them.
    """

    picture: Image
    detections: sv.Detections
    prompts: Sequence[VisualPrompt] = ()

    def __len__(self) -> int:
        return len(self.detections)

    def scores(self, row: int = 0) -> tuple[float, ...]:
        """What the segmenter thinks of each mask of an object, its IoU with the truth, 0..1.

        Raises:
            OptionError: no such object, or only one mask was offered.
        """
        offered = self._offered(row)
        return tuple(offered.crop(k)[1] for k in range(len(offered)))

    def masks(self, row: int = 0) -> np.ndarray:
        """(candidates, H, W) bool.

        Raises:
            OptionError: no such object, or only one mask was offered.
        """
        offered = self._offered(row)
        return np.stack([offered[k][0] for k in range(len(offered))])

    @property
    def image(self) -> Image:
        """A line of pictures for each object, each with its number and score.

        Raises:
            OptionError: nothing was found, or only one mask was offered.
        """
        from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet

        names = dets.class_names(self.detections)
        rows = [f"{row} {name}".strip() for row, name in enumerate(names)]
        cells = {
            (row, k): Cell(self._drawn(row, k), note=f"score {score:.2f}")
            for row in range(max(1, len(self)))
            for k, score in enumerate(self.scores(row))
        }
        across = max(k for _, k in cells) + 1
        columns = Axis("candidate", tuple(map(str, range(across))))
        return contact_sheet(columns, Axis("", tuple(rows)), cells, best="", side=SIDE)

    def __repr__(self) -> str:
        offered = self.detections.data.get("candidates", ())
        counts = ", ".join(str(len(each)) for each in offered) or "none"
        return f"MaskCandidates({counts})"

    def _repr_png_(self) -> bytes:
        return notebook.png_of(self.image)

    def show(self) -> None:
        """Show them side by side."""
        notebook.show_picture(self.image)

    def chosen(self, candidate: int, row: int) -> sv.Detections:
        """The objects, one with another mask; its box is the mask's.

        Raises:
            OptionError: no such object or candidate, or one with no pixel in it.
        """
        offered = self._offered(row)
        if not 0 <= candidate < len(offered):
            raise OptionError(
                f"Object {row} has candidates 0 to {len(offered) - 1}, got {candidate}."
            )
        mask, score = offered[candidate]
        box = MaskCrop.of(mask)
        if not mask.any():
            raise OptionError(f"Candidate {candidate} of object {row} has no pixel in it.")
        every: list[MaskCrop | BoolMask] = [
            dets.crop_of(self.detections, k) for k in range(len(self))
        ]
        every[row] = mask
        scores = np.array(self.detections.data["mask_score"], dtype=np.float32)
        scores[row] = score
        rows = dets.with_masks(self.detections, every, scores)
        rows.xyxy = rows.xyxy.copy()
        height, width = box.window.shape
        rows.xyxy[row] = (box.left, box.top, box.left + width, box.top + height)
        return rows

    def _drawn(self, row: int, candidate: int) -> Image:
        only = dets.take(self.chosen(candidate, row), [row])
        return overlay(self.picture, only, self.prompts, labels=False)

    def _offered(self, row: int) -> dets.Candidates:
        offered = self.detections.data.get("candidates")
        if not 0 <= row < len(self):
            there = f"objects 0 to {len(self) - 1}" if len(self) else "no object"
            raise OptionError(f"There is {there} here, got {row}.")
        if offered is None or not len(offered[row]):
            raise OptionError(
                "Only one mask was offered for this object: SAM offers several for a "
                "click, with multimask_output=True."
            )
        each: dets.Candidates = offered[row]
        return each
