"""Interactive segmentation without weights on COCO objects, against plain `cv2.grabCut`.

Each object of `objects.csv` is asked for by its box (the rival and ours, one after the other, so
that a busy machine slows both) and by 1 to 5 simulated clicks (ours). One thread.

    python benchmarks/grabcut_coco.py --every 4 --json /tmp/grabcut.json
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from limner.models.grabcut import grabcut

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_mval_cc"
CLICKS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder with objects.csv")
    parser.add_argument("--every", type=int, default=1, help="take every N-th object")
    parser.add_argument("--start", type=int, default=0, help="index of the first object")
    parser.add_argument("--with-mask", action="store_true", help="give the previous mask as well")
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
    summary = summarise(rows)
    print("\n".join(f"{name:28} {value:.3f}" for name, value in summary.items()))
    if options.json:
        options.json.write_text(json.dumps({"summary": summary, "objects": rows}, indent=1))


def objects(data: Path, start: int, every: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(H, W, 3) uint8 RGB and the (H, W) bool mask of its object, in the table's order."""
    with (data / "objects.csv").open() as table:
        for row in list(csv.DictReader(table))[start::every]:
            image = np.asarray(cv2.imread(str(data / "images" / row["image"])))
            truth = cv2.imread(str(data / "masks" / row["mask"]), cv2.IMREAD_GRAYSCALE)
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)), np.asarray(truth) > 127


def measure(image: np.ndarray, truth: np.ndarray, with_mask: bool) -> dict[str, float]:
    """IoU and seconds of each prompt for one object."""
    box = box_of(truth)
    row: dict[str, float] = {}
    for name, segment in (
        ("plain box", lambda: plain_grabcut(image, box)),
        ("ours box", lambda: grabcut(image, box=box)[0]),
    ):
        mask, row[f"{name} s"] = timed(segment)
        row[f"{name} iou"] = iou(mask, truth)
    clicks, previous = [(first_click(truth), 1)], None
    for count in range(1, CLICKS + 1):
        points = np.array([at for at, _ in clicks])
        labels = np.array([label for _, label in clicks])
        mask, row[f"ours {count} click s"] = timed(
            lambda: grabcut(image, points=points, point_labels=labels, mask=previous)[0]  # noqa: B023
        )
        row[f"ours {count} click iou"] = iou(mask, truth)
        previous = mask if with_mask else None
        if (mask == truth).all():
            clicks.append(clicks[0])
        else:
            clicks.append(next_click(mask, truth))
    return row


def summarise(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean and median of each IoU, median and 95th percentile of each time, ratio of times."""
    out: dict[str, float] = {"objects": len(rows)}
    for name in rows[0] if rows else ():
        values = np.array([row[name] for row in rows])
        low, high = (
            ("mean", values.mean()) if name.endswith("iou") else ("p95", np.percentile(values, 95)),
            ("median", np.median(values)),
        )
        out |= {f"{name} {kind}": float(value) for kind, value in (low, high)}
    if rows:
        out["time ours / plain, box"] = out["ours box s median"] / out["plain box s median"]
    return out


def plain_grabcut(image: np.ndarray, box: np.ndarray) -> np.ndarray:
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


def first_click(mask: np.ndarray) -> np.ndarray:
    """(2,) float xy, the centre of the pixel of (H, W) bool farthest from its border.

    The image's border counts as the mask's.
    """
    return _deepest(mask)[0]


def next_click(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, int]:
    """The deepest point (2,) of the error and its label: 1 where the object was missed, else 0."""
    missed, missed_depth = _deepest(truth & ~prediction)
    taken, taken_depth = _deepest(prediction & ~truth)
    return (missed, 1) if missed_depth >= taken_depth else (taken, 0)


def _deepest(mask: np.ndarray) -> tuple[np.ndarray, float]:
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return np.array([x + 0.5, y + 0.5]), float(depth.max())


def box_of(mask: np.ndarray) -> np.ndarray:
    """(4,) float xyxy; the far sides lie behind the last pixel."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], float)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
