"""A program for a test: suites of a double, each in a process that is killed at a random moment.

It reads lines of JSON, ``{"jobs": 2, "seconds": 0.1}``: with seconds the suite, which is resumed,
is killed so long after its first cell; without them it may end. Everything is imported before it
forks, so that a kill doesn't fall into a second of imports.

    python -m tests.evaluation.suites.killed FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import psutil

from limner.evaluation.cells.journal import CELLS
from limner.evaluation.cells.runner import Execution, run_cells
from limner.evaluation.suites.load import read_suite

from .doubles import Told


def main() -> None:
    folder = Path(sys.argv[1])
    suite = read_suite(folder / "suite.yaml", 1)
    make = partial(Told, folder / "asked")
    journal = folder / "kept" / CELLS
    for line in sys.stdin:
        order = json.loads(line)
        size = journal.stat().st_size if journal.exists() else 0
        child = os.fork()
        if not child:
            run_cells(suite.cells, make, folder / "kept", Execution(order["jobs"], resume=True))
            os._exit(0)
        if "seconds" in order:
            _wait_for_cell(child, journal, size)
            time.sleep(order["seconds"])
            family = psutil.Process(child).children(recursive=True)
            os.kill(child, signal.SIGKILL)
            psutil.wait_procs(family, timeout=60)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "code": status}), flush=True)


def _wait_for_cell(child: int, journal: Path, size: int) -> None:
    """Until a cell is written, or there is none left."""
    while not journal.exists() or journal.stat().st_size <= size:
        if psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.001)


if __name__ == "__main__":
    main()
