"""Faces, eyes, number plates and upright people by OpenCV's Haar cascades, without any network.

Viola and Jones 2001. The cascades come with opencv-python (cv2.data.haarcascades), so this finds
faces on a machine that has no weights at all. What to expect of it is in `cascade_detect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Grey = NDArray[np.uint8]

WORKING_SIDE = 1600
"""px: a larger photograph is searched at this length of its longer side."""
SMALLEST = 24
"""px in the searched picture: nothing narrower is looked for, unless `min_size` says so."""


@dataclass(frozen=True)
class Cascade:
    """One trained cascade, and how its last stage's weight reads as a score."""

    file: str
    least: float
    """The last stage's weight under which a box is dropped; scores 0.5."""
    spread: float
    """How much more weight scores 0.73."""
    mirrored: bool = False
    """Search the mirror image: a profile cascade knows one side only."""
    extra_neighbors: int = 0
    """Added to `min_neighbors`: over 0 for a cascade that sees things, under 0 for a strict one."""
    finest_step: float = 2.0
    """The scale factor is at most this: the cats' cascades miss most at 1.1."""


# Measured on 74 COCO photographs, min_neighbors 5 (faces in a person's box : elsewhere):
# default 25:12, alt2 17:1, alt 17:0, alt at 3 neighbours 21:0, alt_tree 5:0; profile 21:2.
FRONTAL = Cascade("haarcascade_frontalface_alt.xml", 107.0, 1.0, extra_neighbors=-2)
PROFILE = Cascade("haarcascade_profileface.xml", 0.9, 1.0, extra_neighbors=1)
PROFILE_MIRRORED = Cascade(PROFILE.file, 0.9, 1.0, mirrored=True, extra_neighbors=1)
EYE = Cascade("haarcascade_eye_tree_eyeglasses.xml", 1.0, 2.0)
CAT = Cascade(
    "haarcascade_frontalcatface_extended.xml", 2.0, 1.0, extra_neighbors=-2, finest_step=1.05
)
PLATE = Cascade("haarcascade_russian_plate_number.xml", 1.0, 1.0)
BODY = Cascade("haarcascade_fullbody.xml", 0.0, 1.0)
UPPER = Cascade("haarcascade_upperbody.xml", 0.0, 1.0)

FACE = (FRONTAL, PROFILE, PROFILE_MIRRORED)

KINDS: dict[str, tuple[Cascade, ...]] = {
    "face": FACE,
    "faces": FACE,
    "human face": FACE,
    "human faces": FACE,
    "person's face": FACE,
    "frontal face": (FRONTAL,),
    "profile face": (PROFILE, PROFILE_MIRRORED),
    "cat face": (CAT,),
    "cat's face": (CAT,),
    "cat faces": (CAT,),
    "cats' faces": (CAT,),
    "eye": (EYE,),
    "eyes": (EYE,),
    "human eye": (EYE,),
    "plate": (PLATE,),
    "plates": (PLATE,),
    "license plate": (PLATE,),
    "licence plate": (PLATE,),
    "number plate": (PLATE,),
    "license plates": (PLATE,),
    "licence plates": (PLATE,),
    "number plates": (PLATE,),
    "full body": (BODY,),
    "pedestrian": (BODY,),
    "upper body": (UPPER,),
}
"""What a person says, and the cascades that look for it.

"person" and "smile" are left out on purpose: on 210 people the full-body cascade found 2 and saw
5 that were not there; on one portrait the smile cascade boxed 1 smile and 8 other things.
"""

SAMPLE_KINDS = ("face", "cat face", "eye", "number plate", "full body", "upper body")
"""One phrase for each thing that is looked for, as a sentence names them."""


def cascade_detect(
    image: np.ndarray,
    kind: str,
    *,
    scale_factor: float = 1.1,
    min_neighbors: int = 5,
    min_size: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of one kind of thing, the best first.

    Honest limits. Faces: upright, and seen from the front or fully from the side; on 74 COCO
    photographs (210 people; the thresholds were set on them) it boxed 26 faces and nothing
    else, and missed the faces that are tilted, turned half away, dark, covered, or under 24 px
    in the searched picture, whose longer side is at most 1600 px: in a 4000x3000 photograph a
    face under 60 px is not found. So it is
    no proof that nobody can be recognised. Number plates: wide Russian or European ones from the
    front, at least 72 px wide. Cats: looking into the camera. Bodies: standing people on a
    plain street at best; half of the upper bodies are something else.

    Args:
        image: (H, W, 3) uint8 RGB.
        kind: a key of `KINDS`, in any case.
        scale_factor: over 1: ratio of one search size to the next. Nearer 1 finds more, slower.
        min_neighbors: how many overlapping hits make a box. More gives fewer, surer boxes.
        min_size: px of the image: the shorter side of the smallest box looked for. None = 24 px
            of the searched picture.

    Returns:
        boxes (N, 4) float64, x0 y0 x1 y1 in px of the image, and scores (N,) float64 in 0..1.
        A score rises with the weight of the cascade's last stage. It puts boxes in order; it is
        not a probability, and scores of two kinds do not compare.
    """
    cascades = _check(image, kind, scale_factor, min_neighbors)
    if min(image.shape[:2]) < 1:
        return np.zeros((0, 4)), np.zeros(0)
    grey, scale_xy = _searched(image)
    smallest = SMALLEST if min_size is None else max(1, round(min_size * scale_xy.min()))
    answers = [
        _detect(grey, cascade, scale_factor, min_neighbors, smallest) for cascade in cascades
    ]
    boxes = np.concatenate([boxes for boxes, _ in answers])
    scores = np.concatenate([scores for _, scores in answers])
    best = _apart(boxes, scores)
    return boxes[best] / np.tile(scale_xy, 2), scores[best]


def _check(
    image: np.ndarray, kind: str, scale_factor: float, min_neighbors: int
) -> tuple[Cascade, ...]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB; got {image.shape} {image.dtype}")
    cascades = KINDS.get(" ".join(kind.lower().split()))
    if cascades is None:
        raise ValueError(f"kind is one of {', '.join(KINDS)}; got {kind!r}")
    if scale_factor <= 1:
        raise ValueError(f"scale_factor must be over 1, such as 1.1; got {scale_factor}")
    if min_neighbors < 0:
        raise ValueError(f"min_neighbors must be 0 or more; got {min_neighbors}")
    return cascades


def _searched(image: np.ndarray) -> tuple[Grey, Floats]:
    """Grey picture of at most WORKING_SIDE px, and its px per px of the image: x, y."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    high, wide = grey.shape
    scale = min(1.0, WORKING_SIDE / max(wide, high))
    if scale < 1:  # a line of 10000 x 2 px keeps a row
        size_wh = (max(1, round(wide * scale)), max(1, round(high * scale)))
        grey = cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA)
    scale_xy = np.array([grey.shape[1] / wide, grey.shape[0] / high])
    return np.asarray(grey, np.uint8), scale_xy


@lru_cache
def _classifier(file: str) -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / file
    classifier = cv2.CascadeClassifier(str(path))
    if classifier.empty():
        raise FileNotFoundError(
            f"OpenCV's cascade {path} is missing or unreadable; reinstall opencv-python-headless"
        )
    return classifier


def _detect(
    grey: Grey, cascade: Cascade, scale_factor: float, min_neighbors: int, smallest: int
) -> tuple[Floats, Floats]:
    """Boxes (n, 4) xyxy in px of the grey picture, and their scores (n,)."""
    classifier = _classifier(cascade.file)
    wide, high = classifier.getOriginalWindowSize()
    times = smallest / min(wide, high)
    searched = np.ascontiguousarray(grey[:, ::-1]) if cascade.mirrored else grey
    rects, _, weights = classifier.detectMultiScale3(
        searched,
        scaleFactor=min(scale_factor, cascade.finest_step),
        minNeighbors=max(0, min_neighbors + cascade.extra_neighbors),
        minSize=(round(wide * times), round(high * times)),
        outputRejectLevels=True,
    )
    weight = np.asarray(weights, np.float64).ravel()
    sure = weight >= cascade.least
    x, y, w, h = np.asarray(rects, np.float64).reshape(-1, 4)[sure].T
    if cascade.mirrored:
        x = grey.shape[1] - x - w
    scores = 1 / (1 + np.exp(-(weight[sure] - cascade.least) / cascade.spread))
    return np.stack([x, y, x + w, y + h], axis=1), scores


def _apart(boxes: Floats, scores: Floats, most: float = 0.5) -> list[int]:
    """Indices of the boxes to keep, best score first.

    A box is dropped when it shares over `most` of the smaller of the two with a better one: the
    frontal and the profile cascade box one face at different sizes, so IoU would keep both.
    """
    rows: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if all(_shared(boxes[i], boxes[j]) <= most for j in rows):
            rows.append(i)
    return rows


def _shared(a: Floats, b: Floats) -> float:
    """Area of the overlap over the area of the smaller box."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
    return float(np.prod(np.maximum(sides, 0)) / max(smaller, 1e-9))
