"""Runs the cells of a suite: each is answered, judged, drawn and written down, or its error is.

Models are not known here: ``make`` gives an ``Answerer``, one a process, which knows sessions.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from limner.errors import LimnerError
from limner.evaluation.suites.assertions import judge
from limner.evaluation.suites.journal import journal
from limner.evaluation.suites.outcome import Answerer, Outcome
from limner.evaluation.suites.results import ERROR, CellResult, broken_result, judged_result
from limner.evaluation.suites.suite import Cell, Suite
from limner.overlay import overlay
from limner.saving import write_atomic

Make = Callable[[], Answerer]
"""Sent to every worker: a class, a function of a module, or a partial of one."""
OnResult = Callable[[CellResult, bool], None]
"""Called as results come: ``on_result(result, whether it lay there already)``."""

SIDE = 480
"""Longest side in pixels of the picture that a report shows."""
QUALITY = 82


def run_suite(
    suite: Suite,
    make: Make,
    folder: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    retry_errors: bool = False,
    eval_id: str = "",
    on_result: OnResult | None = None,
) -> list[CellResult]:
    """Every cell's result, in the suite's order.

    Args:
        folder: of the journal and the pictures.
        workers: processes; with 1 the work is done in this one.
        resume: keep what the journal has, and do the rest.
        retry_errors: the same, but do the cells with errors again.
        eval_id: what the journal notes of who was begun; see ``archive``.

    Raises:
        OutputError: the folder can't be written, or another process works on it.
    """
    tell = on_result or (lambda result, kept: None)
    with journal(folder, keep=resume or retry_errors, eval_id=eval_id) as book:
        done = {
            key: result
            for key, result in book.found.items()
            if not (retry_errors and result.status == ERROR)
            and _picture_there(result, book.pictures)
        }
        wanted = {cell.key: cell for cell in suite.cells}
        for key in wanted:
            if key in done:
                tell(done[key], True)
        left = _in_order([cell for key, cell in wanted.items() if key not in done])
        for result in _results(left, make, book.pictures, min(workers, len(left))):
            book.write(result)
            done[result.key] = result
            tell(result, False)
    return [_named(done[cell.key], cell) for cell in suite.cells]


def work(answerer: Answerer, cell: Cell, pictures: Path) -> CellResult:
    """One cell: whatever goes wrong with it becomes its own error."""
    run = ""
    try:
        outcome = answerer.answer(cell)
        run = outcome.run
        judged = [judge(outcome, cell, each, answerer) for each in cell.case.assertions]
        name = f"{cell.key[:24]}.jpg"
        write_atomic(pictures / name, drawn(outcome), overwrite=True)
        return judged_result(cell, outcome, judged, name)
    except LimnerError as error:
        return broken_result(cell, str(error), run)
    except MemoryError:
        return broken_result(cell, "Memory ran out.", run)
    except Exception as error:  # a model's own: the other cells are tested all the same
        return broken_result(cell, f"{type(error).__name__}: {error}", run)


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
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _results(
    cells: Sequence[Cell], make: Make, pictures: Path, workers: int
) -> Iterator[CellResult]:
    if workers > 1:
        from limner.evaluation.suites.workers import results_of

        yield from results_of(cells, make, pictures, workers)
        return
    answerer = make() if cells else None
    for cell in cells:
        if answerer is not None:
            yield work(answerer, cell, pictures)


def _in_order(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of one choice of models together, and in them those of one picture: models are
    loaded and pictures embedded once."""

    def first_seen() -> Callable[[Any], int]:
        order: dict[Any, int] = {}
        return lambda value: order.setdefault(value, len(order))

    models, pictures = first_seen(), first_seen()
    return sorted(cells, key=lambda cell: (models(cell.models), pictures(cell.case.image)))


def _picture_there(result: CellResult, pictures: Path) -> bool:
    return not result.picture or (pictures / result.picture).exists()


def _named(result: CellResult, cell: Cell) -> CellResult:
    """The result under this cell's own name: two cells that ask the same were done once."""
    return CellResult.from_dict({**result.to_dict(), "name": cell.name})
