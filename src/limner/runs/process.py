"""The process that does a run: whether it still lives, and how much memory it took."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

CLOCK_SLACK = 2.0
"""Seconds by which a process's start may seem to move: it is counted from the boot time, which
follows corrections of the clock."""


@dataclass(frozen=True)
class Process:
    """A number alone is given again to another process; with the start it names one for good."""

    host: str
    pid: int
    started: float
    """Seconds since 1970."""


def this_process() -> Process:
    import psutil

    return Process(platform.node(), os.getpid(), psutil.Process().create_time())


def has_died(process: Process) -> bool:
    """Whether a process of this machine is gone. Of another machine nobody here knows: False."""
    import psutil

    if process.host != platform.node():
        return False
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return True
        return bool(abs(found.create_time() - process.started) > CLOCK_SLACK)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def forget_peak() -> None:
    """Start the measurement of ``peak_bytes`` anew, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM


def peak_bytes() -> int | None:
    """Most resident memory since ``forget_peak``; of the process's whole life where the system
    can't forget; None where it doesn't tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
