"""Small honest stand-ins for models: they answer at once, keep the protocols' promises and count.

``TableDetector`` finds what its table says, ``ColourDetector`` what is really in the picture,
``FillSegmenter`` fills what it is shown, ``FloodInpainter`` paints over everything it is given,
outside the hole too, as diffusion models do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import supervision as sv
from PIL import Image, ImageColor

from limner.errors import ModelError, OptionError
from limner.io import images
from limner.ops import detections as dets
from limner.ops import masks
from limner.ops.masks import MaskCrop
from limner.options import DetectOptions, InpaintOptions, SegmentOptions, check_honoured
from limner.prompts import BoolMask, PromptKind, Text, VisualPrompt
from limner.protocols import ImageEmbedding, ModelRef, OnStep, check_accepts

Found = Sequence[tuple[tuple[float, float, float, float], float]]
"""(xyxy, score) of each thing."""

SPATIAL = frozenset(
    {PromptKind.POINT, PromptKind.BACKGROUND_POINT, PromptKind.BOX, PromptKind.MASK}
)
RADIUS = 6
"""px around a click that ``FillSegmenter`` takes, or leaves out for a background click."""


def one_candidate(mask: np.ndarray, score: float) -> dets.Candidates:
    """What a model keeps of a prompt with one answer."""
    return dets.Candidates.of([(MaskCrop.of(mask), score)])


class TableDetector:
    """Phrase -> boxes, whatever the picture; an example image is looked up as "example"."""

    accepts = frozenset({PromptKind.TEXT, PromptKind.EXEMPLAR})

    def __init__(self, table: Mapping[str, Found]) -> None:
        self.ref = ModelRef("table", "double", "Apache-2.0")
        self.table = table
        self.calls = 0
        self.phrases: list[str] = []

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        check_accepts(self, prompts)
        if any(prompt.is_spatial or (prompt.text and prompt.text.negative) for prompt in prompts):
            raise OptionError("A detector is asked what, not where, and nothing negative.")
        self.calls += 1
        rows = []
        for index, prompt in enumerate(prompts):
            phrase = prompt.text.phrase if prompt.text else "example"
            self.phrases.append(phrase)
            least = options.least_score(phrase, 0.1)
            kept = [row for row in self.look(image, phrase) if row[1] >= least]
            boxes = np.array([xyxy for xyxy, _ in kept])
            scores = [score for _, score in kept]
            rows.append(dets.make(boxes, scores, [index] * len(kept), [phrase] * len(kept)))
        found = dets.merge(rows)
        if len(found):
            found = found.with_nms(options.most_overlap(), options.class_agnostic_nms)
        return dets.take(dets.by_confidence(found), slice(options.max_detections))

    def look(self, image: Image.Image, phrase: str) -> Found:
        return self.table.get(phrase, ())


class OutliningDetector(TableDetector):
    """Its boxes come with masks: their left halves."""

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        found = super().detect(image, prompts, options)
        halves = []
        for x0, y0, x1, y1 in found.xyxy.astype(int):
            half = np.zeros(image.size[::-1], dtype=bool)
            half[y0:y1, x0 : (x0 + x1) // 2] = True
            halves.append(half)
        scores = found.confidence
        return dets.with_masks(
            found, halves, scores, candidates=[one_candidate(m, 0.5) for m in halves]
        )


class ColourDetector(TableDetector):
    """Finds the connected parts of a picture that have exactly the colour a phrase names."""

    def __init__(self) -> None:
        super().__init__({})

    def look(self, image: Image.Image, phrase: str) -> Found:
        same = (np.asarray(image) == ImageColor.getrgb(phrase)).all(axis=2)
        _, _, stats, _ = cv2.connectedComponentsWithStats(same.astype(np.uint8))
        return [((x, y, x + w, y + h), 0.9) for x, y, w, h, _ in stats[1:].tolist()]


class FillSegmenter:
    """Fills boxes and masks and takes discs around clicks; a phrase it takes is the left half."""

    def __init__(self, accepts: frozenset[PromptKind] = SPATIAL) -> None:
        self.ref = ModelRef("fill", "double", "Apache-2.0")
        self.accepts = accepts
        self.embedded: list[str] = []
        """Digest of each image that was embedded."""
        self.asked: list[list[VisualPrompt]] = []

    def embed(self, image: Image.Image) -> ImageEmbedding:
        digest = images.digest(image)
        self.embedded.append(digest)
        return ImageEmbedding(digest, image.size, self.ref.name, None)

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        check_honoured(options, frozenset(), self.ref.name, "it only fills")
        check_accepts(self, prompts)
        if embedding.model != self.ref.name:
            raise ModelError(f"{self.ref.name} can't use an embedding made by {embedding.model}.")
        self.asked.append(list(prompts))
        filled = [_filled(prompt, embedding.size_wh) for prompt in prompts]
        scores = np.full(len(prompts), 0.75, dtype=np.float32)
        boxes = np.array([masks.box_of(mask) or (0, 0, 0, 0) for mask in filled]).reshape(-1, 4)
        found = dets.make(boxes, scores, np.arange(len(prompts)), ["filled"] * len(prompts))
        return dets.with_masks(
            found, filled, scores, candidates=[one_candidate(m, 0.75) for m in filled]
        )


def _filled(prompt: VisualPrompt, size_wh: tuple[int, int]) -> BoolMask:
    width, height = size_wh
    y, x = np.ogrid[:height, :width]
    mask = np.zeros((height, width), dtype=bool)
    if prompt.text:
        mask |= x < width // 2
    if prompt.mask:
        mask |= prompt.mask.array
    if prompt.box:
        x0, y0, x1, y1 = prompt.box.xyxy
        mask |= (x + 0.5 > x0) & (x + 0.5 < x1) & (y + 0.5 > y0) & (y + 0.5 < y1)
    for point in sorted(prompt.points, key=lambda p: not p.foreground):
        disc = (x - point.x) ** 2 + (y - point.y) ** 2 <= RADIUS**2
        mask = mask | disc if point.foreground else mask & ~disc
    return mask


class FloodInpainter:
    """Paints one colour (``None``: noise) over the whole picture, and notes what it saw.

    Args:
        paints: what it makes of a picture instead; gets the picture and the hole.
    """

    def __init__(
        self,
        colour: tuple[int, int, int] | None = (255, 0, 200),
        *,
        takes_text: bool = True,
        grid: int = 8,
        native_size: int | None = None,
        paints: Callable[[Image.Image, BoolMask], Image.Image] | None = None,
    ) -> None:
        self.ref = ModelRef("flood", "double", "Apache-2.0")
        self.colour = colour
        self.takes_text = takes_text
        self.grid = grid
        self.native_size = native_size
        self.paints = paints
        self.sizes: list[tuple[int, int]] = []
        self.holes: list[BoolMask] = []
        self.texts: list[Text | None] = []

    def resolve(self, options: InpaintOptions) -> InpaintOptions:
        obeyed = frozenset({"seed", "num_images_per_prompt"})
        check_honoured(options, obeyed, self.ref.name, "it only floods")
        return replace(
            options,
            seed=options.seed or 0,
            num_images_per_prompt=options.num_images_per_prompt or 1,
        )

    def check(self, paint: Text | None, options: InpaintOptions) -> None:
        if paint and not self.takes_text:
            raise OptionError(f"{self.ref.name} can't follow words: it only removes.")

    def inpaint(
        self,
        image: Image.Image,
        mask: BoolMask,
        paint: Text | None,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image.Image]:
        settled = self.resolve(options)
        self.check(paint, settled)
        if image.width % self.grid or image.height % self.grid:
            raise ModelError(f"Expected multiples of {self.grid}, got {image.size}.")
        if mask.shape != image.size[::-1] or mask.dtype != np.bool_ or not mask.any():
            raise ModelError(f"Expected a hole of {image.size}, got {mask.shape} {mask.dtype}.")
        self.sizes.append(image.size)
        self.holes.append(mask)
        self.texts.append(paint)
        seed, count = settled.seed or 0, settled.num_images_per_prompt or 1
        return [self._paint(image, mask, seed + k) for k in range(count)]

    def _paint(self, image: Image.Image, mask: BoolMask, seed: int) -> Image.Image:
        if self.paints:
            return self.paints(image, mask)
        if self.colour:
            return Image.new("RGB", image.size, self.colour)
        noise = np.random.default_rng(seed).integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
        return Image.fromarray(noise)
