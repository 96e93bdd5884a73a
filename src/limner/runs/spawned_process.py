"""A process of limner's own beside this one: it gets and sends values, and its death is seen.

Processes are spawned: a fork would copy locks that torch's threads hold, and share what is loaded.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias

Pipe: TypeAlias = "Connection[Any, Any]"


@dataclass(frozen=True)
class SpawnedProcess:
    """A process that was started, and this side of the pipe to it."""

    process: BaseProcess
    pipe: Pipe

    def exit_code(self) -> int | None:
        """Of a process that closed its side of the pipe, which is waited for."""
        self.process.join()
        return self.process.exitcode

    def stop(self) -> None:
        """End it, whatever it does."""
        self.process.terminate()
        self.process.join()


def spawn(life: Callable[..., None], *values: Any) -> SpawnedProcess:
    """Start ``life(pipe, *values)``.

    Where it ends while something is awaited, reading from the pipe raises ``EOFError`` or
    ``OSError``.

    Args:
        life: a function of a module, which is sent by its name.
    """
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=_live, args=(life, child_end, values), daemon=True)
    process.start()
    child_end.close()  # else its end would never be seen
    return SpawnedProcess(process, parent_end)


def _live(life: Callable[..., None], pipe: Pipe, values: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    life(pipe, *values)
