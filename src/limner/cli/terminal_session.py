"""What is said once while a terminal is open, and not at each command typed in it."""

from __future__ import annotations

import contextlib
import os
import sys

from limner.errors import LimnerError
from limner.home import home

FILE = "terminals.txt"
"""In the folder that limner keeps for a user: a line for each thing said in each terminal."""
MOST_LINES = 50


def is_first_here(topic: str) -> bool:
    """Whether nothing was said about this in this terminal so far; from now on something was.

    Where stderr is no terminal, or the file can't be kept, it is the first time always.
    """
    if not sys.stderr.isatty():
        return True
    line = f"{topic} {_terminal()}"
    file = home() / FILE
    lines: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        lines = file.read_text(encoding="utf-8").splitlines()[-MOST_LINES:]
    if line in lines:
        return False
    with contextlib.suppress(OSError, ValueError, LimnerError):
        from limner.io.save import write_atomic

        write_atomic(file, "\n".join([*lines, line]) + "\n", overwrite=True)
    return True


def _terminal() -> str:
    """The terminal and the process that opened it, with its start: numbers come again."""
    import psutil

    leader = os.getsid(0) if hasattr(os, "getsid") else os.getppid()
    name, started = "terminal", 0
    with contextlib.suppress(OSError, ValueError, AttributeError):
        name = os.ttyname(sys.stderr.fileno())
    with contextlib.suppress(psutil.Error):
        started = round(psutil.Process(leader).create_time())
    return f"{name} {leader} {started}"
