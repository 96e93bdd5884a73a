"""Bars of progress on stderr, where somebody watches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from limner.cli.fitting import LEAST_NAME, shortened
from limner.untrusted.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

    from limner.protocols import OnStep

BAR_AFTER = 1.0
"""Seconds after which work gets a progress bar."""
BAR_CELLS = 10
BESIDE_WORDS = BAR_CELLS + 24
"""Cells that the bar, a count and the time left take."""


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
        redirect_stdout=sys.stdout.isatty(),  # what is piped stays in its pipe
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


class BatchProgress:
    """One bar over all pictures of a command: how many of how many, the time left, which one.

    For a single picture a bar of its own steps; where nobody watches, none.

    Args:
        verb: what is done.
        total: pictures.
    """

    def __init__(self, verb: str, total: int) -> None:
        self._verb, self._total = verb, total
        self._done = 0
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._total > 1 and sys.stderr.isatty():
            self._bar = new_bar()
            self._task = self._bar.add_task(self._verb, total=self._total)
            self._timer = threading.Timer(BAR_AFTER, self._bar.start)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._timer.cancel()
            self._bar.stop()

    @contextmanager
    def picture(self, name: str) -> Iterator[OnStep]:
        """An ``on_step`` for the next picture's work."""
        if self._total == 1:
            with progress(f"{self._verb} {name}") as on_step:
                yield on_step
            return
        if self._bar is None:
            yield lambda done, total: None
            return
        bar, task = self._bar, self._task
        room = max(bar.console.width - BESIDE_WORDS, LEAST_NAME)
        bar.update(task, description=shortened(visible(f"{self._verb} {name}"), room))
        yield lambda done, total: bar.update(
            task, completed=min(self._done + done / max(total, 1), self._total)
        )

    def advance(self) -> None:
        """A picture is done, failed, or was done before."""
        self._done = min(self._done + 1, self._total)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)
