"""Running out of memory, said in one way whatever ran out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from limner.errors import OutOfMemory
from limner.registry.oom_signs import DEVICE_SIGNS, SIGNS


@contextmanager
def guard_memory(advice: str) -> Iterator[None]:
    """Turn a failed allocation inside the block into ``OutOfMemory``; other errors pass.

    Args:
        advice: what to lower, as a sentence without its capital and its stop.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        message = str(error).lower()
        failed = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not failed and not any(sign in message for sign in SIGNS):
            raise
        device = any(sign in message for sign in DEVICE_SIGNS)
        where = "The device's" if device else "This machine's"
        raise OutOfMemory(f"{where} memory ran out: {advice}.") from error
