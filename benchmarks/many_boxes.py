"""Many boxes at once on one picture, beside the same boxes one call each: processor seconds of the
model alone, of `Session.segment`, and of the whole command, which starts, records and writes files.

One call each is what all took before many were answered together: every box with three candidates
from a close look (GrabCut), every box in a pass of its own (SAM's decoder). To hold them against an
older limner: PYTHONPATH=its/src. More than one thread's waiting counts as work.

    OMP_NUM_THREADS=1 python benchmarks/many_boxes.py
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from limner import Box, Session, VisualPrompt
from limner.options import SegmentOptions

PICTURE = Path(__file__).parents[1] / "examples" / "photos" / "astronaut.png"
MODELS = ("grabcut", "mini-sam")


def boxes(count: int, size_wh: tuple[int, int]) -> list[VisualPrompt]:
    """Of a 25th to a quarter of the picture's width, anywhere in it."""
    rng = np.random.default_rng(0)
    width, height = size_wh
    sides = rng.uniform(0.04, 0.23, (count, 2)) * size_wh
    corners = rng.uniform(0, 1, (count, 2)) * (np.array([width, height]) - sides)
    return [
        VisualPrompt(box=Box(x, y, x + w, y + h))
        for (x, y), (w, h) in zip(corners, sides, strict=True)
    ]


def processor_seconds(model: str, count: int, alone: int, rounds: int) -> tuple[float, float]:
    """Medians a box: asked together, and asked alone."""
    image = Image.open(PICTURE).convert("RGB")
    segmenter = Session(models={"segment": model}).models.segmenter
    embedding, prompts = segmenter.embed(image), boxes(count, image.size)

    def spent(groups: Sequence[Sequence[VisualPrompt]]) -> float:
        start = time.process_time()
        for group in groups:
            segmenter.segment(embedding, group, SegmentOptions())
        return (time.process_time() - start) / sum(map(len, groups))

    spent([prompts[:1]])  # what is done once
    pairs = [(spent([prompts]), spent([[p] for p in prompts[:alone]])) for _ in range(rounds)]
    together, apart = zip(*pairs, strict=True)
    return statistics.median(together), statistics.median(apart)


def session_seconds(model: str, count: int, rounds: int) -> float:
    """Median for all boxes through a session that has its model, but not this picture."""
    image = Image.open(PICTURE).convert("RGB")

    def spent(prompts: Sequence[VisualPrompt]) -> float:
        session = Session(models={"segment": model})
        _ = session.models.segmenter
        start = time.process_time()
        session.segment(image, prompts)
        return time.process_time() - start

    prompts = boxes(count, image.size)
    spent(prompts[:1])  # what is done once
    return statistics.median(spent(prompts) for _ in range(rounds))


def command_seconds(model: str, count: int, rounds: int) -> float:
    """Median of `limner segment` with all boxes, user and system time."""
    prompts = boxes(count, Image.open(PICTURE).size)
    sides = [",".join(f"{side:.3f}" for side in p.box.xyxy) for p in prompts if p.box]
    words = [word for box in sides for word in ("--object", "--box", box)][1:]
    seconds = []
    for _ in range(rounds):
        before = _children()
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(PICTURE, folder)
            command = [sys.executable, "-m", "limner", "segment", PICTURE.name, *words]
            command += ["--segmenter", model, "-o", "out"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        seconds.append(_children() - before)
    return statistics.median(seconds)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0].replace("\n", " "))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--alone", type=int, default=30, help="boxes asked one by one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", choices=MODELS, action="append", help="both, if none is named")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for model in given.model or MODELS:
        together, apart = processor_seconds(model, given.count, given.alone, given.rounds)
        session = session_seconds(model, given.count, given.rounds)
        command = command_seconds(model, given.count, given.rounds)
        rows.append(
            {
                "model": model,
                "together_s": together,
                "alone_s": apart,
                "session_s": session,
                "command_s": command,
            }
        )
        print(
            f"{model:9} {together:.4f} s a box, alone {apart:.4f} s: {together / apart:.2f}; "
            f"all through a session {session:.2f} s, as a command {command:.1f} s"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{given.count} boxes; peak {peak:.0f} MB")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
