"""Runs the cells of a suite: each is answered, judged, drawn and written down, or its error is.

Models are not known here: ``make`` gives an ``Answerer``, one a process, which knows sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.journal import Journal, journal
from limner.evaluation.cells.outcome import Answerer
from limner.evaluation.cells.results import ERROR, CellResult
from limner.evaluation.cells.work import Keep, keep_small, work
from limner.evaluation.cells.workers import Pool
from limner.evaluation.suites.suite import Suite

Make = Callable[[], Answerer]
"""Sent to every worker: a class, a function of a module, or a partial of one."""
OnResult = Callable[[CellResult, bool], None]
"""Called as results come: ``on_result(result, whether it lay there already)``."""


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
) -> Iterator[Runner]:
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
            else InProcess(make, book.pictures, keep or keep_small)
        )
        with closing(hands):
            yield Runner(book, hands, done, on_result or (lambda result, kept: None))


@dataclass(frozen=True)
class Runner:
    """An open journal, those who fill it, and what is done so far."""

    book: Journal
    hands: Executor
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


class Executor(Protocol):
    """Who does the cells."""

    def results(self, cells: Sequence[Cell]) -> Iterator[CellResult]: ...

    def close(self) -> None: ...


class InProcess:
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
