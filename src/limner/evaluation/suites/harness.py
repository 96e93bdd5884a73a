"""Runs the cells of a suite: each is answered, judged, drawn and written down, or its error is.

Models are not known here: ``make`` gives an ``Answerer``, one a process, which knows sessions.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from limner.errors import LimnerError
from limner.evaluation.suites.assertions import judge
from limner.evaluation.suites.journal import Journal, journal
from limner.evaluation.suites.outcome import Answerer, Outcome
from limner.evaluation.suites.results import ERROR, CellResult, broken_result, judged_result
from limner.evaluation.suites.suite import Cell, Suite
from limner.evaluation.suites.workers import Pool
from limner.overlay import overlay
from limner.saving import write_atomic

Make = Callable[[], Answerer]
"""Sent to every worker: a class, a function of a module, or a partial of one."""
OnResult = Callable[[CellResult, bool], None]
"""Called as results come: ``on_result(result, whether it lay there already)``."""

SIDE = 480
"""Longest side in pixels of the picture that a report shows."""
QUALITY = 82


Keep = Callable[[Outcome, Path], str]
"""Writes the pictures of an outcome: ``keep(outcome, folder / stem)`` returns the file name of the
one that reports show, which is written last."""


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
    with bench(
        make,
        folder,
        workers=workers,
        resume=resume,
        retry_errors=retry_errors,
        on_result=on_result,
        eval_id=eval_id,
    ) as opened:
        return opened.results(suite.cells)


@contextmanager
def bench(
    make: Make,
    folder: Path,
    *,
    workers: int = 1,
    resume: bool = False,
    retry_errors: bool = False,
    on_result: OnResult | None = None,
    keep: Keep | None = None,
    verb: str = "eval",
    eval_id: str = "",
) -> Iterator[Bench]:
    """A place to work through cells, some now and more later: models stay loaded meanwhile.

    Args: see ``run_suite``.
        keep: writes the pictures; None: ``keep_small``.
        verb: of the command, for sentences.

    Raises:
        OutputError: the folder can't be written, or another process works on it.
    """
    with journal(folder, keep=resume or retry_errors, eval_id=eval_id, verb=verb) as book:
        done = {
            key: result
            for key, result in book.found.items()
            if not (retry_errors and result.status == ERROR)
            and _picture_there(result, book.pictures)
        }
        hands = (
            Pool(make, book.pictures, workers, keep or keep_small)
            if workers > 1
            else Alone(make, book.pictures, keep or keep_small)
        )
        with closing(hands):
            yield Bench(book, hands, done, on_result or (lambda result, kept: None))


@dataclass(frozen=True)
class Bench:
    """An open journal, those who fill it, and what is done so far."""

    book: Journal
    hands: Hands
    done: dict[str, CellResult]
    """By key of the cell."""
    tell: OnResult

    def results(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Each cell's result, in their order; what is done already is not done again."""
        wanted = {cell.key: cell for cell in cells}
        for key in wanted:
            if key in self.done:
                self.tell(self.done[key], True)
        left = _in_order([cell for key, cell in wanted.items() if key not in self.done])
        for result in self.hands.results(left):
            self.book.write(result)
            self.done[result.key] = result
            self.tell(result, False)
        return [_named(self.done[cell.key], cell) for cell in cells]


class Hands(Protocol):
    """Who does the cells."""

    def results(self, cells: Sequence[Cell]) -> Iterator[CellResult]: ...

    def close(self) -> None: ...


class Alone:
    """This process; its answerer is made when there is a cell."""

    def __init__(self, make: Make, pictures: Path, keep: Keep) -> None:
        self._make, self._pictures, self._keep = make, pictures, keep
        self._answerer: Answerer | None = None

    def results(self, cells: Sequence[Cell]) -> Iterator[CellResult]:
        for cell in cells:
            self._answerer = self._answerer or self._make()
            yield work(self._answerer, cell, self._pictures, self._keep)

    def close(self) -> None:
        self._answerer = None


def work(answerer: Answerer, cell: Cell, pictures: Path, keep: Keep) -> CellResult:
    """One cell: whatever goes wrong with it becomes its own error."""
    run = ""
    try:
        outcome = answerer.answer(cell)
        run = outcome.run
        judged = [judge(outcome, cell, each, answerer) for each in cell.case.assertions]
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
