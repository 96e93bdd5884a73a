"""What Florence-2 writes, read: boxes and polygons as location tokens between words.

Each ``<loc_N>`` is the N-th thousandth of a side, x and y in turn. Nothing is mended: a box whose
corners are in the wrong order, a run of tokens that isn't whole boxes or whole points, words where
none belong, all say nothing. Only at the end of an answer that was cut off is what came before the
cut kept. Pure functions, with the format of transformers' ``Florence2PostProcessor``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LOCATION = re.compile(r"<loc_([0-9]{1,3})>")
POLYGONS = "<poly>"
"""What comes before the polygons of one thing, where an answer has several things."""


@dataclass(frozen=True)
class Piece:
    """A special token of an answer, or the words between two."""

    text: str
    probability: float
    """The model's own, given everything before; of words it isn't used."""

    @property
    def location(self) -> int | None:
        """0..999; None: not a location token."""
        match = LOCATION.fullmatch(self.text)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Shape:
    """A box, as its two corners, or a polygon of three points and more."""

    label: str
    """The words it came after."""
    points: tuple[tuple[int, int], ...]
    """(x, y) in thousandths of the image's sides."""
    confidence: float
    """Geometric mean of its tokens' probabilities."""


def boxes(pieces: Sequence[Piece], *, cut_off: bool = False) -> list[Shape]:
    """Every box that has words before it.

    Things that were answered as polygons get the box around those.

    Args:
        cut_off: the answer ended because it was long, not because it was over.
    """
    if any(piece.text == POLYGONS for piece in pieces):
        return [_around(polygon) for polygon in polygons(pieces, cut_off=cut_off) if polygon.label]
    shapes = []
    for label, run, last in _runs(pieces):
        if not label or (len(run) % 4 and not (last and cut_off)):
            continue
        for n in range(0, len(run) - len(run) % 4, 4):
            shape = _shape(label, run[n : n + 4])
            (x0, y0), (x1, y1) = shape.points
            if x0 < x1 and y0 < y1:
                shapes.append(shape)
    return shapes


def polygons(pieces: Sequence[Piece], *, cut_off: bool = False) -> list[Shape]:
    """Every polygon, with words before it or without; ``cut_off`` as for ``boxes``."""
    shapes = []
    for label, run, last in _runs(pieces):
        if len(run) % 2:
            if not (last and cut_off):
                continue
            run = run[:-1]
        if len(run) >= 6:
            shapes.append(_shape(label, run))
    return shapes


def _runs(pieces: Sequence[Piece]) -> Iterator[tuple[str, Sequence[Piece], bool]]:
    """Of each unbroken run of location tokens: the words before it, the tokens, and whether the
    answer ends with it. Marks between runs (``<sep>``, ``<poly>``) keep the words."""
    label, run = "", list[Piece]()
    for piece in pieces:
        if piece.location is not None:
            run.append(piece)
            continue
        if run:
            yield label, run, False
            run = []
        if not _is_mark(piece):
            label = piece.text.strip()
    if run:
        yield label, run, True


def _is_mark(piece: Piece) -> bool:
    return piece.text.startswith("<") and piece.text.endswith(">")


def _shape(label: str, run: Sequence[Piece]) -> Shape:
    values = [piece.location or 0 for piece in run]
    logs = [math.log(max(piece.probability, 1e-12)) for piece in run]
    points = tuple(zip(values[::2], values[1::2], strict=True))
    return Shape(label, points, math.exp(sum(logs) / len(logs)))


def _around(polygon: Shape) -> Shape:
    xs, ys = zip(*polygon.points, strict=True)
    return Shape(polygon.label, ((min(xs), min(ys)), (max(xs), max(ys))), polygon.confidence)
