"""Scores the minis that ship: ``python -m minis.check [sam owlvit ...] [--quick]``.

Every number comes from the files in ``src/limner/registry/minis``, through limner's own adapters,
on drawings, backgrounds and scenes that no training saw. A number below what the issue asks is
printed as SHORT. The exit code is 1 if one has fallen behind the recorded scores
(``minis/scores.json``), whether or not it ever reached its bar, or if a recorded model is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.errors import LimnerError
from minis.scores import (
    autoencoding,
    captioning,
    costs,
    detecting,
    grounding,
    naming,
    painting,
    record,
    segmenting,
    telling_apart,
)
from minis.scores.bars import BARS
from minis.scores.record import Mode, Verdict
from minis.scores.shipped_models import ShippedModels, is_there


@dataclass(frozen=True)
class Part:
    """What is measured together."""

    needs: tuple[str, ...]
    """Minis, by name."""
    rows: tuple[str, ...]
    """Names of bars, or what these begin with."""
    measure: Callable[[ShippedModels, bool], dict[str, float]]
    """From the models, and whether it should be quick, to numbers by the names of the bars."""


PARTS = {
    "sam": Part(("mini-sam",), ("sam-",), lambda models, quick: segmenting.measure(models)),
    "owlvit": Part(("mini-owlvit",), ("owlvit-",), lambda models, quick: detecting.measure(models)),
    "words": Part(
        ("mini-owlvit", "mini-sam"), ("words-",), lambda models, quick: grounding.measure(models)
    ),
    "clip": Part(("mini-clip",), ("clip-",), lambda models, quick: naming.measure(models)),
    "dino": Part(("mini-dino",), ("dino-",), lambda models, quick: telling_apart.measure(models)),
    "vae": Part(
        ("mini-sd-inpaint",), ("vae-",), lambda models, quick: autoencoding.measure(models)
    ),
    "painter": Part(
        ("mini-sd-inpaint", "mini-clip"),
        ("painter-",),
        lambda models, quick: painting.measure(models, painting.QUICK if quick else painting.FULL),
    ),
    "canvas": Part(
        ("mini-sd", "mini-clip"),
        ("canvas-",),
        lambda models, quick: painting.measure_canvas(models, 1 if quick else 4),
    ),
    "blip": Part(("mini-blip",), ("blip-",), lambda models, quick: captioning.measure(models)),
    "edit": Part(
        ("mini-sd-inpaint", "mini-owlvit", "mini-sam"),
        ("edit-",),
        lambda models, quick: costs.edit_seconds(models),
    ),
    "speed": Part((), ("scenes-",), lambda models, quick: costs.scene_speed()),
    "size": Part((), ("weights", "wheel"), lambda models, quick: costs.sizes(build=not quick)),
}


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print the table, say with the exit code whether something became worse."""
    arguments = _arguments().parse_args(words)
    mode: Mode = "quick" if arguments.quick else "full"
    names = arguments.names or list(PARTS)
    try:
        measured, seconds = run(names, mode)
    except LimnerError as error:
        print(error, file=sys.stderr)
        return 2
    verdicts = judged(names, measured, mode)
    print(report(verdicts))
    print("\nseconds: " + ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    if arguments.record:
        record.write(mode, measured)
        return 0
    return int(any(verdict.regressed for verdict in verdicts))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m minis.check", description="Score the minis.")
    parser.add_argument(
        "names", nargs="*", choices=[*PARTS, []], metavar="name", help="what to measure (all)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer pictures from the painter")
    parser.add_argument("--record", action="store_true", help="keep the numbers as the record")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    return parser


def run(names: Sequence[str], mode: Mode) -> tuple[dict[str, float], dict[str, float]]:
    """Numbers by the names of their bars, and seconds by part. A part whose models aren't there is
    left out."""
    models = ShippedModels()
    measured: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for name in names:
        if all(map(is_there, PARTS[name].needs)):
            start = time.perf_counter()
            measured |= PARTS[name].measure(models, mode == "quick")
            seconds[name] = time.perf_counter() - start
            print(f"{name}: {seconds[name]:.0f} s", file=sys.stderr, flush=True)
    return measured, seconds


def judged(names: Sequence[str], measured: dict[str, float], mode: Mode) -> list[Verdict]:
    """Verdicts for the parts' rows; those that a mode never measures are left out."""
    begins = tuple(row for name in names for row in PARTS[name].rows)
    recorded = record.read(mode)
    bars = [bar for bar in BARS if bar.name.startswith(begins)]
    needed = [
        b for b in bars if b.required is not None or {b.name} & (set(measured) | set(recorded))
    ]
    return record.judge(needed, measured, recorded)


def report(verdicts: Sequence[Verdict]) -> str:
    """A table for the terminal."""
    head = ("what", "asked", "measured", "recorded", "")
    rows = [
        (
            verdict.bar.what,
            record.requirement(verdict.bar),
            verdict.bar.shown(verdict.measured),
            verdict.bar.shown(verdict.recorded),
            verdict.word,
        )
        for verdict in verdicts
    ]
    wide = [max(len(row[k]) for row in [head, *rows]) for k in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
        for row in [head, *rows]
    )


if __name__ == "__main__":
    sys.exit(main())
