"""What the models of the Segment Anything line share: an image is embedded once, then prompts are
answered with masks.

Each model is a ``Network``, in a file of its own. Prompts of one call may differ in shape. They are
never padded to one: transformers' padding label -10 still leaves tokens that are attended to, and
changes pixels. Only prompts of the same shape share a pass of the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import supervision as sv
import torch
from PIL import Image

from limner.errors import ModelError
from limner.io import images
from limner.models.blocks.embeddings import check_mark, mark_of
from limner.models.blocks.mask_rows import mask_rows
from limner.models.blocks.oom import guard_memory
from limner.models.sam.automatic import everything
from limner.models.sam.enlarging import Pass, enlarge, enlarged_mask
from limner.models.sam.prompt_tensors import Floats, batches, prompt_tensors
from limner.ops import detections, transforms
from limner.ops.detections import Candidates
from limner.ops.masks import MaskCrop
from limner.options import EverythingOptions, SegmentOptions, check_honoured
from limner.prompts import Point, PromptKind, VisualPrompt
from limner.protocols import ImageEmbedding, ModelRef, OnStep, check_accepts

PROMPTS_AT_ONCE = 64
"""Prompts in one pass of the decoder on a GPU: 2.3 GB in float32."""
PROMPTS_AT_ONCE_CPU = 1
"""Eight at once take a CPU 1.2 times as long for each. Alone, a prompt's answer is also the same to
the last bit whatever else was asked."""
SMALL_GRID = 512
"""Cells of an embedding up to which a CPU, too, answers many prompts at once: the decoder of a mini
is all overhead, and a tenth of the time does for each of a hundred."""

Features = tuple[torch.Tensor, ...]
"""What an image encoder answers, each float32 with a first axis of 1."""


class Network(Protocol):
    """What differs between the models."""

    model: torch.nn.Module
    device: torch.device
    real: torch.dtype
    """Of coordinates, as transformers' own processor makes them."""
    mask_side: int
    """Pixels of the square that a mask prompt becomes."""
    shapes: tuple[tuple[int, ...], ...]
    """Of the features."""
    advice: str
    """What to do when the encoder's memory runs out."""

    def frame(self, size_wh: transforms.Size) -> transforms.Chain:
        """Where an image lies in what the encoder sees."""
        ...

    def encode(self, image: Image.Image) -> Features:
        """The image encoder, once; its answer doesn't depend on any prompt."""
        ...

    def decode(
        self, features: Features, prompts: Mapping[str, torch.Tensor], multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, M, h, w) logits and (N, M) predicted IoU for N prompts of one shape.

        Prompts go along the batch's first axis, not the second (``point_batch_size``): the numbers
        are the same, and only so does a decoder pair each prompt with its own mask.
        """
        ...

    def passes(self, frame: transforms.Chain) -> Sequence[Pass]:
        """How its logits come to the original's size; only the last pass may shrink."""
        ...


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """An image as the decoder needs it."""

    features: Features
    frame: transforms.Chain
    """From the original to what the encoder saw."""


class SamSegmenter:
    """An ``EverythingSegmenter``."""

    accepts = frozenset(
        {PromptKind.POINT, PromptKind.BACKGROUND_POINT, PromptKind.BOX, PromptKind.MASK}
    )

    def __init__(self, ref: ModelRef, network: Network, defaults: Mapping[str, Any]) -> None:
        """``defaults``: ``mask_threshold``, and for everything mode ``EverythingOptions``'s."""
        self.ref = ref
        self._defaults = defaults
        self._network = network
        self._threshold = float(defaults.get("mask_threshold", 0.0))
        alone = network.device.type == "cpu" and math.prod(network.shapes[0][-2:]) > SMALL_GRID
        self._at_once = PROMPTS_AT_ONCE_CPU if alone else PROMPTS_AT_ONCE

    def embed(self, image: Image.Image) -> ImageEmbedding:
        """The image encoder, once; its answer doesn't depend on any prompt."""
        digest = images.digest(image)
        frame = self._network.frame(image.size)
        with torch.inference_mode(), guard_memory(self._network.advice):
            features = self._network.encode(image)
        return ImageEmbedding(digest, image.size, self._mark, ImageFeatures(features, frame))

    def pack(self, embedding: ImageEmbedding) -> Mapping[str, npt.NDArray[Any]]:
        """The image encoder's answer; where the image lies in it follows from its size."""
        features = self._seen(embedding).features
        return {f"feature_{k}": feature.cpu().numpy() for k, feature in enumerate(features)}

    def unpack(self, arrays: Mapping[str, npt.NDArray[Any]], image: Image.Image) -> ImageEmbedding:
        """Inverse of ``pack``.

        Raises:
            ModelError: the arrays of another model.
        """
        names = [f"feature_{k}" for k in range(len(self._network.shapes))]
        features = [arrays[name] for name in names if arrays.get(name) is not None]
        if tuple(array.shape for array in features) != self._network.shapes:
            raise ModelError(f"These arrays are no embedding of {self._mark}: embed it again.")
        there = tuple(torch.from_numpy(array).to(self._network.device) for array in features)
        seen = ImageFeatures(there, self._network.frame(image.size))
        return ImageEmbedding(images.digest(image), image.size, self._mark, seen)

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """Row ``i`` answers ``prompts[i]``; an empty mask stays, with a box of no area.

        Unless ``multimask_output`` says otherwise, one lone foreground point, which may mean the
        part or the whole, gets three candidates and any other prompt one: the paper's advice.
        """
        seen = self._seen(embedding)
        check_honoured(
            options,
            frozenset({"multimask_output", "mask_threshold"}),
            self.ref.name,
            "it answers in one pass, without rounds",
        )
        check_accepts(self, prompts)
        for prompt in prompts:
            prompt.check_within(embedding.size_wh)
        threshold = self._threshold if options.mask_threshold is None else options.mask_threshold
        advice = "give fewer prompts at once, set multimask_output to false or shrink the image"
        with torch.inference_mode(), guard_memory(advice):
            answers: dict[int, Candidates] = {}
            done = 0
            for rows, multimask in batches(prompts, options.multimask_output, self._at_once):
                logits, scores = self._decode(seen, [prompts[row] for row in rows], multimask)
                for n, row in enumerate(rows):
                    answers[row] = self._ranked(logits[n], scores[n], seen, threshold)
                done += len(rows)
                if on_step:
                    on_step(done, len(prompts))
        candidates = [answers[row] for row in range(len(prompts))]
        return mask_rows(prompts, candidates, [prompt.manner for prompt in prompts])

    def segment_everything(
        self,
        embedding: ImageEmbedding,
        options: EverythingOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """All stable masks, best first, as an ``sv.CompactMask``.

        ``data`` holds ``mask_score``, ``stability_score`` and ``point_xy``, the (N, 2) grid points
        that were asked; ``metadata``, where no mask is stable, what ``DROPPED`` says.
        """
        seen = self._seen(embedding)

        def ask(points: npt.NDArray[np.float64]) -> tuple[torch.Tensor, Floats]:
            prompts = [VisualPrompt(points=(Point(x, y),)) for x, y in points.tolist()]
            return self._decode(seen, prompts, True)

        passes = self._network.passes(seen.frame)
        advice = "lower points_per_batch or shrink the image"
        with torch.inference_mode(), guard_memory(advice):
            return everything(
                ask,
                lambda logits: enlarge(logits, passes),
                embedding.size_wh,
                options,
                {**self._defaults, "mask_threshold": self._threshold},
                on_step,
            )

    @property
    def _mark(self) -> str:
        return mark_of(self.ref)

    def _seen(self, embedding: ImageEmbedding) -> ImageFeatures:
        check_mark(embedding, self._mark, ImageFeatures)
        seen: ImageFeatures = embedding.data
        return seen

    def _decode(
        self, seen: ImageFeatures, prompts: Sequence[VisualPrompt], multimask: bool
    ) -> tuple[torch.Tensor, Floats]:
        """(N, M, h, w) float32 logits and (N, M) predicted IoU for N prompts of one shape."""
        network = self._network
        inputs = prompt_tensors(
            prompts, seen.frame, network.mask_side, network.device, network.real
        )
        # An embedding may have been made on another device.
        features = tuple(feature.to(network.device) for feature in seen.features)
        logits, scores = network.decode(features, inputs, multimask)
        return logits, scores.cpu().numpy()

    def _ranked(
        self,
        logits: torch.Tensor,
        scores: Floats,
        seen: ImageFeatures,
        threshold: float,
    ) -> Candidates:
        """The masks of (M, h, w) logits with their (M,) scores, best first.

        At 12 megapixels, enlarging a mask costs as much as half a pass of the decoder: those that
        were not chosen stay at the model's own size until somebody looks at them.
        """

        passes = self._network.passes(seen.frame)

        def mask_of(low: torch.Tensor) -> MaskCrop:
            with torch.inference_mode():
                return enlarged_mask(low, passes, threshold)

        best, *rest = np.argsort(-scores, kind="stable").tolist()
        chosen = mask_of(logits[best])
        others = [logits[m].cpu().clone() for m in rest]  # not a view of the whole batch
        crops: list[Callable[[], MaskCrop]] = [lambda: chosen]
        crops += [partial(mask_of, low) for low in others]
        return Candidates(crops, detections.clip_scores(scores[[best, *rest]]).tolist())
