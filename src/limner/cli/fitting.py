"""Lines that fit a terminal. In a pipe nothing is shortened: whatever stands there can cut."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

LEAST_NAME = 24
"""Cells that a shortened name keeps."""


def columns() -> int | None:
    """The terminal's width in cells; None: stdout is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shortened(name: str, cells: int) -> str:
    """A name in at most so many cells: its beginning and its end, which tells most, stay."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= cells:
        return name
    first = max((cells - 1) // 2, 0)
    end = name
    while end and cell_len(end) > cells - 1 - first:
        end = end[1:]
    return f"{set_cell_size(name, first).rstrip()}…{end}"


def fitted(name: str, facts: Sequence[str], last: str, width: int | None) -> list[str]:
    """``name  fact, fact  last`` in lines of at most ``width`` cells; no fact is lost.

    One line where shortening the name is enough; else what doesn't fit is on further lines.

    Args:
        last: set apart at the end; may be empty.
        width: None: one line, however long.
    """
    text = ", ".join(facts) + (f"  {last}" if last else "")
    if width is None:
        return [f"{name}  {text}"]
    from rich.cells import cell_len

    room = width - 2 - cell_len(text)
    if room >= min(cell_len(name), LEAST_NAME):
        return [f"{shortened(name, room)}  {text}"]
    head = shortened(name, max(width // 2, LEAST_NAME))
    *most, end = facts
    pieces = [*(f"{fact}," for fact in most), f"{end}  {last}" if last else end]
    return _filled(f"{head} ", pieces, width)


def wrapped(text: str, width: int | None) -> list[str]:
    """``text``, two cells indented, broken between words where it must be."""
    return _filled(" ", text.split(" "), width) if width is not None else [f"  {text}"]


def _filled(first: str, pieces: Sequence[str], width: int) -> list[str]:
    """Pieces with spaces between them, after ``first``; further lines are indented as much as a
    name's second line is. A piece that is longer than a line is broken between its words."""
    from rich.cells import cell_len

    lines, line = [], first
    queue = list(pieces)
    while queue:
        piece = queue.pop(0)
        if cell_len(line) + 1 + cell_len(piece) <= width:
            line = f"{line} {piece}"
        elif " " in piece and cell_len(piece) > width - 2:
            queue[:0] = piece.split()
        else:
            lines += [line] if line.strip() else []
            line = f"  {piece}"
    return [*lines, line]
