"""``limner models list`` and ``profiles`` as tables that fit a terminal of 80 columns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from limner.cli.batch.dry_run import duration
from limner.cli.commands.models.profiles import ProfileRow, cannot
from limner.cli.console import aligned, row_of, say, say_table
from limner.registry import store

if TYPE_CHECKING:
    from rich.table import Table

    from limner.registry.catalog import ModelEntry

NARROW = 130
"""Columns below which a table has fewer of its own."""
CLOSING = (
    "Time: for one picture and one prompt on this machine's CPU; with ? it wasn't measured but "
    "reckoned from a sibling. Memory: the peak, weights included. --profile NAME takes one."
)
PIPE = 200
"""Columns where nobody sees a width."""


def print_models(entries: Sequence[ModelEntry]) -> None:
    """A row a model; at a narrow terminal commercial use stands behind the licence."""
    width = get_terminal_size().columns if sys.stdout.isatty() else PIPE
    say_table(models_table(entries, narrow=width < NARROW), width=PIPE)


def models_table(entries: Sequence[ModelEntry], *, narrow: bool) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    names = "name task size here licence" if narrow else "name task size licence commercial here"
    wrapped = ("task", "licence") if narrow else ("licence",)
    for name in names.split():
        table.add_column(name, no_wrap=name not in wrapped)
    for entry in entries:
        here = "yes" if store.is_here(entry) else ""
        if narrow:
            limit = "" if entry.commercial == "yes" else f" (commercial: {entry.commercial})"
            row = [entry.name, entry.purpose, _short(entry), here, entry.licence + limit]
        else:
            row = [entry.name, entry.purpose, entry.size, entry.licence, entry.commercial, here]
        table.add_row(*row_of(*row))
    return table


def _short(entry: ModelEntry) -> str:
    """A download in few letters."""
    if entry.weightless:
        return "none"
    return "ships" if entry.shipped else entry.size.removeprefix("≈ ")


def print_profiles(rows: Sequence[ProfileRow]) -> None:
    """A block a profile: its models, what they cost here, and what it can't do."""
    for line in profile_lines(rows):
        say(line)


def profile_lines(rows: Sequence[ProfileRow]) -> Iterator[str]:
    heads = ("to", "model", "size", "memory", "time", "here")
    cells = [
        (
            row.task,
            row.entry.name,
            _short(row.entry),
            f"{row.memory_gb:g} GB",
            duration(row.seconds) + ("" if row.measured else "?"),
            "yes" if row.here else "",
        )
        for row in rows
    ]
    head, *lines = aligned([heads, *cells])
    for profile in dict.fromkeys(row.profile for row in rows):
        own = [k for k, row in enumerate(rows) if row.profile == profile]
        yield f"{profile}"
        yield f"  {head}"
        for k in own:
            yield f"  {lines[k]}"
        missing = cannot(profile)
        yield from _wrapped("  can't: ", "; ".join(missing))
        yield ""
    yield from _wrapped("", CLOSING)


def _wrapped(begin: str, text: str) -> Iterator[str]:
    import textwrap

    yield from textwrap.wrap(text, 80, initial_indent=begin, subsequent_indent=" " * len(begin))
