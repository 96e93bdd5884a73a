"""A sweep as one HTML file to look through: its axes, its scores, each picture large.

It works opened from disk: small pictures are data URIs, and nothing is fetched; the large ones are
the files beside it, where they still lie there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limner.evaluation.sweeps.objectives import MAX, MEASURES, MIN, RATING
from limner.evaluation.sweeps.search_config import GRID
from limner.pages import data_uri, render, script_json

SECONDS = "seconds"
"""What every cell is measured by besides: of computing, without loading models."""

EMBEDDED = 1500
"""Small pictures that the page holds itself, at some 30 kB each; of more it shows the files."""

Report = Mapping[str, Any]


def page(report: Report, pictures: Path, commands: Mapping[str, str]) -> str:
    """The page.

    Args:
        report: as ``report.report_of`` makes it.
        pictures: the folder that the cells' pictures lie in, which lies beside the page.
        commands: what repeats a cell, by its key.
    """
    name = Path(report["recipe"]).stem
    return render(
        "sweep",
        title=report["description"] or f"{name}: a sweep",
        recipe=f"{report['recipe']} · {report['method']}",
        made=f"limner {report['limner']}, {report['created'].replace('T', ' ')[:16]} UTC",
        data=script_json(_data(report, pictures, commands)),
    )


def _data(report: Report, pictures: Path, commands: Mapping[str, str]) -> dict[str, Any]:
    count = sum(len(trial["cells"]) for trial in report["trials"])
    small = _uri if count <= EMBEDDED else _link
    cells = [
        _cell(report, trial, k, cell, pictures, commands)
        | {"small": small(pictures, cell["picture"])}
        for trial in report["trials"]
        for k, cell in enumerate(trial["cells"])
    ]
    failed = sum(bool(cell["error"]) for cell in cells)
    return {
        "grid": report["method"] == GRID,
        "measures": _measures(report),
        "objective": report["objective"],
        "best": report["best"],
        "score": next(
            (t["score"] for t in report["trials"] if t["number"] == report["best"]), None
        ),
        "better": _better(report),
        "dims": _dims(report, cells),
        "fixed": [[name, _said(value)] for name, value in report["fixed"].items()],
        "images": [_image(image, pictures, k) for k, image in enumerate(report["images"])],
        "counts": f"{len(report['trials'])} settings, {len(cells)} pictures",
        "failed": failed,
        "cells": cells,
    }


def _measures(report: Report) -> list[str]:
    """What the page can colour by, the objective first."""
    named = [report["objective"]] if report["objective"] else []
    for trial in report["trials"]:
        named += [name for cell in trial["cells"] for name in cell["measures"]]
    return list(dict.fromkeys([*named, SECONDS]))


def _better(report: Report) -> dict[str, str]:
    ends = {name: measure.better for name, measure in MEASURES.items()}
    ends |= {SECONDS: MIN, RATING: MAX}
    return ends | ({report["objective"]: report["better"]} if report["objective"] else {})


def _dims(report: Report, cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The axes, and the pictures as the last where there are several, with the values that came."""
    dims = []
    for k, axis in enumerate(report["axes"]):
        came = list(dict.fromkeys(cell["at"][k] for cell in cells))
        known = [value for value in axis["values"] if value in came]
        values = known or sorted(came, key=float)
        dims.append({"title": axis["title"], "ordered": axis["ordered"], "values": values})
    if len(report["images"]) > 1:
        names = [image["name"] for image in report["images"]]
        dims.append({"title": "picture", "ordered": False, "values": names})
    return dims


def _cell(
    report: Report,
    trial: Mapping[str, Any],
    image: int,
    cell: Mapping[str, Any],
    pictures: Path,
    commands: Mapping[str, str],
) -> dict[str, Any]:
    measures = {name: value for name, value in cell["measures"].items() if value is not None}
    if report["objective"] == RATING and trial["score"] is not None:
        measures[RATING] = trial["score"]
    if cell["seconds"] is not None:
        measures[SECONDS] = cell["seconds"]
    several = len(report["images"]) > 1
    return {
        "trial": trial["number"],
        "at": [*trial["labels"], *([cell["image"]] if several else [])],
        "image": image,
        "measures": measures,
        "found": cell["found"],
        "note": "" if cell["found"] or cell["error"] else "nothing found",
        "models": " + ".join(cell["models"]),
        "error": cell["error"],
        "run": cell["run"],
        "command": commands.get(cell["key"], ""),
        "whole": _link(pictures, cell["whole"]),
    }


def _image(image: Mapping[str, Any], pictures: Path, k: int) -> dict[str, str]:
    """What was there before, as ``keep_inputs`` left it."""
    stem = f"input-{k}"
    return {
        "name": image["name"],
        "small": _uri(pictures, f"{stem}.jpg"),
        "whole": _link(pictures, f"{stem}.png"),
    }


def _uri(pictures: Path, name: str) -> str:
    return data_uri((pictures / name).read_bytes()) if _link(pictures, name) else ""


def _link(pictures: Path, name: str) -> str:
    return f"{pictures.name}/{name}" if name and (pictures / name).exists() else ""


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
