"""A store of many runs: how long one more takes, how large it grows, how long a list of it takes.

Runs are those of a real edit in shape and size of their records. `limner runs list` is timed as a
command, in a process of its own, in turn with `limner runs --help`, which loads no database: the
difference is what listing costs beyond start-up. Bar: under 0.3 s at 10,000 runs. Processor seconds
stand beside those of the clock, which another program makes longer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from limner.runs.entries import Labels, RunEnd, RunStart, Wanted
from limner.runs.store import Store

MODELS = ("grabcut", "opencv-inpaint", "haar")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--store", help="A database URL (default: SQLite in a temporary folder).")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = args.store or str(Path(folder) / "store")
        store = Store.open(place, Path(folder) / "files")
        steps = [args.runs // 4 * k for k in range(1, 5)]
        rows = [_grown(store, step, Path(folder)) for step in steps]
        commands = _commands(place, args.repeat)
    print(f"{'runs':>7} {'ms a run':>9} {'MB':>7} {'list ms':>8} {'filtered ms':>12}")
    for row in rows:
        print(
            f"{row['runs']:7} {row['ms_a_run']:9.1f} {row['megabytes']:7.2f} "
            f"{row['list_ms']:8.1f} {row['filtered_ms']:12.1f}"
        )
    for name, took in commands.items():
        print(
            f"{name:24} {took['seconds']:6.3f} s, {took['processor_seconds']:6.3f} of the "
            f"processor, medians of {args.repeat}"
        )
    if args.json:
        args.json.write_text(json.dumps({"store": rows, "commands": commands}, indent=2))


def _grown(store: Store, runs: int, folder: Path) -> dict[str, Any]:
    """Add runs until there are so many; what that took, and what lists take now."""
    have = len(store.rows(Wanted(limit=None)))
    start = time.perf_counter()
    for k in range(have, runs):
        _add(store, k)
    took = time.perf_counter() - start
    size = sum(path.stat().st_size for path in folder.glob("store/runs.db*"))
    return {
        "runs": runs,
        "ms_a_run": 1000 * took / (runs - have),
        "megabytes": size / 1e6,
        "list_ms": _milliseconds(store, Wanted()),
        "filtered_ms": _milliseconds(store, Wanted(model="haar", tag="tag7", status="done")),
    }


def _add(store: Store, k: int) -> None:
    models = MODELS[: 2 + k % 2]
    box = {"box": {"xyxy": [395.0 + k, 0.0, 490.0 + k, 160.0]}}
    options = {"threshold": None, "nms_threshold": 0.5, "max_detections": 100, "iterations": None}
    beginning = RunStart(
        verb="remove",
        job=f"{k:064x}",
        words="box",
        asked={"prompts": [box], "finding": options, "settings": {"inpaint": options}},
        models={str(n): name for n, name in enumerate(models)},
        input_digest=f"{k % 50:064x}",
        input_path=f"/pictures/{k % 50}.jpg",
        files=(store.keep("input", b"the same picture", ".png"),),
        labels=Labels((f"tag{k % 10}",)),
    )
    run = store.begin(beginning)
    licence = "Apache-2.0"
    record = {
        "models": [{"name": name, "licence": licence, "files": {}} for name in models],
        "result": {"objects": 1, "edits": [{"seam": 0.01, "crops": [[0, 0, 512, 512]]}]},
        "seconds": {"embed": 0.05, "segment": 0.2, "inpaint": 1.5},
        "versions": dict.fromkeys(("numpy", "torch", "transformers", "diffusers"), "1.2.3"),
        "options": options,
    }
    store.finish(run, RunEnd(record, 2.0, 200_000_000, seed=k))


def _milliseconds(store: Store, wanted: Wanted) -> float:
    times = []
    for _ in range(15):
        start = time.perf_counter()
        store.rows(wanted)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _commands(place: str, repeat: int) -> dict[str, dict[str, float]]:
    words = {"limner runs --help": ["--help"], "limner runs list": ["list", "--store", place]}
    wall: dict[str, list[float]] = {name: [] for name in words}
    busy: dict[str, list[float]] = {name: [] for name in words}
    for _ in range(repeat):
        for name, more in words.items():
            start, before = time.perf_counter(), _processor_seconds()
            command = [sys.executable, "-m", "limner", "runs", *more]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
            wall[name].append(time.perf_counter() - start)
            busy[name].append(_processor_seconds() - before)
    return {
        name: {
            "seconds": statistics.median(wall[name]),
            "processor_seconds": statistics.median(busy[name]),
        }
        for name in words
    }


def _processor_seconds() -> float:
    """Of all processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
