"""Compare the methods of `limner.models.classical.fill` on holes whose true content is known.

    PYTHONPATH=src python benchmarks/fill_holes.py --data ../shared/data --json holes.json

Discs and blobs are cut from photographs, away from the labelled object where there is one, each
is filled by every method in turn in one process, and the filling is compared with the truth:

- PSNR (dB, in the hole) and SSIM (Wang et al. 2004, 7x7 Gaussian, grey, in the hole): nearness to
  what was there. Both reward a grey blur over a plausible texture in the wrong place.
- energy: mean gradient magnitude in the hole over that of a ring round it, divided by the same
  ratio of the untouched photograph. 1 is right, under 1 is smeared, over 1 is too busy. The table
  gives its median, and `smear` the median of |log2 energy| (0 is right).
- cpu s: mean seconds of one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from limner.models.classical.fill import METHODS, fill

DIAMETERS = (40, 80, 120, 200)
FOLDERS = ("photos/clear", "photos/repo_licence", "backgrounds")
CROP = 512
SLOW = {"fsr": 80, "shiftmap": 120}
"""Widest hole, px, that a slow method is given (its other rows are left out); --all lifts it."""


@dataclass(frozen=True)
class Case:
    name: str
    image: np.ndarray
    """(h, w, 3) uint8 RGB, sides at most `CROP`."""
    hole: np.ndarray
    """(h, w) bool."""
    diameter: int


def blob(diameter: int, rng: np.random.Generator) -> np.ndarray:
    """(d, d) bool: a disc, or half the time a disc with a wavy edge."""
    y, x = np.mgrid[:diameter, :diameter] - (diameter - 1) / 2
    edge = np.full(y.shape, diameter / 2)
    if rng.random() < 0.5:
        angle = np.arctan2(y, x)
        for wave in (2, 3, 5):
            edge *= 1 - 0.12 * (1 + np.cos(wave * angle + rng.uniform(0, 2 * np.pi)))
    return np.asarray(np.hypot(y, x) <= edge)


def photographs(data: Path, per_folder: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, image, taken): `taken` (H, W) bool marks the object that a hole must not touch."""
    for folder in FOLDERS:
        paths = sorted((data / folder).glob("*.*"))
        for path in paths[:: max(1, len(paths) // per_folder)]:
            image = _read(path)
            if image is not None:
                yield path.stem, image, np.zeros(image.shape[:2], bool)
    table = data / "coco_mval_cc" / "objects.csv"
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    for row in rows[:: max(1, len(rows) // per_folder)]:
        image = _read(table.parent / "images" / row["image"])
        taken = cv2.imread(str(table.parent / "masks" / row["mask"]), cv2.IMREAD_GRAYSCALE)
        if image is not None and taken is not None:
            yield Path(row["image"]).stem, image, np.asarray(taken > 127)


def _read(path: Path) -> np.ndarray | None:
    pixels = cv2.imread(str(path))
    if pixels is None:
        return None
    scale = min(1.0, 1024 / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))


def cases(data: Path, per_folder: int, seed: int) -> Iterator[Case]:
    """One hole a photograph, its diameter taken from `DIAMETERS` in turn."""
    for number, (name, image, taken) in enumerate(photographs(data, per_folder)):
        rng = np.random.default_rng((seed, number))
        diameter = DIAMETERS[number % len(DIAMETERS)]
        height, width = taken.shape
        if min(height, width) < 1.5 * diameter:
            continue
        shape = blob(diameter, rng)
        for _ in range(50):
            y, x = rng.integers(0, (height - diameter + 1, width - diameter + 1))
            hole = np.zeros(taken.shape, bool)
            hole[y : y + diameter, x : x + diameter] = shape
            if not (hole & taken).any():
                top = int(np.clip(y + diameter // 2 - CROP // 2, 0, max(0, height - CROP)))
                left = int(np.clip(x + diameter // 2 - CROP // 2, 0, max(0, width - CROP)))
                crop = (slice(top, top + CROP), slice(left, left + CROP))
                yield Case(name, image[crop], hole[crop], diameter)
                break


def psnr(truth: np.ndarray, filled: np.ndarray, hole: np.ndarray) -> float:
    error = truth[hole].astype(np.float64) - filled[hole]
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-3)))


def ssim(truth: np.ndarray, filled: np.ndarray, hole: np.ndarray) -> float:
    """Mean structural similarity of the grey pictures over the hole (Wang et al. 2004, eq. 13)."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64) for p in (truth, filled))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(values, (7, 7), 1.5))

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return float(score[hole].mean())


def energy(image: np.ndarray, hole: np.ndarray) -> float:
    """Mean gradient magnitude in the hole over that of a 15 px ring round it."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    ring = (cv2.dilate(hole.astype(np.uint8), np.ones((31, 31), np.uint8)) > 0) & ~hole
    return float((slope[hole].mean() + 1.0) / (slope[ring].mean() + 1.0))


def measure(case: Case, method: str) -> dict[str, float | str]:
    covered = np.where(case.hole[..., None], np.uint8(127), case.image)
    start = time.process_time()
    filled = fill(covered, case.hole, method=method)
    seconds = time.process_time() - start
    return {
        "photo": case.name,
        "diameter": case.diameter,
        "method": method,
        "psnr": psnr(case.image, filled, case.hole),
        "ssim": ssim(case.image, filled, case.hole),
        "energy": energy(filled, case.hole) / energy(case.image, case.hole),
        "seconds": seconds,
    }


def table(rows: list[dict[str, float | str]]) -> str:
    """A line per method and diameter, and one per method over all."""
    lines = [
        f"{'method':14} {'hole px':>7} {'n':>3} {'PSNR':>6} {'SSIM':>6} {'energy':>6} "
        f"{'smear':>6} {'cpu s':>8}"
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        for diameter in (*DIAMETERS, None):
            some = [
                row
                for row in rows
                if row["method"] == method and diameter in (None, row["diameter"])
            ]
            if not some:
                continue
            column = {
                key: np.array([row[key] for row in some], float)
                for key in ("psnr", "ssim", "energy", "seconds")
            }
            lines.append(
                f"{method:14} {diameter or 'all':>7} {len(some):3} {column['psnr'].mean():6.2f} "
                f"{column['ssim'].mean():6.3f} {np.median(column['energy']):6.2f} "
                f"{np.median(np.abs(np.log2(column['energy']))):6.2f} "
                f"{column['seconds'].mean():8.2f}"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--json", type=Path, help="write every hole's row here")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--per-folder", type=int, default=16, help="photographs of each folder")
    parser.add_argument("--seed", type=int, default=0, help="of the holes")
    parser.add_argument("--all", action="store_true", help="slow methods on wide holes too")
    args = parser.parse_args()
    if not any((args.data / folder).is_dir() for folder in FOLDERS):
        print(f"skipped: no photographs under {args.data} (looked for {', '.join(FOLDERS)})")
        return 0
    cv2.setNumThreads(1)
    rows: list[dict[str, float | str]] = []
    for case in cases(args.data, args.per_folder, args.seed):
        for method in args.methods:
            if args.all or case.diameter <= SLOW.get(method, CROP):
                rows.append(measure(case, method))
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
