"""What is printed while a verb works, and of its results.

All that limner prints goes through here. File names, phrases, captions and what servers answer may
hold escapes, line breaks and marks that turn the reading direction: on a terminal these would
recolour it, forge lines or hide a name's ending, so they are shown as text, ``\\x1b``,
in a pipe too.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.untrusted.plain_text import visible
from limner.verbs import VERBS

if TYPE_CHECKING:
    from rich.table import Table

    from limner.cli.batch.resume import Stored
    from limner.cli.batch.settings import Settings, Tally
    from limner.session import Run

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
        click.echo(line, err=err)
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


def say_run(
    settings: Settings,
    run: Run,
    path: Path,
    outputs: Sequence[Path],
    seconds: float,
    record: Mapping[str, Any],
) -> None:
    """One run's line, or its JSON object."""
    if settings.as_json:
        _say_json(record, outputs, _finds(run, path, outputs))
        return
    count = len(run.grounding)
    facts = [f"{count} object{'s' if count > 1 else ''}"] if count else []
    facts += _shortfall(record["result"]) or ([] if count else ["nothing found"])
    if outputs and not count and settings.copy_unchanged:
        facts.append("copied as it is, not checked by anybody")
    if run.edits:
        edit = run.edits[0]
        facts.append(f"{_share(edit.mask_coverage)} of the picture repainted")
        if JPEG_NOTE in record["notes"]:
            facts.append(JPEG_NOTE.rstrip("."))
        elif record.get("lost"):
            facts.append("; ".join(record["lost"]))
        else:
            facts.append(f"{edit.outside_changed_pixels} pixels changed outside the mask")
        if VERBS[settings.verb].hides_seam:  # elsewhere a border is wanted
            facts.append(f"seam {edit.seam:.3f}")
        if edit.seed is not None:  # also where limner drew it
            last = f" to {run.edits[-1].seed}" if len(run.edits) > 1 else ""
            facts.append(f"seed{'s' if last else ''} {edit.seed}{last}")
    if run.redaction:
        facts += second_look(record["result"])
    facts.append(f"{seconds:.1f} s")
    where = str(outputs[-1]) if outputs else str(path)
    models = ", ".join(model["name"] for model in record["models"])
    say(f"{where}  {', '.join(facts)}" + (f"  ({models})" if models else ""))
    if len(outputs) > 1:
        say(f"  also {', '.join(_companions(outputs))}")
    if "caption" in record["result"]:
        phrases = ", ".join(record["result"]["phrases"])
        looked = f"looked for {phrases}" if phrases else "it names nothing to look for"
        say(f"  “{record['result']['caption']}”: {looked}")


def _share(part: float) -> str:
    """0..1 as a percentage; what is there is never 0%."""
    return f"{part:.1%}" if part >= 0.001 else f"{part:.4%}"


def _companions(outputs: Sequence[Path]) -> list[str]:
    """The files of a result besides the last: names beside it, and how many lie in a folder."""
    folder = outputs[-1].parent
    others = outputs[-2::-1]
    inside = Counter(path.parent.name for path in others if path.parent != folder)
    return [
        *(path.name for path in others if path.parent == folder),
        *(f"{count} file{'s' if count > 1 else ''} in {name}" for name, count in inside.items()),
    ]


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
        facts.append(f"can't be verified: {_listed(unseen)} {isnt} found in the original either")
    return [
        f"not found again where it was hidden ({none})" if facts else f"not found again ({none})",
        *facts,
    ]


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


def _finds(run: Run, path: Path, outputs: Sequence[Path]) -> Mapping[str, Any]:
    """COCO's annotations and categories: those of the file that was written, if it lists them."""
    from limner.io import coco as export

    if outputs and outputs[0].suffix == ".json":
        rows = json.loads(outputs[0].read_bytes())
        return {key: rows[key] for key in ("annotations", "categories")}
    item = (path.name, run.source.image.size, run.grounding.detections)
    rows = export.coco([item], export.asked_names(run.grounding.prompts))
    return {key: rows[key] for key in ("annotations", "categories")}


def say_kept(settings: Settings, finished: Path, result: Stored) -> None:
    """The line of a result that was there already, or its JSON object as when it was made."""
    if settings.as_json:
        _say_json(result.record, result.files(finished), result.finds)
    else:
        say(f"{finished}  done already")


def say_nothing_again(settings: Settings, path: Path, job: str) -> None:
    """The line of a picture in which a run before found nothing, or its JSON object."""
    if settings.as_json:
        say_json({"job": job, "verb": settings.verb, "result": {"objects": 0}, "outputs": []})
    else:
        say(f"{path}  nothing found before")


def _say_json(record: Mapping[str, Any], outputs: Sequence[Path], finds: Mapping[str, Any]) -> None:
    say_json({**record, "outputs": [str(output) for output in outputs], **finds})


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
