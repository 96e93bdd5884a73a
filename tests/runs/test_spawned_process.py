"""A process of limner's own gets values, sends values, and its death is seen."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from limner.runs.spawned_process import spawn


def doubling(pipe: Any, factor: int) -> None:
    """Multiplies what comes, and dies of 13."""
    while True:
        number = pipe.recv()
        if number == 13:
            os._exit(7)
        pipe.send(number * factor)


@pytest.mark.slow
def test_it_answers_survives_ctrl_c_and_its_death_is_seen() -> None:
    """Ctrl-C reaches the whole group of a terminal: the parent answers it, and no child dies of it.

    Whoever waits for an answer of a process that died gets an exception, and not a wait for ever.
    """
    spawned = spawn(doubling, 3)
    try:
        spawned.pipe.send(2)
        assert spawned.pipe.recv() == 6
        assert spawned.process.pid is not None
        os.kill(spawned.process.pid, signal.SIGINT)
        spawned.pipe.send(4)
        assert spawned.pipe.recv() == 12
        spawned.pipe.send(13)
        with pytest.raises((EOFError, OSError)):
            spawned.pipe.recv()
        assert spawned.exit_code() == 7
    finally:
        spawned.stop()
    assert not spawned.process.is_alive()
