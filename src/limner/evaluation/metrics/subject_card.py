"""Which checkpoint of a taught subject to keep, by subject fidelity, prompt fidelity and the class.

DINO, CLIP-I, CLIP-T and PRES are DreamBooth's (arXiv 2208.12242, sections 4.1 and 4.2;
``subject_fidelity`` says which encoders its tables use). Leak, drift and the single
number that ranks checkpoints are limner's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.errors import InputError
from limner.evaluation.metrics.subject_fidelity import (
    Distance,
    Rows,
    clip_t,
    cosine_diversity,
    diversity,
    mean_cosine,
    mean_cosine_of_pairs,
    mean_cosine_within,
)
from limner.protocols import Encoder

if TYPE_CHECKING:
    from PIL.Image import Image

GOOD_ENOUGH = 0.5
"""Of the way from the untaught model's DINO to the photographs' own."""
UNTAUGHT = "before"
"""The name of the model without what was taught, in the row above all others."""


@dataclass(frozen=True)
class PainterScores:
    """One checkpoint, one adapter, or the model without any. Cosines, -1 to 1."""

    name: str
    """The step of a checkpoint, the name of an adapter, ``UNTAUGHT``."""
    dino: float
    """Samples against the photographs: subject fidelity. Higher is better."""
    clip_i: float
    """The same by CLIP."""
    clip_t: float
    """Samples against their own words, without the identifier, which CLIP doesn't know: prompt
    fidelity. Higher is better."""
    pres: float
    """Pictures of the class, painted *without* the identifier, against the photographs. Lower is
    better."""
    leak: float
    """``pres`` less that of the untaught model: what the class took from the subject."""
    drift: float
    """1 less the mean DINO cosine of class pictures with the untaught model's of the same seeds."""
    div: float | None = None
    """DIV: mean LPIPS distance of samples of one prompt. Higher is better. None: there is no
    LPIPS here, or one portrait a prompt."""
    div_dino: float | None = None
    """The same by DINO, 1 less the cosine, which isn't the paper's DIV; None: one a prompt."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Ceiling:
    """The photographs against each other: what no painter is expected to pass."""

    dino: float
    clip_i: float


class SubjectCard:
    """Scores painter after painter against the same photographs and untaught pictures.

    Args:
        real: photographs of the subject, at least two.
        samples, of_class: what the *untaught* model painted, with the seeds of all checkpoints.
        words: for each portrait, its prompt without the identifier.
        lpips: fills DIV, such as ``models.blocks.perceptual.lpips``; None: it stays empty.

    Raises:
        InputError: fewer than two photographs.
    """

    def __init__(
        self,
        real: Sequence[Image],
        samples: Sequence[Image],
        of_class: Sequence[Image],
        words: Sequence[str],
        *,
        dino: Encoder,
        clip: Encoder,
        lpips: Distance | None = None,
    ) -> None:
        self._dino, self._clip, self._words, self._lpips = dino, clip, words, lpips
        self._real: Rows = dino.encode_images(real)
        self._real_clip: Rows = clip.encode_images(real)
        by_dino, by_clip = mean_cosine_within(self._real), mean_cosine_within(self._real_clip)
        if by_dino is None or by_clip is None:
            raise InputError(f"A ceiling takes two photographs of the subject, got {len(real)}.")
        self.ceiling = Ceiling(by_dino, by_clip)
        self._class_before: Rows = dino.encode_images(of_class)
        self._pres_before = mean_cosine(self._class_before, self._real)
        self.untaught = self.score(UNTAUGHT, samples, of_class)

    def score(
        self, name: str, samples: Sequence[Image], of_class: Sequence[Image]
    ) -> PainterScores:
        """The scores of one checkpoint or adapter.

        Raises:
            InputError: not as many pictures as the untaught model made.
        """
        classes, painted = self._dino.encode_images(of_class), self._dino.encode_images(samples)
        pres = mean_cosine(classes, self._real)
        return PainterScores(
            name,
            mean_cosine(painted, self._real),
            mean_cosine(self._clip.encode_images(samples), self._real_clip),
            clip_t(self._clip, samples, self._words),
            pres,
            pres - self._pres_before,
            1 - mean_cosine_of_pairs(classes, self._class_before),
            diversity(samples, self._words, self._lpips) if self._lpips else None,
            cosine_diversity(painted, self._words),
        )

    def total(self, scores: PainterScores) -> float:
        """One number, 0 to 1: the geometric mean of subject fidelity, prompt fidelity and an
        unharmed class.

        The first is DINO's way from the untaught model to the ceiling, the second CLIP-T in parts
        of the untaught model's (1 where that is 0: there is nothing to lose), the last 1 less the
        leak in parts of the way to the ceiling. A checkpoint that lacks any of the three gets 0.
        """
        before, most = self.untaught, self.ceiling.dino
        parts = (
            _part(scores.dino - before.dino, most - before.dino),
            _part(scores.clip_t, before.clip_t) if before.clip_t > 0 else 1.0,
            1 - _part(scores.leak, most - self._pres_before),
        )
        product = parts[0] * parts[1] * parts[2]
        return float(product ** (1 / 3))

    @property
    def half_way(self) -> float:
        """DINO between the untaught model and the photographs: less is hardly the subject."""
        return self.untaught.dino + GOOD_ENOUGH * (self.ceiling.dino - self.untaught.dino)

    def best(self, rows: Sequence[PainterScores]) -> PainterScores | None:
        """The best total of those that come half way to the photographs; of equals the first.

        Returns:
            None where none does: a best of bad ones would be taken for a good one.

        Raises:
            InputError: there are no rows.
        """
        if not rows:
            raise InputError("There is no checkpoint to choose from.")
        good = [row for row in rows if row.dino >= self.half_way and self.total(row) > 0]
        return max(good, key=self.total, default=None)


def _part(value: float, whole: float) -> float:
    """``value`` in parts of ``whole``, within 0 and 1; 0 of nothing."""
    return min(1.0, max(0.0, value / whole)) if whole > 0 else 0.0
