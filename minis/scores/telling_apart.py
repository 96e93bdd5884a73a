"""mini-dino: which of five drawings of one noun is the one in another picture.

The five are the four styles that lie in the repository and, so that nothing else is needed, a
drawing half way between two of them, which stands among the answers and is never asked for. Two
pictures of a drawing differ in background, place, size, angle, mirroring, light and blur; the
nearest is that of the largest cosine.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from minis.drawings import OWN_STYLES, TEST_STYLE, Drawing, drawing, trained_nouns
from minis.scores import samples
from minis.scores.shelf import Shelf, pictured

SIDE = 96
ASKED = (TEST_STYLE, *OWN_STYLES)
BETWEEN = ("fluent_flat", "noto_v1")


def measure(shelf: Shelf, times: int = 2) -> dict[str, float]:
    """``times`` pictures of each drawing of every trained noun, against one of each of the five."""
    right = np.array([right_answers(shelf, noun, times) for noun in trained_nouns()])
    return {
        "dino-held-out": float(right[:, ASKED.index(TEST_STYLE)].mean()),
        "dino-all": float(right.mean()),
    }


def right_answers(shelf: Shelf, noun: str, times: int) -> npt.NDArray[np.bool_]:
    """(styles asked, times)."""
    asked = [drawing(noun, style) for style in ASKED]
    among = [*asked, samples.mixed(noun, BETWEEN)]
    views = [view for drawn in asked for view in seen(drawn, range(1, times + 1))]
    answers = [view for drawn in among for view in seen(drawn, [0])]
    rows = shelf.instance_encoder.encode_images([pictured(view) for view in views + answers])
    return (
        nearest(rows[: len(views)], rows[len(views) :]).reshape(len(asked), times)
        == (np.arange(len(asked))[:, None])
    )


def seen(drawn: Drawing, numbers: Sequence[int]) -> list[npt.NDArray[np.uint8]]:
    """Pictures of one drawing, by number."""
    return [samples.shown_alone(drawn, k, SIDE).image for k in numbers]


def nearest(
    rows: npt.NDArray[np.floating], among: npt.NDArray[np.floating]
) -> npt.NDArray[np.int64]:
    """(N,) which of the (M, D) unit rows has the largest cosine with each of the (N, D) ones."""
    return np.argmax(rows @ among.T, axis=1)
