"""What was detected or outlined, one line or one JSON object each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.cli.console import aligned, say, say_json
from limner.cli.fitting import columns, shortened

MOST_LINES = 20
"""Objects that are printed; how many more there are is said, and files list all."""


def objects_of(finds: Mapping[str, Any], outputs: Sequence[Path]) -> list[dict[str, Any]]:
    """Label, score (0..1, None without one), box (xyxy px) and mask file of each object.

    Args:
        finds: COCO's annotations and categories of one picture.
        outputs: the files of its result; masks lie in a folder of their own, in order.
    """
    names = {row["id"]: row["name"] for row in finds.get("categories", ())}
    rows = finds.get("annotations", ())
    masks = [path for path in outputs if path.parent != outputs[0].parent]
    masks = masks if len(masks) == len(rows) else []
    return [
        {
            "label": names[row["category_id"]],
            "score": round(row["score"], 4) if "score" in row else None,
            "box": _xyxy(row["bbox"]),
            "mask": str(masks[number]) if masks else None,
        }
        for number, row in enumerate(rows)
    ]


def _xyxy(xywh: Sequence[float]) -> list[float]:
    left, top, width, height = xywh
    return [round(side, 2) for side in (left, top, left + width, top + height)]


def say_objects(finds: Mapping[str, Any], *, count: int = MOST_LINES) -> None:
    """A line for each of the first objects, and how many more there are."""
    rows = objects_of(finds, ())
    for line in _lines(rows[:count]):
        say(line)
    if len(rows) > count:
        say(f"  and {len(rows) - count} more")


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = columns()
    cells = []
    for row in rows:
        score = "" if row["score"] is None else f"{row['score']:.2f}"
        box = ",".join(f"{side:.0f}" for side in row["box"])
        label = row["label"] if width is None else shortened(row["label"], max(width - 36, 12))
        cells.append((f"  {label}", score, box))
    return aligned(cells) if cells else iter(())


def say_json_objects(image: Path, finds: Mapping[str, Any], outputs: Sequence[Path]) -> None:
    """One line of JSON: the picture and its objects."""
    say_json({"image": str(image), "objects": objects_of(finds, outputs)})
