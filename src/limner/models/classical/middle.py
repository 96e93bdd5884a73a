"""The main thing guessed, without weights: what GrabCut outlines in the middle of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from limner.models.classical.grabcut import grabcut
from limner.protocols import Matte, ModelRef
from limner.registry.weights import Runtime, Weights

if TYPE_CHECKING:
    from PIL.Image import Image

INSET = 0.1
"""Part of each side that is taken for background, at both ends."""
CAVEAT = "a guess at the main thing: what lies in the middle"


def load(weights: Weights, runtime: Runtime) -> Middle:
    return Middle(weights.ref)


class Middle:
    """A ``Matting`` model that takes what is central, whichever thing is the main one."""

    soft = False
    caveat = CAVEAT

    def __init__(self, ref: ModelRef) -> None:
        self.ref = ref

    def matte(self, image: Image) -> Matte:
        """1 inside the outline, 0 elsewhere; the score is GrabCut's own."""
        width, height = image.size
        left, top = width * INSET, height * INSET
        box = np.array([left, top, width - left, height - top])
        mask, score = grabcut(np.asarray(image.convert("RGB")), box=box)
        return Matte(mask.astype(np.float32), score)
