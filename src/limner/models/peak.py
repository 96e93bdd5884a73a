"""The most memory of a GPU that was in use, asked of torch only where torch is loaded already."""

from __future__ import annotations

import sys
from typing import Any


def _cuda() -> Any:
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda if cuda is not None and cuda.is_initialized() else None


def forget() -> None:
    """Start the measurement anew."""
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def device_bytes() -> int | None:
    """Most bytes of tensors on the device since ``forget``; None where no GPU was used."""
    cuda = _cuda()
    return int(cuda.max_memory_allocated()) if cuda else None
