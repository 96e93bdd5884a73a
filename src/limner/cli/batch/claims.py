"""Several processes on one folder: each picture is claimed before it is done, so that none is done
twice.

A claim is a hidden file beside the result, which says who does it: host, number and start of the
process, as runs do. It is gone when the result is there. A claim whose process died is taken over;
of another machine nobody here knows, so its claims hold for a day.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from limner.home import HIDDEN, temporary_name
from limner.runs.process import Process, has_died, this_process

FOREIGN_HOLDS = 24 * 3600.0
"""Seconds for which a claim from another machine is believed."""
UNWRITTEN_HOLDS = 5.0
"""Seconds for which a claim is believed that doesn't say yet whose it is, as on a disk without
links."""
UNKNOWN = Process("", 0, 0.0)


def claim_of(finished: Path) -> Path:
    """Where the claim on a result lies; ``finished`` is the file that marks its end."""
    name = hashlib.sha256(os.fsencode(finished.name)).hexdigest()[:16]
    return finished.parent / f"{HIDDEN}{name}.claim"


@contextmanager
def claimed(finished: Path) -> Iterator[Process | None]:
    """Claim a result; yields the process that has it already, or None: it is ours meanwhile.

    Where no claim can be written the result is done all the same: twice is no harm, for it is
    written in one step.
    """
    claim = claim_of(finished)
    new_folders = _make_folder(claim.parent)
    other: Process | None = None
    ours = False
    try:
        ours, other = _take(claim)
        yield other
    finally:
        if ours:
            with contextlib.suppress(OSError):
                claim.unlink()
        for folder in new_folders:  # nothing was found: an empty folder is no result
            with contextlib.suppress(OSError):
                folder.rmdir()


def _take(claim: Path) -> tuple[bool, Process | None]:
    """Whether the claim is ours now, and else whose it is."""
    for _ in range(100):
        try:
            _write(claim)
            return True, None
        except FileExistsError:
            if other := _holder(claim):
                return False, other
            _clear(claim)
        except FileNotFoundError:  # another has just removed the folder, which was empty
            _make_folder(claim.parent)
        except OSError:
            return False, None
    return False, None


def _write(claim: Path) -> None:
    """Make a claim of this process, whole from its first moment: a kill leaves no half of it.

    Raises:
        FileExistsError: there is one.
    """
    content = json.dumps(asdict(this_process()))
    temporary = claim.with_name(temporary_name())
    temporary.write_text(content, encoding="utf-8")
    try:
        os.link(temporary, claim)
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        with open(claim, "x", encoding="utf-8") as file:
            file.write(content)
    finally:
        temporary.unlink(missing_ok=True)


def _holder(claim: Path) -> Process | None:
    """Who holds a claim; None: nobody that lives."""
    try:
        age = time.time() - claim.stat().st_mtime
        owner = json.loads(claim.read_text(encoding="utf-8"))
        process = Process(str(owner["host"]), int(owner["pid"]), float(owner["started"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return UNKNOWN if age < UNWRITTEN_HOLDS else None
    here = this_process()
    if process.host != here.host:
        return process if age < FOREIGN_HOLDS else None
    return None if process.pid == here.pid or has_died(process) else process


def _clear(claim: Path) -> None:
    """Remove a dead claim, unless another process put its own in that place meanwhile."""
    aside = claim.with_name(temporary_name())
    with contextlib.suppress(OSError):
        os.rename(claim, aside)  # only one of several succeeds
        if _holder(aside):
            with contextlib.suppress(OSError):
                os.link(aside, claim)
        aside.unlink()


def clear_dead(folders: Iterable[Path]) -> None:
    """Remove claims that a killed process left, of results that it had just finished too."""
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            for claim in folder.glob(f"{HIDDEN}*.claim"):
                if not _holder(claim):
                    _clear(claim)


def _make_folder(folder: Path) -> list[Path]:
    """The folders that had to be made, the deepest first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    with contextlib.suppress(OSError):
        if missing:
            missing[0].mkdir(parents=True, exist_ok=True)
    return missing


def named(process: Process) -> str:
    """``process 4711``, and its machine where that is another one."""
    if process is UNKNOWN:
        return "another process"
    where = "" if process.host == this_process().host else f" on {process.host}"
    return f"another process ({process.pid}{where})"
