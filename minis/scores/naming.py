"""mini-clip: which of the 123 trained nouns a picture shows.

A noun's place is the mean of its phrases' places over ten templates (``minis.vocabulary``), as in
CLIP's own zero-shot classification.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from limner.protocols import Encoder
from limner.registry import bundled
from minis.drawings import TEST_STYLE, drawing, phrase, trained_nouns
from minis.scene import Pixels
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels, pictured
from minis.vocabulary import TEMPLATES, fill

Floats = npt.NDArray[np.floating]
SIDE = 72


class Namer:
    """mini-clip asked for the noun of pictures."""

    def __init__(self, encoder: Encoder, templates: Sequence[str] = TEMPLATES) -> None:
        self.nouns = trained_nouns()
        self._encoder = encoder
        self._templates = templates

    @cached_property
    def _places(self) -> Floats:
        """(123, D) unit rows."""
        texts = [fill(t, phrase(noun)) for noun in self.nouns for t in self._templates]
        rows = self._encoder.encode_texts(texts)
        mean = rows.reshape(len(self.nouns), len(self._templates), -1).mean(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def cosines(self, images: Sequence[Pixels]) -> Floats:
        """(N, 123)."""
        return self._encoder.encode_images([pictured(image) for image in images]) @ self._places.T

    def probabilities(self, images: Sequence[Pixels]) -> Floats:
        """(N, 123), at the temperature that mini-clip learned."""
        logits = temperature() * self.cosines(images)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def among_first(self, scores: Floats, nouns: Sequence[str], first: int) -> float:
        """The part of the rows whose own noun is among the ``first`` best."""
        return top(scores, [self.nouns.index(noun) for noun in nouns], first)


def temperature() -> float:
    """What mini-clip's cosines are multiplied by."""
    path = bundled.folder("mini-clip") / "model.safetensors"
    with safe_open(path, framework="numpy") as file:
        return min(50.0, math.exp(float(file.get_tensor("logit_scale"))))  # 50: as in training


def top(scores: Floats, labels: Sequence[int], first: int) -> float:
    """The part of the rows in which fewer than ``first`` others score as high as the label."""
    own = scores[np.arange(len(labels)), labels]
    above = (scores >= own[:, None]).sum(axis=1) - 1
    return float((above < first).mean())


def measure(models: ShippedModels, each: int = 8) -> dict[str, float]:
    """Over ``each`` held-out pictures of every trained noun."""
    namer = Namer(models.encoder)
    labels = [noun for noun in namer.nouns for _ in range(each)]
    drawn = [drawing(noun, TEST_STYLE) for noun in labels]
    shown = [samples.shown_alone(d, k % each, SIDE).image for k, d in enumerate(drawn)]
    scores = namer.cosines(shown)
    plain = Namer(models.encoder, ["a photo of {a}"])
    return {
        "clip-top1": namer.among_first(scores, labels, 1),
        "clip-top5": namer.among_first(scores, labels, 5),
        "clip-one-template": plain.among_first(plain.cosines(shown), labels, 1),
    }
