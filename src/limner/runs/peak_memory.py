"""The most memory that was in use over a stretch of work: of the process, and on a GPU."""

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
    """Most resident memory of the process since ``forget_peak``; None where the system can't tell
    it for a stretch."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def lifetime_peak_bytes() -> int | None:
    """Most resident memory of the process's whole life; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_peak_bytes() -> int | None:
    """Most bytes of tensors on the device since ``forget_peak``; None where no GPU was used."""
    cuda = _cuda()
    return int(cuda.max_memory_allocated()) if cuda else None


def _cuda() -> Any:
    """torch's CUDA module where a model has used it; torch is never imported for this."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None
