"""What differs between runs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from limner.runs.entries import COCO, MASK, PICTURE, RunEntry

if TYPE_CHECKING:
    from PIL.Image import Image

ABSENT = None
"""The value of what one run has and another hasn't."""

_LEFT_OUT = ("notes", "session.models")
"""Of a call: what was said about the input, and the models of tasks that weren't needed."""


def differences(entries: Sequence[RunEntry]) -> dict[str, list[Any]]:
    """Dotted name -> the value in each run, for what isn't the same in all of them.

    Ids and instants are left out: they always differ and say nothing.
    """
    facts = [dict(_facts(entry)) for entry in entries]
    names = list(dict.fromkeys(name for fact_table in facts for name in fact_table))
    rows = {name: [fact_table.get(name, ABSENT) for fact_table in facts] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def pixels_between(first: Image, second: Image) -> int:
    """Pixels in which any channel differs; all of the larger one where sizes or modes do."""
    import numpy as np

    if (first.size, first.mode) != (second.size, second.mode):
        return max(first.width * first.height, second.width * second.height)
    left, right = np.atleast_3d(np.asarray(first)), np.atleast_3d(np.asarray(second))
    return int(np.count_nonzero(np.any(left != right, axis=2)))


def _facts(entry: RunEntry) -> Iterator[tuple[str, Any]]:
    """What a person might have changed, first; what came of it, last."""
    row, record = entry.row, entry.record
    yield "verb", row.verb
    yield "status", row.status
    yield "input", row.input_path
    yield "input.digest", entry.input_digest[:12]
    for name, value in _flat(entry.asked):
        if not name.startswith(_LEFT_OUT):
            yield name, value
    yield "seed", row.seed
    for model in record.get("models", ()):
        yield f"model.{model['family']}", model["name"]
        yield f"model.{model['family']}.revision", model["revision"]
        yield from _flat(model["files"], f"model.{model['family']}.files.")
    for name in ("versions", "machine", "limner"):
        yield from _flat({name: record.get(name)})
    yield "error", entry.error
    yield from _flat(record.get("result", {}), "result.")
    for role in (PICTURE, MASK, COCO):
        for file in entry.of_role(role):
            yield f"{role} {file.position}", file.digest[:12]
    yield from _flat(record.get("seconds", {}), "seconds.")
    yield "seconds", None if row.seconds is None else round(row.seconds, 3)
    yield "peak MB", None if entry.peak_bytes is None else round(entry.peak_bytes / 1e6)
    yield "rating", row.rating
    yield "tags", ", ".join(row.tags) or None
    yield "notes", " / ".join(note.text for note in entry.notes) or None


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested JSON, each under its dotted name; what is empty or None is absent."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(
                inner, f"{name}{key}." if isinstance(inner, Mapping | list) else f"{name}{key}"
            )
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for k, item in enumerate(value):
            yield from _flat(item, f"{name}{k}.")
    elif value not in (None, [], ""):
        yield name.rstrip("."), value
