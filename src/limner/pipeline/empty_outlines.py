"""Outlines with no pixel in them, as a model gives now and then: they are no finds.

What was asked for and has none is named, so that nobody takes it for done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import supervision as sv

from limner.ops import detections as dets
from limner.ops import masks
from limner.prompts import VisualPrompt

Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True)
class EmptyOutline:
    """A row whose mask was empty.

    ``prompt_index`` is the prompt that it answered; ``xyxy`` the box that was to be outlined, in
    pixels of the original, None where only points said where. ``covered``: the box stands in for
    the outline, as a redaction asks.
    """

    prompt_index: int
    class_name: str
    xyxy: Xyxy | None
    covered: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "prompt_index": self.prompt_index,
            "class_name": self.class_name,
            "xyxy": None if self.xyxy is None else list(self.xyxy),
            "covered": self.covered,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EmptyOutline:
        """Inverse of ``to_dict``."""
        xyxy = data["xyxy"]
        box = None if xyxy is None else (xyxy[0], xyxy[1], xyxy[2], xyxy[3])
        return cls(data["prompt_index"], data["class_name"], box, data["covered"])


def are_empty(rows: sv.Detections) -> np.ndarray:
    """(N,) bool: masks without a pixel. Rows that have boxes only aren't."""
    if rows.mask is None:
        return np.zeros(len(rows), dtype=bool)
    return np.array(
        [not dets.crop_of(rows, row).window.any() for row in range(len(rows))], dtype=bool
    )


def without_empty(
    rows: sv.Detections, boxes: Sequence[Xyxy | None] | None = None
) -> tuple[sv.Detections, tuple[EmptyOutline, ...]]:
    """The rows with something in their masks, and the others.

    Args:
        boxes: one a row, what was to be outlined; None: the rows' own boxes.
    """
    empty = are_empty(rows)
    if not empty.any():
        return rows, ()
    names = rows.data["class_name"]
    dropped = []
    for row in np.flatnonzero(empty).tolist():
        x0, y0, x1, y1 = rows.xyxy[row].astype(float).tolist()
        box = (x0, y0, x1, y1) if boxes is None else boxes[row]
        dropped.append(EmptyOutline(int(rows.data["prompt_index"][row]), str(names[row]), box))
    return dets.take(rows, ~empty), tuple(dropped)


def box_to_outline(prompt: VisualPrompt) -> Xyxy | None:
    """The box in which a segmenter was to outline something; None where only points say where."""
    if prompt.box is not None:
        return prompt.box.xyxy
    box = None if prompt.mask is None else masks.box_of(prompt.mask.array)
    return None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3]))


def name_of(prompts: Sequence[VisualPrompt], index: int) -> str:
    """What was asked for, as a person would point at it; with its number where there are several.

    ``object 2, box 509,40,529,48``, ``“number plate”``, ``point 300,110``.
    """
    prompt = prompts[index]
    sides: tuple[float, ...] = ()
    name = prompt.manner
    if prompt.text:
        name = f"“{prompt.text.phrase}”"
    elif prompt.box:
        sides = prompt.box.xyxy
    elif prompt.points:
        sides = (prompt.points[0].x, prompt.points[0].y)
    if sides:
        name += " " + ",".join(f"{side:g}" for side in sides)
    return name if len(prompts) == 1 else f"object {index + 1}, {name}"


def sentence_of(empty: EmptyOutline, prompts: Sequence[VisualPrompt]) -> str:
    """Which outline was empty, of which prompt."""
    if not prompts:
        return empty.class_name
    named = name_of(prompts, empty.prompt_index)
    if prompts[empty.prompt_index].says_what and empty.xyxy:
        named += " at " + ",".join(f"{side:.0f}" for side in empty.xyxy)
    return named


def not_found(
    prompts: Sequence[VisualPrompt], rows: sv.Detections, empty: Sequence[EmptyOutline]
) -> list[str]:
    """What was asked for and isn't among the rows, one sentence's part each.

    A single prompt without an answer is no news beside "nothing found"; its empty outline is.
    """
    answered = {int(index) for index in rows.data.get("prompt_index", ())}
    answered |= {outline.prompt_index for outline in empty}
    missing = [
        (outline.prompt_index, f"{sentence_of(outline, prompts)} (its outline is empty)")
        for outline in empty
        if not outline.covered
    ]
    if len(prompts) > 1:
        unanswered = (k for k in range(len(prompts)) if k not in answered)
        missing += [(k, name_of(prompts, k)) for k in unanswered]
    return [sentence for _, sentence in sorted(missing)]
