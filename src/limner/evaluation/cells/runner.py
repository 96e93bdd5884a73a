"""Runs cells: each is answered, judged, drawn and written down, or its error is.

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

Make = Callable[[], Answerer]
"""Sent to every worker: a class, a function of a module, or a partial of one."""
OnResult = Callable[[CellResult, bool], None]
"""Called as results come: ``on_result(result, whether it lay there already)``."""


@dataclass(frozen=True)
class Execution:
    """How cells are worked through."""

    workers: int = 1
    """Processes; with 1 the work is done in this one."""
    resume: bool = False
    """Keep what the journal has, and do the rest."""
    retry_errors: bool = False
    """The same, but do the cells with errors again."""

    @property
    def goes_on(self) -> bool:
        """Whether what an earlier run left counts."""
        return self.resume or self.retry_errors


ALONE = Execution()
"""In this process, from the beginning."""


def run_cells(
    cells: Sequence[Cell],
    make: Make,
    folder: Path,
    execution: Execution = ALONE,
    *,
    eval_id: str = "",
    on_result: OnResult | None = None,
) -> list[CellResult]:
    """Every cell's result, in the cells' order.

    Args:
        folder: of the journal and the pictures.
        eval_id: what the journal notes of who was begun; see ``archive``.

    Raises:
        OutputError: the folder can't be written, or another process works on it.
    """
    with open_runner(make, folder, execution, eval_id=eval_id, on_result=on_result) as runner:
        return runner.run(cells)


@contextmanager
def open_runner(
    make: Make,
    folder: Path,
    execution: Execution = ALONE,
    *,
    keep: Keep = keep_small,
    verb: str = "eval",
    eval_id: str = "",
    on_result: OnResult | None = None,
) -> Iterator[Runner]:
    """A place to work through cells, some now and more later: models stay loaded meanwhile.

    Args: see ``run_cells``.
        keep: writes the pictures.
        verb: of the command, for sentences.

    Raises:
        OutputError: the folder can't be written, or another process works on it.
    """
    with journal(folder, keep=execution.goes_on, eval_id=eval_id, verb=verb) as opened:
        done = {
            key: result
            for key, result in opened.results.items()
            if not (execution.retry_errors and result.status == ERROR)
            and _picture_there(result, opened.pictures)
        }
        workers = execution.workers
        executor = (
            Pool(make, opened.pictures, workers, keep)
            if workers > 1
            else InProcess(make, opened.pictures, keep)
        )
        with closing(executor):
            yield Runner(opened, executor, done, on_result or (lambda result, was_there: None))


@dataclass(frozen=True)
class Runner:
    """An open journal, those who fill it, and what is done so far."""

    journal: Journal
    executor: Executor
    done: dict[str, CellResult]
    """By key of the cell."""
    on_result: OnResult

    def run(self, cells: Sequence[Cell]) -> list[CellResult]:
        """Each cell's result, in their order; what is done already is not done again."""
        wanted = {cell.key: cell for cell in cells}
        for key in wanted:
            if key in self.done:
                self.on_result(self.done[key], True)
        left = _in_order([cell for key, cell in wanted.items() if key not in self.done])
        for result in self.executor.results(left):
            self.journal.write(result)
            self.done[result.key] = result
            self.on_result(result, False)
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
