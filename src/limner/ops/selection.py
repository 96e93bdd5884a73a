"""Which of the found things are meant, as a person types it: ``--select largest``.

What is typed is a value; the choosing itself is done by the functions of ``ops.choose``, which are
imported when a selection is applied: the command line's help needs no detection library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.errors import PromptError
from limner.prompts import Box, Point

if TYPE_CHECKING:
    import supervision as sv

ORDERS = ("best", "largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost")
"""Selections by order: the names of ``choose.ORDERS``."""

SELECT_SYNTAX = (
    f"{', '.join(ORDERS)} (each with :N for how many), nearest:x,y[:N], "
    "inside:left,top,right,bottom, count:N (at most N, best first)"
)


@dataclass(frozen=True)
class Selection:
    """One ``--select``: ``largest``, ``leftmost:2``, ``nearest:350,400``, ``inside:0,0,90,90``."""

    name: str
    numbers: tuple[float, ...] = ()
    count: int = 1

    def __call__(self, detections: sv.Detections) -> sv.Detections:
        """Applied to each prompt's rows apart, so that ``largest`` means the largest of each."""
        import numpy as np

        from limner.ops import detections as dets

        if not len(detections) or detections.class_id is None:
            return detections
        of_each = [
            dets.take(detections, detections.class_id == k) for k in np.unique(detections.class_id)
        ]
        return dets.merge([self._pick(rows) for rows in of_each])

    def _pick(self, rows: sv.Detections) -> sv.Detections:
        from limner.ops import choose

        if self.name == "nearest":
            return choose.nearest(rows, self.numbers[0], self.numbers[1], self.count)
        if self.name == "inside":
            return choose.inside(rows, Box(*self.numbers))
        return choose.ORDERS["best" if self.name == "count" else self.name](rows, self.count)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "numbers": list(self.numbers), "count": self.count}


def parse_selection(text: str) -> Selection:
    """A ``--select`` value as typed.

    Raises:
        PromptError: unknown name, wrong number of values, a count below 1.
    """
    name, *rest = text.strip().split(":")
    try:
        if name in ORDERS and len(rest) <= 1:
            return Selection(name, count=_count(rest[0]) if rest else 1)
        if name == "count" and len(rest) == 1:
            return Selection(name, count=_count(rest[0]))
        if name == "nearest" and len(rest) in (1, 2):
            x, y = _floats(rest[0], 2)
            count = _count(rest[1]) if len(rest) == 2 else 1
            Point(x, y)  # refuses what is not finite
            return Selection(name, (x, y), count)
        if name == "inside" and len(rest) == 1:
            return Selection(name, Box(*_floats(rest[0], 4)).xyxy)
    except ValueError:
        pass
    raise PromptError(f"--select takes {SELECT_SYNTAX}; got {text!r}.")


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def _floats(text: str, expected: int) -> list[float]:
    values = [float(part) for part in text.split(",")]
    if len(values) != expected:
        raise ValueError(text)
    return values
