"""A cell answered and what of it is kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from limner.errors import LimnerError
from limner.evaluation.cells.assertions import judge
from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.outcome import Answerer, Outcome
from limner.evaluation.cells.results import CellResult, broken_result, judged_result
from limner.io.save import write_atomic
from limner.ops.overlay import overlay

SIDE = 480
"""Longest side in pixels of the picture that a report shows."""


QUALITY = 82


Keep = Callable[[Outcome, Path], str]
"""Writes the pictures of an outcome: ``keep(outcome, folder / stem)`` returns the file name of the
one that reports show, which is written last."""


def work(answerer: Answerer, cell: Cell, pictures: Path, keep: Keep) -> CellResult:
    """One cell: whatever goes wrong with it becomes its own error."""
    run = ""
    try:
        outcome = answerer.answer(cell)
        run = outcome.run
        judged = [judge(outcome, cell, assertion, answerer) for assertion in cell.case.assertions]
        name = keep(outcome, pictures / cell.key[:24])
        return judged_result(cell, outcome, judged, name)
    except LimnerError as error:
        return broken_result(cell, str(error), run)
    except MemoryError:
        return broken_result(cell, "Memory ran out.", run)
    except Exception as error:  # a model's own: the other cells are tested all the same
        return broken_result(cell, f"{type(error).__name__}: {error}", run)


def keep_small(outcome: Outcome, path: Path) -> str:
    """A report's picture, and no other."""
    path = path.with_suffix(".jpg")
    write_atomic(path, drawn(outcome), overwrite=True)
    return path.name


def drawn(outcome: Outcome) -> bytes:
    """The result with what was found drawn on it, as a JPEG of at most ``SIDE`` pixels a side.

    What was painted is to be seen, so an edit gets the outline only.
    """
    edited = outcome.edit is not None
    picture = overlay(
        outcome.result,
        outcome.detections,
        opacity=0.0 if edited else 0.35,
        labels=False if edited else None,
    )
    return small_jpeg(picture)


def small_jpeg(picture: Image.Image) -> bytes:
    """A picture as reports show it."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
