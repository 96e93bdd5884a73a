"""Interactive segmentation without weights on COCO objects, against plain `cv2.grabCut`.

Each object of `objects.csv` is asked for by its box (the rival and ours, one after the other, so
that a busy machine slows both) and by 1 to 5 clicks (ours), each where the answer before it is most
wrong (`limner.evaluation.metrics.noc`). Seconds are given on the clock and of the processor: on
a shared machine only the second compare. One thread.

    OMP_NUM_THREADS=1 python benchmarks/grabcut_coco.py --every 4 --with-mask --json grabcut.json
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from limner.evaluation import simulate
from limner.models.classical.grabcut import grabcut
from limner.ops import masks
from limner.prompts import BoolMask, Point

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_mval_cc"
CLICKS = 5


@dataclass(frozen=True)
class Answer:
    """How good one mask was, and what it cost."""

    iou: float
    wall_s: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with objects.csv")
    parser.add_argument("--every", type=int, default=1, help="take every N-th object")
    parser.add_argument("--start", type=int, default=0, help="index of the first object")
    parser.add_argument(
        "--with-mask", action="store_true", help="click a second time, giving the mask before too"
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args()
    if not (options.data / "objects.csv").is_file():
        print(f"skipped: no objects.csv in {options.data}")
        return
    cv2.setNumThreads(1)
    rows = [
        measure(image, truth, options.with_mask)
        for image, truth in objects(options.data, options.start, options.every)
    ]
    print(table(rows))
    if options.json:
        listed = [{name: asdict(answer) for name, answer in row.items()} for row in rows]
        options.json.write_text(json.dumps(listed, indent=1))


def objects(data: Path, start: int, every: int) -> Iterator[tuple[np.ndarray, BoolMask]]:
    """(H, W, 3) uint8 RGB and the (H, W) bool mask of its object, in the table's order."""
    with (data / "objects.csv").open() as lines:
        for row in list(csv.DictReader(lines))[start::every]:
            image = np.asarray(cv2.imread(str(data / "images" / row["image"])))
            truth = cv2.imread(str(data / "masks" / row["mask"]), cv2.IMREAD_GRAYSCALE)
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), np.asarray(truth) > 127


def measure(image: np.ndarray, truth: BoolMask, with_mask: bool) -> dict[str, Answer]:
    """The answer to each prompt for one object."""
    box = np.array(masks.box_of(truth), float)
    answers: dict[str, Answer] = {}
    for name, segment in (
        ("plain box", lambda: plain_grabcut(image, box)),
        ("box", lambda: grabcut(image, box=box)[0]),
    ):
        mask, *seconds = timed(segment)
        answers[name] = Answer(masks.iou(mask, truth), *seconds)
    answers |= clicked(image, truth, "", use_mask=False)
    if with_mask:
        answers |= clicked(image, truth, " + mask", use_mask=True)
    return answers


def clicked(image: np.ndarray, truth: BoolMask, suffix: str, use_mask: bool) -> dict[str, Answer]:
    """The answer after each click. Once nothing is left to click, the last one stands for free."""
    seconds: list[tuple[float, float]] = []

    def segment(clicks: Sequence[Point], before: BoolMask | None) -> BoolMask:
        points = np.array([(p.x, p.y) for p in clicks])
        labels = np.array([p.label for p in clicks])
        previous = before if use_mask else None
        mask, *spent = timed(
            lambda: grabcut(image, points=points, point_labels=labels, mask=previous)[0]
        )
        seconds.append((spent[0], spent[1]))
        return mask

    ious = simulate(segment, truth, CLICKS)
    missing = CLICKS - len(ious)
    rows = zip(ious + ious[-1:] * missing, seconds + [(0.0, 0.0)] * missing, strict=True)
    return {f"click {k}{suffix}": Answer(iou, *spent) for k, (iou, spent) in enumerate(rows, 1)}


def table(rows: Sequence[dict[str, Answer]]) -> str:
    """A line per prompt: mean and median IoU, median and 95th percentile of the seconds."""
    lines = [
        f"{f'{len(rows)} objects':16} {'IoU':>6} {'median':>6} {'wall s':>7} {'p95':>6} "
        f"{'cpu s':>6} {'p95':>6}"
    ]
    for name in rows[0] if rows else ():
        iou, wall, cpu = (
            np.array([getattr(row[name], field) for row in rows])
            for field in ("iou", "wall_s", "cpu_s")
        )
        lines.append(
            f"{name:16} {iou.mean():6.3f} {np.median(iou):6.3f} {np.median(wall):7.2f} "
            f"{np.percentile(wall, 95):6.2f} {np.median(cpu):6.2f} {np.percentile(cpu, 95):6.2f}"
        )
    return "\n".join(lines)


def plain_grabcut(image: np.ndarray, box: np.ndarray) -> BoolMask:
    """The rival: `cv2.grabCut` from the box; where it refuses, the box itself. (H, W) bool."""
    x0, y0, x1, y1 = box.astype(int)
    trimap = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    trimap[y0:y1, x0:x1] = cv2.GC_PR_FGD
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    with contextlib.suppress(cv2.error):  # raised when the box leaves no background
        cv2.grabCut(  # type: ignore[call-overload]  # the stubs want a rect, this mode has none
            image, trimap, None, models[0], models[1], 5, cv2.GC_INIT_WITH_MASK
        )
    return np.asarray(trimap == cv2.GC_PR_FGD)


def timed(call: Callable[[], BoolMask]) -> tuple[BoolMask, float, float]:
    """The result, its seconds on the clock and those of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
