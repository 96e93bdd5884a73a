"""Several processes, each with its own models; one that dies costs its cell and nothing else."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.outcome import Answerer
from limner.evaluation.cells.results import CellResult, broken_result
from limner.evaluation.cells.work import Keep, work
from limner.runs.spawned_process import Pipe, SpawnedProcess, spawn


@dataclass
class _Worker:
    spawned: SpawnedProcess
    cell: Cell | None = None

    @property
    def pipe(self) -> Pipe:
        return self.spawned.pipe


class Pool:
    """Worker processes, started with the first cells and kept for the next ones."""

    def __init__(
        self, make: Callable[[], Answerer], pictures: Path, workers: int, keep: Keep
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
                    yield broken_result(cell, _death(worker.spawned))
                    self._pool.remove(worker)
                    worker = _start(self._life)
                    self._pool.append(worker)
                _give(worker, left)

    def close(self) -> None:
        for worker in self._pool:
            worker.pipe.close()  # a worker that waits for a cell ends
            if worker.cell:
                worker.spawned.process.terminate()
        for worker in self._pool:
            worker.spawned.process.join()
        self._pool.clear()


def _start(life: tuple[Any, ...]) -> _Worker:
    return _Worker(spawn(_serve, *life))


def _give(worker: _Worker, left: deque[Cell]) -> None:
    worker.cell = left.popleft() if left else None
    if worker.cell:
        with contextlib.suppress(OSError):  # it died meanwhile: reading from it will say so
            worker.pipe.send(worker.cell)


def _death(spawned: SpawnedProcess) -> str:
    code = spawned.exit_code()
    cause = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    return (
        f"The worker ended {cause} while it did this: memory may have run out, so use fewer "
        "workers (-j) or a smaller model."
    )


def _serve(
    pipe: Pipe, make: Callable[[], Answerer], pictures: Path, threads: int, keep: Keep
) -> None:
    """A worker's life: cells in, results out, until the other side closes or is killed."""
    # Read when torch is loaded, later: workers that each take all cores slow each other down.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
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
