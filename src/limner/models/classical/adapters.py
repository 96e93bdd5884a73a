"""Models without weights: real answers on real photographs, on any machine.

``grabcut`` outlines, ``opencv-inpaint`` fills, ``haar`` finds faces and plates. Each wraps a pure
function of its own file in the protocols that the large models answer to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image as pil

from limner.errors import ModelError, OptionError, PromptError
from limner.io import images
from limner.models.blocks.paint_checks import check_surroundings, refuse_words
from limner.models.classical import fill
from limner.models.classical.grabcut import ObjectPrompt, grabcut_candidates
from limner.models.classical.grabcut_view import COARSE, FINE
from limner.models.faces.haar import KINDS, SAMPLE_KINDS, cascade_detect
from limner.ops import detections as dets
from limner.ops import masks
from limner.ops.suppression import distinct
from limner.options import (
    EVERY_DETECTOR,
    DetectOptions,
    InpaintOptions,
    SegmentOptions,
    check_honoured,
)
from limner.prompts import BoolMask, PromptKind, Text, VisualPrompt
from limner.protocols import ImageEmbedding, ModelRef, OnStep, check_accepts
from limner.registry.weights import Runtime, Weights

if TYPE_CHECKING:
    from PIL.Image import Image


CANDIDATES = 3
"""Masks that one prompt may mean, as many as SAM proposes."""
MANY = 12
"""With more prompts at once than this each gets its best mask alone, and a box a coarser look: a
tenth of the time for a mean IoU that is .01 lower."""


def load_grabcut(weights: Weights, runtime: Runtime) -> GrabCut:
    return GrabCut(weights.ref)


def load_opencv_inpaint(weights: Weights, runtime: Runtime) -> OpenCvInpaint:
    return OpenCvInpaint(weights.ref)


def load_haar(weights: Weights, runtime: Runtime) -> Haar:
    return Haar(weights.ref)


class GrabCut:
    """Graph cuts over colour models (Rother, Kolmogorov, Blake 2004), from any spatial prompt."""

    accepts = frozenset(
        {PromptKind.POINT, PromptKind.BACKGROUND_POINT, PromptKind.BOX, PromptKind.MASK}
    )

    def __init__(self, ref: ModelRef) -> None:
        self.ref = ref

    def embed(self, image: Image) -> ImageEmbedding:
        return ImageEmbedding(
            images.digest(image), image.size, self.ref.name, np.asarray(image, dtype=np.uint8)
        )

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        check_honoured(
            options, frozenset({"iterations"}), self.ref.name, "it has no logits and no mask heads"
        )
        check_accepts(self, prompts)
        if embedding.model != self.ref.name:
            raise ModelError(f"{self.ref.name} can't use an embedding made by {embedding.model}.")
        answers = []
        many = len(prompts) > MANY
        for done, prompt in enumerate(prompts, start=1):
            answers.append(_cut(embedding.data, prompt, options.iterations, many))
            if on_step:
                on_step(done, len(prompts))
        crops = [crop for ((crop, _), *_) in answers]
        scores = [score for ((_, score), *_) in answers]
        rows = dets.make(
            np.array([crop.box_xyxy or (0, 0, 0, 0) for crop in crops]).reshape(-1, 4),
            scores,
            np.arange(len(prompts)),
            [prompt.manner for prompt in prompts],
        )
        candidates = [dets.Candidates.of(answer) for answer in answers]
        return dets.with_masks(rows, crops, scores, candidates=candidates)


def _cut(
    pixels: npt.NDArray[np.uint8],
    prompt: VisualPrompt,
    iterations: int | None,
    many: bool,
) -> list[tuple[masks.MaskCrop, float]]:
    points = prompt.points
    known = ObjectPrompt(
        points=np.array([(p.x, p.y) for p in points]) if points else None,
        point_labels=np.array([p.label for p in points]) if points else None,
        box=np.array(prompt.box.xyxy) if prompt.box else None,
        mask=prompt.mask.array if prompt.mask else None,
    )
    answers = grabcut_candidates(
        pixels,
        known,
        iterations=iterations,
        count=1 if many else CANDIDATES,
        detail=COARSE if many and prompt.box else FINE,  # a click is a guess of sizes in the view
    )
    return [(masks.MaskCrop.of(mask), score) for mask, score in answers]


class OpenCvInpaint:
    """Continues a hole's surroundings; can't paint anything new."""

    takes_text = False
    grid = 1
    native_size = None

    def __init__(self, ref: ModelRef) -> None:
        self.ref = ref

    def resolve(self, options: InpaintOptions) -> InpaintOptions:
        check_honoured(
            options,
            frozenset({"method", "radius", "seed"}),
            self.ref.name,
            "it continues the surroundings and denoises nothing",
        )
        resolved = replace(
            options,
            method=options.method or fill.DEFAULT,
            radius=options.radius or 5,
            seed=options.seed or 0,
        )
        if resolved.method not in fill.METHODS:
            raise OptionError(
                f"method is one of {', '.join(fill.METHODS)}; got {resolved.method!r}."
            )
        return resolved

    def check(self, paint: Text | None, options: InpaintOptions) -> None:
        self.resolve(options)
        refuse_words(self.ref.name, paint)

    def inpaint(
        self,
        image: Image,
        mask: BoolMask,
        paint: Text | None,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        self.check(paint, options)
        resolved = self.resolve(options)
        check_surroundings(mask)
        filled = fill.fill(
            np.asarray(image),
            mask,
            method=resolved.method or fill.DEFAULT,
            radius=resolved.radius or 5,
            seed=resolved.seed or 0,
        )
        return [pil.fromarray(filled)]


class Haar:
    """Faces, eyes, cats' faces, plates and bodies by boosted Haar cascades (Viola and Jones 2001).

    Knows the phrases of ``haar.KINDS`` and no others; scores are not probabilities.
    """

    accepts = frozenset({PromptKind.TEXT})

    def __init__(self, ref: ModelRef) -> None:
        self.ref = ref

    def detect(
        self, image: Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        check_honoured(options, EVERY_DETECTOR, self.ref.name, "it reads no words")
        check_accepts(self, prompts)
        self.check_phrases(prompts)
        pixels = np.asarray(image, dtype=np.uint8)
        rows = []
        for index, prompt in enumerate(prompts):
            phrase = prompt.text.phrase if prompt.text else ""
            xyxy, scores = cascade_detect(pixels, _kind_of(phrase))
            keep = scores >= options.least_score(phrase, 0.0)
            rows.append(
                dets.make(
                    xyxy[keep], scores[keep], [index] * int(keep.sum()), [phrase] * int(keep.sum())
                )
            )
        return distinct(dets.merge(rows), options.most_overlap(), options)

    def check_phrases(self, prompts: Sequence[VisualPrompt]) -> None:
        """Refuse phrases that no cascade is for, naming one phrase for each of them.

        Raises:
            PromptError: such a phrase.
        """
        for prompt in prompts:
            phrase = prompt.text.phrase if prompt.text else ""
            if _kind_of(phrase) not in KINDS:
                raise PromptError(
                    f"{self.ref.name} knows {', '.join(SAMPLE_KINDS)} and their like; got "
                    f"{phrase!r}: take --profile small, --profile mini (nothing to fetch; it knows "
                    "drawn things), or a detector such as owlvit-base-patch32 (--detector)."
                )


def _kind_of(phrase: str) -> str:
    return phrase.lower().removeprefix("a ").removeprefix("the ")
