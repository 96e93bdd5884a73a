"""The process that does a run: whether it still lives."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

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
        running = psutil.Process(process.pid)
        if running.status() == psutil.STATUS_ZOMBIE:
            return True
        return bool(abs(running.create_time() - process.started) > CLOCK_SLACK)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False
