"""Which detector finds which faces: recall and precision on photographs, against boxes by eye.

The boxes (`coco_cc_faces.json`) were drawn before any detector was run; docs/faces.md says how.
Half of the photographs, the even places in the order of their names, chose threshold and look; the
other half is what is reported. A find is right when its IoU with a face that nothing surer has
taken is at least .3. What lies on an unclear or, but for `--small`, a small face counts neither
way.

    OMP_NUM_THREADS=1 python benchmarks/faces.py                       # the reported half
    OMP_NUM_THREADS=1 python benchmarks/faces.py --half choosing --thresholds .3,.4,.5,.6
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.ops import detections as dets
from limner.options import DetectOptions
from limner.pipeline.look import look
from limner.prompts import Text, VisualPrompt
from limner.protocols import Detector
from limner.registry import store
from limner.registry.pool import load
from limner.registry.weights import Runtime

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_cc" / "images"
LABELS = Path(__file__).with_name("coco_cc_faces.json")
MODELS = ("haar", "yunet", "centerface")
SAME = 0.3
FACE = VisualPrompt(text=Text("face"))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Photograph:
    """One picture's faces: (N, 4) xyxy each, in px."""

    path: Path
    faces: Floats
    ignored: Floats


@dataclass
class Score:
    """Counts over photographs."""

    right: int = 0
    wrong: int = 0
    faces: int = 0

    @property
    def recall(self) -> float:
        return self.right / max(1, self.faces)

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)

    def __str__(self) -> str:
        return (
            f"{self.right} of {self.faces}, {self.wrong} wrong: recall {self.recall:.2f}, "
            f"precision {self.precision:.2f}"
        )


def photographs(folder: Path, half: str, *, small: bool) -> Iterator[Photograph]:
    """The photographs of a half ("choosing", "reported" or "both") with their labels."""
    rows = json.loads(LABELS.read_text("utf-8"))["images"]
    names = sorted(row["image"] for row in rows)
    wanted = {"choosing": names[::2], "reported": names[1::2], "both": names}[half]
    counted = {"face", "small"} if small else {"face"}
    for row in sorted(rows, key=lambda row: str(row["image"])):
        if row["image"] in wanted:
            boxes = row["boxes"]
            yield Photograph(
                folder / row["image"],
                _array([box["xyxy"] for box in boxes if box["kind"] in counted]),
                _array([box["xyxy"] for box in boxes if box["kind"] not in counted]),
            )


def _array(boxes: Sequence[Sequence[float]]) -> Floats:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)


def count(photo: Photograph, found: Floats, score: Score, *, show: bool = False) -> None:
    """Add one photograph's finds, best first, (N, 4) xyxy; ``show`` prints those that are wrong and
    the faces that were missed."""
    score.faces += len(photo.faces)
    overlap = dets.iou(found, photo.faces)
    taken: set[int] = set()
    for row, box in enumerate(found):
        free = [k for k in range(len(photo.faces)) if k not in taken and overlap[row, k] >= SAME]
        if free:
            taken.add(max(free, key=lambda k: float(overlap[row, k])))
            score.right += 1
        elif not _is_ignored(box[None], photo.ignored):
            score.wrong += 1
            if show:
                print(f"  wrong: {photo.path.name} {np.rint(box).astype(int).tolist()}")
    for k in set(range(len(photo.faces))) - taken if show else ():
        print(f"  missed: {photo.path.name} {photo.faces[k].astype(int).tolist()}")


def _is_ignored(box: Floats, ignored: Floats) -> bool:
    if not len(ignored):
        return False
    inside = dets.intersection(box, ignored) / np.maximum(dets.area(box), 1e-9)[:, None]
    return bool((dets.iou(box, ignored) >= SAME).any() or (inside >= 0.5).any())


def finds(
    detector: Detector, photo: Photograph, how: str, least: float | None, turn: int
) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Boxes best first and scores, by one look; ``turn`` quarter turns are undone afterwards."""
    with Image.open(photo.path) as opened:
        image = opened.convert("RGB")
    seen = image.rotate(90 * turn, expand=True) if turn else image
    detections = look(detector, seen, [FACE], DetectOptions(look=how, threshold=least))
    boxes = detections.xyxy.astype(np.float64)
    for undone in range(turn):  # back by a quarter turn with the clock
        side = seen.height if undone % 2 == 0 else seen.width
        x0, y0, x1, y1 = boxes.T
        boxes = np.stack([side - y1, x0, side - y0, x1], axis=1)
    return boxes, np.asarray(detections.confidence, np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, default=DATA)
    parser.add_argument("--half", choices=("choosing", "reported", "both"), default="reported")
    parser.add_argument("--thresholds", default="", help="several, instead of the model's own")
    parser.add_argument("--looks", default="whole,turned")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--small", action="store_true", help="count faces under 16 px as well")
    parser.add_argument("--show", action="store_true", help="say which are wrong and missed")
    parser.add_argument("--turn", type=int, default=0, help="turn the photographs so many times 90")
    given = parser.parse_args()
    photos = list(photographs(given.images, given.half, small=given.small))
    print(f"{len(photos)} photographs, {sum(len(p.faces) for p in photos)} faces")
    for name in given.models.split(","):
        if not store.is_here(name):
            print(f"{name}: not here")
            continue
        detector = load(store.find(name), Runtime())
        assert isinstance(detector, Detector)
        thresholds = [float(text) for text in given.thresholds.split(",") if text] or [None]
        for how in given.looks.split(",") if name != "haar" else ["whole"]:
            known = [t for t in thresholds if t is not None]
            answers = [
                finds(detector, p, how, min(known) if known else None, given.turn) for p in photos
            ]
            for least in thresholds:
                score = Score()
                for photo, (boxes, scores) in zip(photos, answers, strict=True):
                    chosen = boxes if least is None else boxes[scores >= least]
                    count(photo, chosen, score, show=given.show)
                at = "its own threshold" if least is None else f"{least:g}"
                print(f"{name}, {how}, {at}: {score}", flush=True)


if __name__ == "__main__":
    main()
