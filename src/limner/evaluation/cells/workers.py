"""Several processes, each with its own models; one that dies costs its cell and nothing else."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.outcome import Answerer, Outcome
from limner.evaluation.cells.results import CellResult, broken_result


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection[Any, Any]
    cell: Cell | None = None


class Pool:
    """Worker processes, started with the first cells and kept for the next ones.

    Processes are spawned: a fork would copy locks that torch's threads hold.
    """

    def __init__(
        self,
        make: Callable[[], Answerer],
        pictures: Path,
        workers: int,
        keep: Callable[[Outcome, Path], str],
    ) -> None:
        self._life = (make, pictures, max(1, (os.cpu_count() or 1) // workers), keep)
        self._workers = workers
        self._pool: list[_Worker] = []

    def results(self, cells: Sequence[Cell]) -> Iterator[CellResult]:
        """Results as they come, in any order.

        Cells are given out one at a time, so that a slow one holds nobody up.
        """
        left = deque(cells)
        while len(self._pool) < min(self._workers, len(left)):
            self._pool.append(_start(self._life))
        for worker in self._pool:
            _give(worker, left)
        while busy := [worker for worker in self._pool if worker.cell]:
            ready = wait([worker.pipe for worker in busy])
            for worker in (each for each in busy if each.pipe in ready):
                cell = worker.cell
                assert cell is not None
                try:
                    yield worker.pipe.recv()
                except (EOFError, OSError):
                    yield broken_result(cell, _death(worker.process))
                    self._pool.remove(worker)
                    worker = _start(self._life)
                    self._pool.append(worker)
                _give(worker, left)

    def close(self) -> None:
        for worker in self._pool:
            worker.pipe.close()  # a worker that waits for a cell ends
            if worker.cell:
                worker.process.terminate()
        for worker in self._pool:
            worker.process.join()
        self._pool.clear()


def _start(life: tuple[Any, ...]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, *life), daemon=True)
    process.start()
    there.close()  # else its end would never be seen
    return _Worker(process, here)


def _give(worker: _Worker, left: deque[Cell]) -> None:
    worker.cell = left.popleft() if left else None
    if worker.cell:
        with contextlib.suppress(OSError):  # it died meanwhile: reading from it will say so
            worker.pipe.send(worker.cell)


def _death(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode
    cause = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return (
        f"The worker ended {cause} while it did this: memory may have run out, so use fewer "
        "workers (-j) or a smaller model."
    )


def _serve(
    pipe: Connection[Any, Any],
    make: Callable[[], Answerer],
    pictures: Path,
    threads: int,
    keep: Callable[[Outcome, Path], str],
) -> None:
    """A worker's life: cells in, results out, until the other side closes or is killed."""
    import signal

    from limner.evaluation.cells.work import work

    # Read when torch is loaded, later: workers that each take all cores slow each other down.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    answerer: Answerer | None = None
    while True:
        try:
            cell = pipe.recv()
        except (EOFError, OSError):
            return
        answerer = answerer or make()
        try:
            pipe.send(work(answerer, cell, pictures, keep))
        except (BrokenPipeError, OSError):
            return
