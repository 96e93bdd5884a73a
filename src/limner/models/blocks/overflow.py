"""Numbers that a format of 16 bits couldn't hold."""

from __future__ import annotations

import torch

from limner.errors import ResultError


def check_finite(name: str, numbers: torch.Tensor, where: str) -> None:
    """Refuse what overflowed.

    Raises:
        ResultError: the picture would be black.
    """
    if not bool(torch.isfinite(numbers).all()):
        dtype = str(numbers.dtype).removeprefix("torch.")
        raise ResultError(
            f"{name} overflowed in {dtype} {where}, and the picture would be black. "
            "Use bfloat16 or float32."
        )
