"""Cases as a table, and pictures of any size."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

side = st.one_of(st.integers(1, 8000), st.sampled_from([1, 2, 27, 28, 640, 999, 1000, 1024, 8000]))
size = st.tuples(side, side)
"""(width, height)"""


def rows(*table: tuple[Any, ...]) -> list[Any]:
    """A table of cases; the first cell of each row is the case's name."""
    return [pytest.param(*row, id=name) for name, *row in table]
