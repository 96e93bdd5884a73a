"""The page of ``limner demo``: what each command made, as the records of its files tell."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.cli.batch.output_paths import Place
from limner.cli.batch.resume import Stored, stored
from limner.cli.commands.demo.choice import CHOICE
from limner.pages import render
from limner.version import __version__

MARK = '<meta name="generator" content="limner demo">'
"""By which a later demo knows the page as its own."""


@dataclass(frozen=True)
class StepResult:
    """What one command left: its pictures and their record; none where nothing was found."""

    pictures: tuple[Path, ...]
    result: Stored | None
    seconds: float
    """Of the whole command, with loading the models."""

    @property
    def record(self) -> dict[str, Any]:
        return self.result.record if self.result else {}

    @property
    def scores(self) -> list[float]:
        """Of what was found, best first; empty where no list was written."""
        finds = self.result.finds.get("annotations", ()) if self.result else ()
        return sorted((find["score"] for find in finds if "score" in find), reverse=True)


@dataclass(frozen=True)
class FinishedStep:
    """A step that was done."""

    title: str
    meaning: str
    commands: tuple[str, ...]
    results: tuple[StepResult, ...]
    columns: tuple[str, ...] = ()


def read_result(picture: Path, count: int, seconds: float) -> StepResult:
    """What lies there after a command with ``-o picture`` that makes ``count`` pictures."""
    place = Place(picture.parent, picture.stem, picture.suffix)
    names = [place.main, *(place.beside(f"-{k}{place.suffix}") for k in range(1, count))]
    there = tuple(path for path in names if path.exists())
    listing = place.beside(".json")
    return StepResult(there, stored(listing if listing.exists() else place.main), seconds)


def page(
    scene: Sequence[FinishedStep], photo: Sequence[FinishedStep], seconds: float | None
) -> str:
    """The whole page.

    Args:
        seconds: of the whole demo; None while it is at work, or where it was interrupted.
    """
    if seconds is None:
        took = "limner demo is still at work, or was interrupted: this is how far it came."
    else:
        took = f"StepResult on this machine in {seconds:.0f} seconds, without a network."
    return render(
        "demo",
        took=took,
        hero=_hero(scene),
        scene=[_card(step) for step in scene],
        photo=[_card(step) for step in photo],
        version=f"limner {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    )


def _hero(scene: Sequence[FinishedStep]) -> list[dict[str, str]]:
    """The picture, what was meant, what became of it: as far as they are there."""
    parts = [{"path": "scene.png", "alt": "A picture", "caption": "A picture."}]
    for name, words in (("outlined.png", "find"), ("painted.png", "paint")):
        for step in scene:
            if Path(name) in step.results[0].pictures:
                caption = f"Say “{CHOICE[words]}”."
                parts.append({"path": name, "alt": step.title, "caption": caption})
    return parts


def _card(step: FinishedStep) -> dict[str, Any]:
    return {
        "title": step.title,
        "meaning": step.meaning,
        "commands": step.commands,
        "columns": step.columns,  # all but one setting is the same in each command
        "results": step.results,
        "pictures": [str(picture) for result in step.results for picture in result.pictures[:1]],
        "sheet": _sheet(step) if step.columns else [],
        "facts": facts(step),
    }


def facts(step: FinishedStep) -> str:
    """Which models answered, how sure they were, what was proven, how long it took."""
    records = [result.record for result in step.results if result.record]
    models = dict.fromkeys(model["name"] for record in records for model in record["models"])
    parts = [" + ".join(models)] if models else []
    counts = [record.get("result", {}).get("objects", 0) for record in records]
    if not all(counts) or len(records) < len(step.results):
        parts.append("nothing found")
    scores = [score for result in step.results for score in result.scores]
    if scores:
        shown = ", ".join(f"{score:.2f}" for score in scores)
        parts.append(f"{'scores' if len(scores) > 1 else 'score'} {shown}")
    edits = [edit for record in records for edit in record["result"].get("edits", ())]
    if edits:
        changed = max(edit["outside_changed_pixels"] for edit in edits)
        parts.append(f"{changed} pixels changed outside the mask")
    if any(record["result"].get("verified") for record in records):
        parts.append("looked for again and not found")
    computing = sum(sum(record["seconds"].values()) for record in records)
    whole = sum(result.seconds for result in step.results)
    parts.append(f"{computing:.2f} s computing, {whole:.1f} s with loading")
    return " · ".join(parts)


def _sheet(step: FinishedStep) -> list[dict[str, Any]]:
    """The repainted part of every picture: a column a command, a row a seed."""
    rows = []
    for row in range(max((len(result.pictures) for result in step.results), default=0)):
        seeds = sorted(
            {str(seed) for result in step.results if (seed := _seed(result, row)) is not None}
        )
        rows.append(
            {
                "seeds": ", ".join(f"seed {seed}" for seed in seeds),
                "cells": [_cell(result, row) for result in step.results],
            }
        )
    return rows


def _edit(result: StepResult, row: int) -> dict[str, Any] | None:
    edits = result.record.get("result", {}).get("edits", ())
    return edits[row] if row < len(edits) else None


def _seed(result: StepResult, row: int) -> int | None:
    edit = _edit(result, row)
    return edit["seed"] if edit else None


def _cell(result: StepResult, row: int) -> dict[str, str] | None:
    """A picture, cut by CSS to what the painter was shown of it; None where nothing was painted."""
    edit = _edit(result, row)
    if edit is None or row >= len(result.pictures):
        return None
    width, _ = result.record["input"]["size_wh"]
    x0, y0, x1, y1 = edit["crops"][0]["xyxy"]
    w, h = x1 - x0, y1 - y0
    return {
        "path": str(result.pictures[row]),
        "aspect": f"{w}/{h}",
        "style": f"width:{100 * width / w:.2f}%;margin-left:{-100 * x0 / w:.2f}%;"
        f"margin-top:{-100 * y0 / w:.2f}%",
    }
