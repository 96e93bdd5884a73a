"""Bars of progress on stderr, where somebody watches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from limner.untrusted.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

    from limner.protocols import OnStep

BAR_AFTER = 1.0
"""Seconds after which work gets a progress bar."""
BAR_CELLS = 10


def new_bar(
    *count: ProgressColumn, tail: str = "{task.description}", console: Console | None = None
) -> Progress:
    """A bar with count and time left, which stay whole on a terminal of 40 cells: the words come
    last and are cut.

    Args:
        count: columns that say how much is done; none: steps of steps.
        tail: the words, as a format of the task.
        console: None: stderr.
    """
    from rich import progress, table
    from rich.console import Console

    words = table.Column(no_wrap=True, overflow="ellipsis", ratio=1)
    return progress.Progress(
        progress.BarColumn(BAR_CELLS),
        *(count or (progress.MofNCompleteColumn(),)),
        progress.TimeRemainingColumn(compact=True),
        progress.TextColumn(tail, markup=False, table_column=words),
        console=console or Console(stderr=True),
        transient=True,
        expand=True,
    )


@contextmanager
def progress(label: str) -> Iterator[OnStep]:
    """An ``on_step`` for one picture's work, which may take long.

    On a terminal a bar appears after ``BAR_AFTER`` seconds: at first one that only moves, then, as
    soon as the work reports steps, one that fills.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    bar = new_bar()
    task = bar.add_task(visible(label), total=None)
    timer = threading.Timer(BAR_AFTER, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        timer.cancel()
        bar.stop()
