"""What is printed while a verb works, and of its results.

All that limner prints goes through here. File names, phrases, captions and what servers answer may
hold escapes, line breaks and marks that turn the reading direction: on a terminal these would
recolour it, forge lines or hide a name's ending, so they are shown as text, ``\\x1b``,
in a pipe too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from limner.untrusted.plain_text import visible

if TYPE_CHECKING:
    from rich.table import Table

    from limner.cli.batch.settings import Tally

MOST_NAMES = 5
"""Things not found that are named in one line."""

JPEG_NOTE = "JPEG: the whole picture was re-encoded."
"""Said instead of the proof that nothing changed outside the mask, which such a file can't keep."""


def say(text: str, *, err: bool = False) -> None:
    """One line, whatever names it holds; what the terminal has no letters for becomes a mark.

    Notes are lost in silence where stderr can't be written: that must not cost the result.
    """
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    line = visible(text).encode(encoding, "replace").decode(encoding, "replace")
    try:
        click.echo(line, file=stream)  # the one of now: above a bar where there is one
    except OSError:
        if not err:
            raise


def say_note(sentence: str) -> None:
    """A sentence of limner's own beside the result."""
    say(f"limner: {sentence}", err=True)


def say_lines(text: str, *, err: bool = False) -> None:
    """Several lines: the breaks in ``text`` are meant."""
    for line in text.split("\n"):
        say(line, err=err)


def say_json(value: Any, *, indent: int | None = None) -> None:
    """A value as JSON, in ASCII: what isn't is escaped as JSON does."""
    say_lines(json.dumps(value, indent=indent))


def say_table(table: Table, *, width: int) -> None:
    """A table that ``row_of`` filled; in a pipe ``width`` wide, for nobody sees a width there."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else width, markup=False).print(table)


def row_of(*cells: str) -> list[str]:
    """Cells of a table as ``say`` shows text; a break of lines in one is meant."""
    return ["\n".join(map(visible, cell.split("\n"))) for cell in cells]


def saying_once() -> Callable[[str], None]:
    """What says each different sentence as a note of limner's, the first time only."""
    sentences: set[str] = set()

    def say_once(sentence: str) -> None:
        if sentence not in sentences:
            say(f"limner: {sentence}", err=True)
        sentences.add(sentence)

    return say_once


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Plain columns, as wide as they must be: whatever stands in a pipe can cut them."""
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def second_look(result: Mapping[str, Any]) -> list[str]:
    """A redaction's check in words: which models looked, and what can't be verified."""
    if "looked_by" not in result:
        return ["not looked at again: --verify TEXT names what must not be seen"]
    if result["verified"] is False:
        return ["STILL FOUND"]
    models = " and ".join(result["looked_by"])
    none = f"{models} {'find' if len(result['looked_by']) > 1 else 'finds'} none"
    facts = []
    if boxes := result["left_open"]:
        at = "; ".join(",".join(f"{side:.0f}" for side in box) for box in boxes[:MOST_NAMES])
        more = "; …" if len(boxes) > MOST_NAMES else ""
        facts.append(
            f"NOT HIDDEN: {len(boxes)} seen only turned, scaled or in tiles, at {at}{more}"
        )
    if unseen := result["cannot_be_verified"]:
        isnt = "isn't" if len(unseen) == 1 else "aren't"
        facts.append(f"can't be verified: {listed(unseen)} {isnt} found in the original either")
    return [
        f"not found again where it was hidden ({none})" if facts else f"not found again ({none})",
        *facts,
    ]


def listed(names: Sequence[str]) -> str:
    shown = "; ".join(names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown}; {more} more" if more > 0 else shown


def summary(count: int, tally: Tally) -> str:
    parts = [f"{count} images: {tally.done} done"]
    if tally.done_before:
        parts.append(f"{tally.done_before} done already")
    if tally.empty:
        parts.append(f"{tally.empty} with nothing found")
    if tally.elsewhere:
        parts.append(f"{tally.elsewhere} being done by another process")
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    return ", ".join(parts)
