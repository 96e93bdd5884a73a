"""Several detectors, each asked for the phrases that are its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from limner.ops import detections as dets
from limner.options import DetectOptions
from limner.pipeline.look import look
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import Detector, ModelRef

if TYPE_CHECKING:
    from PIL.Image import Image


class ByPhrase:
    """A ``DetectorGroup`` of two: ``special`` answers the phrases that it knows, and ``other`` all
    else. A detector that isn't asked is not loaded.

    Args:
        knows: whether a phrase is for ``special``.
        special, other: load a detector, once.
        name: of both together.
    """

    def __init__(
        self,
        knows: Callable[[str], bool],
        special: Callable[[], Detector],
        other: Callable[[], Detector],
        accepts: frozenset[PromptKind],
        name: str,
    ) -> None:
        self.ref = ModelRef(name, "by phrase", "")
        self.accepts = accepts
        self._knows = knows
        self._load = (other, special)
        self._loaded: dict[int, Detector] = {}

    @property
    def members(self) -> tuple[Detector, ...]:
        """Those that were asked so far."""
        return tuple(self._loaded.values())

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """What each finds of its own phrases, best first; scores of the two don't compare.

        Each looks for itself, in tiles where ``options`` say so.
        """
        own = np.array([bool(p.text and self._knows(p.text.phrase)) for p in prompts], dtype=bool)
        answers = []
        for which in (0, 1):
            rows = np.flatnonzero(own == bool(which))
            if not len(rows):
                continue
            answer = look(self._member(which), image, [prompts[int(row)] for row in rows], options)
            answers += [
                dets.with_prompt_index(dets.take(answer, answer.class_id == k), int(row))
                for k, row in enumerate(rows)
            ]
        merged = dets.by_confidence(dets.merge(answers)) if answers else dets.empty()
        return dets.take(merged, slice(options.max_detections))

    def _member(self, which: int) -> Detector:
        if which not in self._loaded:
            self._loaded[which] = self._load[which]()
        return self._loaded[which]
