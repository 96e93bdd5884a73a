"""FastSAM (Zhao et al. 2023, arXiv 2306.12156): everything in one pass, then prompts that choose.

A folder with one ``.onnx`` file, as Ultralytics exports FastSAM-s or -x, run by onnxruntime. That
package is AGPL-3.0 and never imported here: decoding the network's answer (``yolo_decode.py``) and
choosing by prompts (``prompts.py``) are limner's own, held against Ultralytics' numbers by
tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image

from limner.errors import ModelError, PromptError, WeightsMissing
from limner.io import images
from limner.models.blocks.embeddings import check_mark
from limner.models.blocks.lru import LruCache
from limner.models.blocks.mask_rows import mask_rows
from limner.models.fastsam.onnx_graph import Graph, read_graph
from limner.models.fastsam.prompts import answer
from limner.models.fastsam.yolo_decode import Things, decode, no_things
from limner.ops import detections, masks, transforms
from limner.ops.masks import MaskCrop
from limner.options import EverythingOptions, SegmentOptions, check_honoured
from limner.prompts import PromptKind, RgbArray, VisualPrompt
from limner.protocols import Encoder, ImageEmbedding, ModelRef, OnStep, check_accepts
from limner.registry import catalog, store
from limner.registry.pool import load as load_model
from limner.registry.weights import Runtime, Weights

GREY = 114
"""Of the padding."""
CONF, IOU = 0.4, 0.9
"""The paper's thresholds."""
LEAST_AREA = 100
"""A mask of no more pixels isn't held against a phrase, as in the paper's code."""
SHARPNESS = 100.0
"""What cosines are multiplied by before the softmax over masks: CLIP's own scale."""
LOOKS_KEPT = 4
"""Images whose masks stay encoded: 2 kB a mask."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """All that FastSAM found in an image, and the image, which phrases are held against."""

    pixels: RgbArray
    things: Things


def load(weights: Weights, runtime: Runtime) -> FastSam:
    """Read a folder with the one ``.onnx`` file of a FastSAM.

    Raises:
        WeightsMissing: no folder.
        ModelError: another network, or a file that onnxruntime can't read.
        UnsafeWeights: a file that reaches beyond itself.
        MissingExtra: onnxruntime isn't installed.
    """
    if weights.path is None:
        raise WeightsMissing(f"{weights.ref.name} needs a folder with its .onnx file.")
    path = store.onnx_in(weights.path)
    graph = read_graph(path, weights, runtime)
    reader = catalog.families()["fastsam"].text_encoder
    return FastSam(weights.ref, graph, weights.defaults, lambda: _encoder(reader, runtime))


def _encoder(name: str, where: Runtime) -> Encoder:
    try:
        model = load_model(store.find(name), where)
    except WeightsMissing as error:
        raise WeightsMissing(
            f"A phrase needs {name} to say which mask it means. {error}"
        ) from error
    if not isinstance(model, Encoder) or not model.takes_text:
        raise ModelError(f"{name} compares no phrases with pictures.")
    return model


class FastSam:
    """An ``EverythingSegmenter`` and a ``PackableSegmenter``.

    Its settings were taken when the image was embedded, and no option of ``segment`` changes them.
    """

    accepts = frozenset(
        {PromptKind.POINT, PromptKind.BACKGROUND_POINT, PromptKind.BOX, PromptKind.TEXT}
    )

    def __init__(
        self,
        ref: ModelRef,
        graph: Graph,
        defaults: Mapping[str, Any],
        encoder: Callable[[], Encoder],
    ) -> None:
        """``defaults``: ``conf``, ``iou``; ``encoder`` is called for the first phrase."""
        self.ref = ref
        self._graph = graph
        self._conf = float(defaults.get("conf", CONF))
        self._iou = float(defaults.get("iou", IOU))
        self._load_encoder = encoder
        self._encoder: Encoder | None = None
        self._looks: LruCache[npt.NDArray[np.float32]] = LruCache(LOOKS_KEPT)

    def embed(self, image: Image.Image) -> ImageEmbedding:
        """The network, once: every mask of the image.

        Raises:
            ModelError: onnxruntime can't run it.
        """
        pixels = np.asarray(image.convert("RGB"))
        frame = self._frame(image.size)
        raw, prototypes = self._graph.run(network_input(pixels, frame))
        things = decode(raw, prototypes, frame, conf=self._conf, iou=self._iou)
        return self._embedding(image, pixels, things)

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """Row ``i`` answers ``prompts[i]``; an empty mask stays, with a box of no area.

        ``mask_score`` is the network's confidence; for a phrase the part of all masks' likeness to
        it that this one has (CLIP's softmax).

        Raises:
            PromptError: a phrase with a negative, or longer than the text encoder holds.
            WeightsMissing: a phrase, and the text encoder isn't on this machine.
        """
        seen = self._seen(embedding)
        check_honoured(
            options,
            frozenset(),
            self.ref.name,
            "its masks were made when the image was embedded, and a prompt chooses among them",
        )
        check_accepts(self, prompts)
        for prompt in prompts:
            prompt.check_within(embedding.size_wh)
            if prompt.text and prompt.text.negative:
                raise PromptError(
                    f'{self.ref.name} has no negatives ("{prompt.text.negative}"): give a detector '
                    "the phrase, and this model its boxes."
                )
        phrases = [prompt.text.phrase for prompt in prompts if prompt.text]
        likeness = iter(self._likeness(embedding.digest, seen, phrases) if phrases else ())
        candidates = []
        for done, prompt in enumerate(prompts, start=1):
            pairs = answer(seen.things, prompt, next(likeness) if prompt.text else None).candidates
            crops = [(MaskCrop.of(mask), score) for mask, score in pairs]
            candidates.append(detections.Candidates.of(crops))
            if on_step:
                on_step(done, len(prompts))
        names = [prompt.text.phrase if prompt.text else prompt.manner for prompt in prompts]
        return mask_rows(prompts, candidates, names)

    def segment_everything(
        self,
        embedding: ImageEmbedding,
        options: EverythingOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """All masks, best first, as an ``sv.CompactMask``; ``data`` holds ``mask_score``."""
        things = self._seen(embedding).things
        check_honoured(
            options,
            frozenset({"min_mask_region_area"}),
            self.ref.name,
            "it asks no points, and its thresholds are its own (conf and iou in `limner models "
            "info`)",
        )
        if options.min_mask_region_area and len(things):
            things = _mended(things, options.min_mask_region_area)
        count = len(things)
        rows = detections.make(things.xyxy, things.confidence, np.arange(count), ["object"] * count)
        if count:
            rows.mask = things.masks
        rows.data["mask_score"] = things.confidence.copy()
        if on_step:
            on_step(1, 1)
        return rows

    def pack(self, embedding: ImageEmbedding) -> Mapping[str, npt.NDArray[Any]]:
        """Every mask, a bit a pixel of its bounding box."""
        things = self._seen(embedding).things
        bits = [np.packbits(things.masks.crop(row)) for row in range(len(things))]
        return {
            "xyxy": things.xyxy,
            "confidence": things.confidence,
            "bits": np.concatenate(bits) if bits else np.zeros(0, np.uint8),
        }

    def unpack(self, arrays: Mapping[str, npt.NDArray[Any]], image: Image.Image) -> ImageEmbedding:
        """Inverse of ``pack``.

        Raises:
            ModelError: the arrays of another model or image.
        """
        try:
            things = _unpacked(arrays, (image.height, image.width))
        except (KeyError, ValueError, IndexError):
            raise ModelError(
                f"These arrays are no embedding of {self._mark}: embed it again."
            ) from None
        return self._embedding(image, np.asarray(image.convert("RGB")), things)

    @property
    def _mark(self) -> str:
        """Which weights and thresholds: another export of the same name finds other masks."""
        digest = "".join(sha256[:12] for _, sha256 in self.ref.files)
        return f"{self.ref.name}@{digest}:{self._conf:g}:{self._iou:g}"

    def _embedding(self, image: Image.Image, pixels: RgbArray, things: Things) -> ImageEmbedding:
        return ImageEmbedding(
            images.digest(image), image.size, self._mark, ImageFeatures(pixels, things)
        )

    def _seen(self, embedding: ImageEmbedding) -> ImageFeatures:
        check_mark(embedding, self._mark, ImageFeatures)
        seen: ImageFeatures = embedding.data
        return seen

    def _frame(self, size_wh: tuple[int, int]) -> transforms.Placement:
        """Where an image lies in the network's input; a graph that takes any gets no more padding
        than its stride asks for, as Ultralytics does."""
        graph = self._graph
        square = transforms.letterbox(size_wh, graph.size_wh, centred=True)
        if not graph.takes_any:
            return square
        left, top, right, bottom = square.drawn_xyxy
        drawn = (right - left, bottom - top)
        least = tuple(-(-side // graph.stride) * graph.stride for side in drawn)
        return transforms.letterbox(size_wh, (least[0], least[1]), centred=True)

    def _likeness(
        self, digest: str, seen: ImageFeatures, phrases: Sequence[str]
    ) -> npt.NDArray[np.float64]:
        """(P, N) how much of a phrase's likeness to all masks each has; 0 for masks too small to
        be looked at."""
        things = seen.things
        likeness = np.zeros((len(phrases), len(things)))
        large = np.flatnonzero(things.area > LEAST_AREA)
        if not large.size:
            return likeness
        if self._encoder is None:
            self._encoder = self._load_encoder()
        texts = self._encoder.encode_texts(phrases)
        encode = self._encoder.encode_images
        looks = self._looks.get_or_compute(
            digest, lambda: encode([alone(seen.pixels, things, row) for row in large.tolist()])
        )
        logits = SHARPNESS * (texts @ looks.T).astype(np.float64)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        likeness[:, large] = weights / weights.sum(axis=1, keepdims=True)
        return likeness


def network_input(pixels: RgbArray, frame: transforms.Placement) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) in 0..1: the image, resized without antialiasing and centred on grey, as
    Ultralytics' ``LetterBox`` does."""
    left, top, right, bottom = frame.drawn_xyxy
    width, height = frame.target_wh
    if frame.source_wh != (right - left, bottom - top):
        pixels = np.asarray(
            cv2.resize(pixels, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        )
    canvas = np.full((height, width, 3), GREY, dtype=np.uint8)
    canvas[top:bottom, left:right] = pixels
    batch = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32)
    batch /= 255
    return batch


def alone(pixels: RgbArray, things: Things, row: int) -> Image.Image:
    """One mask's pixels in the middle of a black square.

    Black, as Ultralytics has it since its 8.4: with the rest of the bounding box left in, the
    phrase finds the neighbour (ultralytics#23765). Square, because CLIP cuts off the ends of what
    isn't.
    """
    left, top, right, bottom = things.xyxy[row]
    part = pixels[top:bottom, left:right] * things.masks.crop(row)[..., None]
    side = max(right - left, bottom - top)
    square = np.zeros((side, side, 3), dtype=np.uint8)
    x, y = (side - (right - left)) // 2, (side - (bottom - top)) // 2
    square[y : y + bottom - top, x : x + right - left] = part
    return Image.fromarray(square)


def _mended(things: Things, below_area: int) -> Things:
    """Small holes filled, specks dropped, as in SAM's everything mode; something stays of each."""
    mended = []
    for row in range(len(things)):
        mask = masks.drop_specks(masks.fill_holes(things.masks[row], below_area), below_area)
        mended.append(detections.compact(MaskCrop.of(mask)))
    return Things(sv.CompactMask.merge(mended), things.confidence)


def _unpacked(arrays: Mapping[str, npt.NDArray[Any]], shape: tuple[int, int]) -> Things:
    xyxy, confidence, bits = (arrays[name] for name in ("xyxy", "confidence", "bits"))
    parts = [no_things(shape).masks]
    at = 0
    for left, top, right, bottom in xyxy.tolist():
        if not (0 <= left < right <= shape[1] and 0 <= top < bottom <= shape[0]):
            raise ValueError("a mask outside the image")
        size = (right - left) * (bottom - top)
        end = at + (size + 7) // 8
        window = np.unpackbits(bits[at:end], count=size).astype(bool)
        crop = MaskCrop(window.reshape(bottom - top, right - left), left, top, shape[::-1])
        parts.append(detections.compact(crop))
        at = end
    if len(confidence) != len(xyxy) or at != len(bits):
        raise ValueError("arrays that don't belong together")
    return Things(sv.CompactMask.merge(parts), confidence.astype(np.float32))
