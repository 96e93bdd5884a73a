"""The most memory that was in use over a stretch of work."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any


def forget_peak() -> None:
    """Start measuring anew, where the system can: Linux, and CUDA's own count."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def peak_bytes() -> int | None:
    """Most bytes in use since ``forget_peak``: of the process, and of tensors on a GPU on top.

    None where the system doesn't tell for a stretch: the most of a process's whole life, which
    other systems give, would be another cell's.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                cuda = _cuda()
                on_device = int(cuda.max_memory_allocated()) if cuda else 0
                return int(line.split()[1]) * 1024 + on_device
    return None


def _cuda() -> Any:
    """torch's CUDA module where a model has used it; torch is never imported for this."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None
