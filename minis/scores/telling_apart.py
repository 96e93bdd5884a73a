"""mini-dino: which of five drawings of one noun is the one in another picture.

The five are the four styles that lie in the repository and, so that nothing else is needed, a
drawing half way between two of them, which stands among the answers and is never asked for. Where
``../shared/data/emoji`` is, a real fifth style takes its place for a number beside it. Two
pictures of a drawing differ in background, place, size, angle, mirroring, light and blur; the
nearest is that of the largest cosine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from minis.drawings import (
    OWN_STYLES,
    SHARED_STYLES,
    TEST_STYLE,
    Drawing,
    drawing,
    trained_nouns,
    training_styles,
)
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured

SIDE = 96
ASKED = (TEST_STYLE, *OWN_STYLES)
BETWEEN = ("fluent_flat", "noto_v1")

Bools = npt.NDArray[np.bool_]


def measure(models: ShippedModels, times: int = 2) -> dict[str, float]:
    """``times`` pictures of each drawing of every trained noun, against one of each answer."""
    right = np.array([right_answers(models, noun, times) for noun in trained_nouns()])
    held_out = right[:, :, ASKED.index(TEST_STYLE)].mean(axis=(0, 2))
    names = ["dino-held-out", "dino-four", "dino-real-five"]
    numbers = {name: float(part) for name, part in zip(names, held_out, strict=False)}
    return {**numbers, "dino-all": float(right[:, 0].mean())}


def right_answers(models: ShippedModels, noun: str, times: int) -> Bools:
    """(sets of answers, styles asked, times): with the drawing between two styles among the
    answers; with the four styles alone; and, where it is at hand, with a real fifth style."""
    drawings = [drawing(noun, style) for style in ASKED]
    others = [samples.mixed(noun, BETWEEN)]
    if SHARED_STYLES[0] in training_styles():
        others.append(drawing(noun, SHARED_STYLES[0]))
    views = [view for drawn in drawings for view in seen(drawn, range(1, times + 1))]
    answers = [view for drawn in [*drawings, *others] for view in seen(drawn, [0])]
    rows = models.instance_encoder.encode_images([pictured(view) for view in views + answers])
    questions, among = rows[: len(views)], rows[len(views) :]
    four = list(range(len(drawings)))
    sets = [[*four, 4], four, *([[*four, 5]] if len(others) > 1 else [])]
    own = np.repeat(four, times)
    right = [nearest(questions, among[one]) == own for one in sets]
    return np.array(right).reshape(len(sets), len(drawings), times)


def seen(drawn: Drawing, numbers: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    """Pictures of one drawing, by number."""
    return [samples.shown_alone(drawn, k, SIDE).image for k in numbers]


def nearest(
    rows: npt.NDArray[np.floating], among: npt.NDArray[np.floating]
) -> npt.NDArray[np.int64]:
    """(N,) which of the (M, D) unit rows has the largest cosine with each of the (N, D) ones."""
    return np.argmax(rows @ among.T, axis=1)
