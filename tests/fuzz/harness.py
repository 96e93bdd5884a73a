"""Spoilt files through a reader, in one forked child a target, under limits of memory and time.

The child is forked from a process that has imported everything, so a case costs what the command
costs. Before each case it writes down which one it begins: whatever ends it names its case.
``python -m tests.fuzz.harness TARGET CASE`` runs one again, in the open.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.cli import main
from tests.fuzz.mutations import mutated

MEMORY = 1_500_000_000
"""Bytes beyond what the process has when it is forked."""
SECONDS = 20
"""Of the processor for one case; six times as many by the clock, for a machine that is busy."""


@dataclass(frozen=True)
class Target:
    """A reader, and how it is given a file."""

    name: str
    write: Callable[[Path], object]
    """Puts valid files into an empty folder."""
    spoil: Sequence[str]
    """Patterns of the files that are spoilt, one a case."""
    words: Sequence[str]
    """The command line, run in that folder; ``{file}`` is the spoilt file."""
    before: Callable[[Path], object] = lambda folder: None
    """What is done in the folder after a file was spoilt, before the command."""
    codes: tuple[int, ...] = (0, 1, 2)
    share: float = 1.0
    """Of the cases; slow readers have fewer."""


@dataclass(frozen=True)
class Outcome:
    case: int
    """-1: the files as they were written."""
    code: int
    stderr: str


def cases_of(target: Target, count: int) -> range:
    return range(max(1, round(count * target.share)))


def run(target: Target, cases: Sequence[int], folder: Path) -> tuple[list[Outcome], str | None]:
    """What each case came to, and why the child ended before the last, if it did."""
    pristine, journal = folder / "pristine", folder / "journal"
    pristine.mkdir(parents=True)
    target.write(pristine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: none runs
        child = os.fork()
    if child == 0:
        _in_child(target, cases, folder)
    _, status = os.waitpid(child, 0)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    outcomes = [Outcome(**line) for line in lines if "code" in line]
    if status == 0:
        return outcomes, None
    begun = lines[-1]["case"] if lines else "none"
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {status >> 8}"
    return outcomes, f"{target.name} {begun}: the process ended with {how}"


def _in_child(target: Target, cases: Sequence[int], folder: Path) -> None:
    """Never returns, and nothing of pytest's runs in it."""
    status = 1
    try:
        with open(folder / "output", "wb") as output:
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
        _limit()
        with open(folder / "journal", "w", buffering=1) as journal:
            for case in (-1, *cases):
                journal.write(json.dumps({"case": case}) + "\n")
                journal.write(json.dumps(vars(one(target, case, folder))) + "\n")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _limit() -> None:
    import cv2
    import torch

    # Threads don't come along when a process is forked: torch waits for its own for ever.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def one(target: Target, case: int, folder: Path) -> Outcome:
    """A case, run in a copy of the target's files."""
    here = folder / "here"
    shutil.rmtree(here, ignore_errors=True)
    shutil.copytree(folder / "pristine", here)
    rng = random.Random(f"{target.name} {case}")
    files = sorted({path for pattern in target.spoil for path in here.glob(pattern)})
    assert files, f"{target.name} has nothing to spoil"
    file = rng.choice(files)
    if case >= 0:
        file.write_bytes(mutated(file.read_bytes(), rng))
    os.environ["LIMNER_HOME"] = str(here / "home")
    os.chdir(here)
    target.before(here)
    words = [word.format(file=file.relative_to(here)) for word in target.words]
    said, errors = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 6 * SECONDS)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        code = main(words)
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
        signal.setitimer(timer, 0)
    return Outcome(case, code, errors.getvalue()[-2000:])


def wrong(target: Target, outcome: Outcome) -> str | None:
    """What is wrong with how a case ended: another code, memory over the limit, no sentence."""
    text = outcome.stderr
    bad = (
        outcome.code not in target.codes
        or "Traceback" in text
        or "Memory ran out" in text
        or "bug in limner" in text
        or (outcome.code == 2 and not text.strip())
    )
    return f"{target.name} {outcome.case}: exit {outcome.code}: {text[-600:]}" if bad else None


def replay(target: Target, case: int) -> None:
    os.environ["LIMNER_DEBUG"] = "1"
    os.environ["LIMNER_STORE"] = "off"
    folder = Path(tempfile.mkdtemp())
    (folder / "pristine").mkdir()
    target.write(folder / "pristine")
    print(one(target, case, folder), f"in {folder / 'here'}")


if __name__ == "__main__":
    from tests.fuzz.targets import TARGETS

    chosen: Any = {target.name: target for target in TARGETS}[sys.argv[1]]
    replay(chosen, int(sys.argv[2]))
