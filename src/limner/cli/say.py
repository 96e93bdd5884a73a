"""What is said while a verb works, and of what it made."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from limner.cli.batch import Settings, Tally
    from limner.cli.stored import Stored
    from limner.protocols import OnStep
    from limner.session import Run

BAR_AFTER = 1.0
"""Seconds after which work gets a progress bar."""

MOST_NAMES = 5
"""Things not found that are named in one line."""

JPEG_NOTE = "JPEG: the whole picture was re-encoded."
"""Said instead of the proof that nothing changed outside the mask, which such a file can't keep."""


def say(text: str, *, err: bool = False) -> None:
    """A line, whatever file names it holds: what the terminal can't show becomes a mark."""
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding, "replace"), err=err)


def saying_once() -> Callable[[str], None]:
    """What says each different sentence as a note of limner's, the first time only."""
    said: set[str] = set()

    def say_once(sentence: str) -> None:
        if sentence not in said:
            say(f"limner: {sentence}", err=True)
        said.add(sentence)

    return say_once


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Plain columns, as wide as they must be: whatever stands in a pipe can cut them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()


def say_run(
    settings: Settings,
    run: Run,
    path: Path,
    outputs: Sequence[Path],
    seconds: float,
    record: Mapping[str, Any],
) -> None:
    """One run's line, or its JSON object."""
    from limner import export

    if settings.as_json:
        rows = export.coco([(path.name, run.source.image.size, run.grounding.detections)])
        _say_json(record, outputs, {key: rows[key] for key in ("annotations", "categories")})
        return
    count = len(run.grounding)
    facts = [f"{count} object{'s' if count > 1 else ''}"] if count else []
    facts += _shortfall(record["result"]) or ([] if count else ["nothing found"])
    if run.edits:
        edit = run.edits[0]
        if JPEG_NOTE in record["notes"]:
            facts.append(JPEG_NOTE.rstrip("."))
        else:
            facts.append(f"{edit.outside_changed_pixels} pixels changed outside the mask")
        if settings.verb in ("edit", "remove"):  # elsewhere a border is wanted
            facts.append(f"seam {edit.seam:.3f}")
    if run.redaction and run.redaction.verified is not None:
        facts.append("not found again" if run.redaction.verified else "STILL FOUND")
    facts.append(f"{seconds:.1f} s")
    where = str(outputs[-1]) if outputs else str(path)
    models = ", ".join(model["name"] for model in record["models"])
    say(f"{where}  {', '.join(facts)}" + (f"  ({models})" if models else ""))
    if "caption" in record["result"]:
        phrases = ", ".join(record["result"]["phrases"])
        looked = f"looked for {phrases}" if phrases else "it names nothing to look for"
        say(f"  “{record['result']['caption']}”: {looked}")


def _shortfall(result: Mapping[str, Any]) -> list[str]:
    """What was asked for and isn't there, and what was hidden otherwise than asked."""
    facts = []
    if missing := result.get("not_found", ()):
        facts.append(f"nothing found for {_listed(missing)}")
    if covered := result.get("covered_by_box", ()):
        facts.append(f"the box hidden where an outline was empty: {_listed(covered)}")
    return facts


def _listed(names: Sequence[str]) -> str:
    shown = "; ".join(names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown}; {more} more" if more > 0 else shown


def say_kept(settings: Settings, finished: Path, result: Stored) -> None:
    """The line of a result that was there already, or its JSON object as when it was made."""
    if settings.as_json:
        _say_json(result.record, result.files(finished.parent), result.finds)
    else:
        say(f"{finished}  done already")


def _say_json(record: Mapping[str, Any], outputs: Sequence[Path], finds: Mapping[str, Any]) -> None:
    say(json.dumps({**record, "outputs": [str(output) for output in outputs], **finds}))


def summary(count: int, tally: Tally) -> str:
    parts = [f"{count} images: {tally.made} done"]
    if tally.kept:
        parts.append(f"{tally.kept} done already")
    if tally.empty:
        parts.append(f"{tally.empty} with nothing found")
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    return ", ".join(parts)


@contextmanager
def progress(label: str) -> Iterator[OnStep]:
    """An ``on_step`` for one picture's work, which may take long.

    On a terminal a bar appears after ``BAR_AFTER`` seconds: at first one that only moves, then, as
    soon as the work reports steps, one that fills.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label.encode("utf-8", "replace").decode(), total=None)
    timer = threading.Timer(BAR_AFTER, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        timer.cancel()
        bar.stop()
