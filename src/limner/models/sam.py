"""Segment Anything (Kirillov et al. 2023, arXiv 2304.02643) and SlimSAM: points, boxes and masks to
masks, through transformers' ``SamModel``.

Masks are those of transformers' own path (``SamProcessor``, ``SamModel``, ``post_process_masks``)
for the same numbers. As there, the original's x and y are scaled to the model's 1024 pixels and
half a pixel of those is added.

Prompts of one call may differ in shape. They are never padded to one: transformers' padding label
-10 still leaves tokens that are attended to, and changes pixels. Only prompts of the same shape
share a pass of the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
import torch
from PIL import Image
from transformers import SamImageProcessorPil, SamModel

from limner import detections, frames, images, masks
from limner.errors import ImageError, ModelError
from limner.models.memory import guard_memory
from limner.models.pretrained import folder_of, read_model, read_part
from limner.models.sam_candidates import Candidates
from limner.models.sam_everything import everything
from limner.models.source import Runtime, Weights
from limner.options import EverythingOptions, SegmentOptions, check_honoured
from limner.prompts import Point, PromptKind, VisualPrompt
from limner.protocols import ImageEmbedding, ModelRef, OnStep, check_accepts
from limner.rle import BoolMask

Floats = npt.NDArray[np.float32]
PROMPTS_AT_ONCE = 64
"""Prompts in one pass of the decoder on a GPU: 2.3 GB in float32."""
PROMPTS_AT_ONCE_CPU = 1
"""Eight at once take a CPU 1.2 times as long for each. Alone, a prompt's answer is also the same to
the last bit whatever else was asked."""
MASK_LOGIT = 10.0
"""A mask prompt's pixels become this or its negative, as in SAM 2 (``sam2_base.py``,
``_use_mask_as_output``): 0.99995 or 0.00005 as probabilities."""


@dataclass(frozen=True, eq=False)
class SeenImage:
    """An image as the decoder needs it."""

    grid: torch.Tensor
    """(1, C, h, w) float32, on the model's device."""
    frame: frames.Chain
    """From the original: its longer side to the model's size, then padding to a square."""


def load(weights: Weights, runtime: Runtime) -> Sam:
    """Read a folder made by ``save_pretrained``. One without an image processor gets SAM's own.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model.
    """
    path, _ = folder_of(weights, ("sam",))
    model = read_model(SamModel, weights, path, Runtime())
    processor = _read_processor(weights, path, model.config.vision_config.image_size)
    # The prompt encoder and the decoder, 4 M of ViT-B's 94 M weights, stay in float32: bfloat16
    # rounds a click to 2 of 1024 pixels.
    model.vision_encoder.to(getattr(torch, runtime.dtype))
    model.to(runtime.device)
    return Sam(weights.ref, model, processor, runtime.device, weights.defaults)


def _read_processor(weights: Weights, path: Path, side: int) -> Any:
    if any((path / f"{kind}_config.json").exists() for kind in ("preprocessor", "processor")):
        processor = read_part(SamImageProcessorPil, weights, path)
    else:
        square = {"height": side, "width": side}
        processor = SamImageProcessorPil(size={"longest_edge": side}, pad_size=square)
    made = processor.size["longest_edge"]
    if made != side:
        raise ModelError(
            f"{path} holds a model for images of {side} pixels and an image processor that makes "
            f"them {made}: get the files of one model."
        )
    return processor


class Sam:
    """An ``EverythingSegmenter``."""

    accepts = frozenset(
        {PromptKind.POINT, PromptKind.BACKGROUND_POINT, PromptKind.BOX, PromptKind.MASK}
    )

    def __init__(
        self, ref: ModelRef, model: Any, processor: Any, device: str, defaults: Mapping[str, Any]
    ) -> None:
        """``defaults``: ``mask_threshold``."""
        self.ref = ref
        self._model = model
        self._processor = processor
        self._device = torch.device(device)
        self._threshold = float(defaults.get("mask_threshold", 0.0))
        self._side = int(processor.size["longest_edge"])
        self._at_once = PROMPTS_AT_ONCE_CPU if self._device.type == "cpu" else PROMPTS_AT_ONCE

    def embed(self, image: Image.Image) -> ImageEmbedding:
        """The image encoder, once; its answer doesn't depend on any prompt."""
        digest = images.digest(image)
        frame = sam_frame(image.size, self._side)
        pixels = self._processor(image, return_tensors="pt")["pixel_values"]
        advice = "take a smaller model, such as slimsam-77, or load it in bfloat16"
        with torch.inference_mode(), guard_memory(advice):
            pixels = pixels.to(self._device, self._model.vision_encoder.dtype)
            grid = self._model.get_image_embeddings(pixels).float()
        return ImageEmbedding(digest, image.size, self._mark, SeenImage(grid, frame))

    def pack(self, embedding: ImageEmbedding) -> Mapping[str, npt.NDArray[Any]]:
        """The image encoder's answer; where the image lies in it follows from its size."""
        return {"grid": self._seen(embedding).grid.cpu().numpy()}

    def unpack(self, arrays: Mapping[str, npt.NDArray[Any]], image: Image.Image) -> ImageEmbedding:
        """Inverse of ``pack``.

        Raises:
            ModelError: the arrays of another model.
        """
        grid = torch.from_numpy(arrays.get("grid", np.zeros(0, np.float32)))
        side = self._model.config.prompt_encoder_config.image_embedding_size
        if grid.ndim != 4 or grid.shape[-2:] != (side, side):
            raise ModelError(f"These arrays are no embedding of {self._mark}: embed it again.")
        seen = SeenImage(grid.to(self._device), sam_frame(image.size, self._side))
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
        if not prompts:
            return detections.empty(with_mask_keys=True)
        threshold = self._threshold if options.mask_threshold is None else options.mask_threshold
        width, height = embedding.size_wh
        advice = "give fewer prompts at once, set multimask_output to false or shrink the image"
        with torch.inference_mode(), guard_memory(advice):
            chosen = np.zeros((len(prompts), height, width), dtype=bool)
            answers: dict[int, Candidates] = {}
            done = 0
            for rows, multimask in batches(prompts, options.multimask_output, self._at_once):
                logits, scores = self._decode(seen, [prompts[row] for row in rows], multimask)
                for n, row in enumerate(rows):
                    answers[row] = self._ranked(logits[n], scores[n], seen, threshold, chosen[row])
                done += len(rows)
                if on_step:
                    on_step(done, len(prompts))
        return _detections(prompts, chosen, [answers[row] for row in range(len(prompts))])

    def segment_everything(
        self,
        embedding: ImageEmbedding,
        options: EverythingOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        """All stable masks, best first, as an ``sv.CompactMask``.

        ``data`` holds ``mask_score``, ``stability_score`` and ``point_xy``, the (N, 2) grid points
        that were asked.
        """
        seen = self._seen(embedding)

        def ask(points: npt.NDArray[np.float64]) -> tuple[torch.Tensor, Floats]:
            prompts = [VisualPrompt(points=(Point(x, y),)) for x, y in points.tolist()]
            return self._decode(seen, prompts, True)

        advice = "lower points_per_batch or shrink the image"
        with torch.inference_mode(), guard_memory(advice):
            return everything(
                ask,
                lambda logits: self._upscaled(logits, seen.frame),
                embedding.size_wh,
                options,
                self._threshold,
                on_step,
            )

    @property
    def _mark(self) -> str:
        """Which weights: the name alone would take an embedding of another revision."""
        return f"{self.ref.name}@{self.ref.revision}" if self.ref.revision else self.ref.name

    def _seen(self, embedding: ImageEmbedding) -> SeenImage:
        if embedding.model != self._mark or not isinstance(embedding.data, SeenImage):
            raise ModelError(
                f"This image was embedded by {embedding.model} and {self._mark} can't read that: "
                "embed it again with the model that is to segment it."
            )
        return embedding.data

    def _decode(
        self, seen: SeenImage, prompts: Sequence[VisualPrompt], multimask: bool
    ) -> tuple[torch.Tensor, Floats]:
        """(N, M, h, w) float32 logits and (N, M) predicted IoU for N prompts of one shape.

        Prompts go along the batch's first axis, not the second (``point_batch_size``): the numbers
        are the same, and only so does ``SamMaskDecoder`` pair each prompt with its own mask.
        """
        out = self._model(
            image_embeddings=seen.grid.to(self._device).expand(len(prompts), -1, -1, -1),
            multimask_output=multimask,
            **self._inputs(prompts, seen.frame),
        )
        return out.pred_masks[:, 0], out.iou_scores[:, 0].cpu().numpy()

    def _inputs(
        self, prompts: Sequence[VisualPrompt], frame: frames.Chain
    ) -> dict[str, torch.Tensor]:
        """``SamModel``'s arguments for N prompts of one shape."""
        first = prompts[0]
        # SamProcessor's precision, where the device has it
        real = torch.float32 if self._device.type == "mps" else torch.float64
        inputs: dict[str, torch.Tensor] = {}
        if first.points:
            xy = np.array([[(p.x, p.y) for p in prompt.points] for prompt in prompts])
            scaled = frame.forward_points(xy.reshape(-1, 2)).reshape(len(prompts), 1, -1, 2)
            labels = [[[p.label for p in prompt.points]] for prompt in prompts]
            inputs["input_points"] = torch.as_tensor(scaled, dtype=real, device=self._device)
            inputs["input_labels"] = torch.tensor(labels, device=self._device)
        if first.box:
            # SamProcessor rounds boxes to float32, points it doesn't
            xyxy = np.array([p.box.xyxy for p in prompts if p.box], dtype=np.float32)
            scaled = frames.forward_boxes(frame, xyxy)[:, None]
            inputs["input_boxes"] = torch.as_tensor(scaled, dtype=real, device=self._device)
        if first.mask:
            side = 4 * self._model.config.prompt_encoder_config.image_embedding_size
            logits = [mask_logits(p.mask.array, frame, side) for p in prompts if p.mask]
            inputs["input_masks"] = torch.from_numpy(np.stack(logits)[:, None]).to(self._device)
        return inputs

    def _upscaled(self, logits: torch.Tensor, frame: frames.Chain) -> torch.Tensor:
        """(h, w) logits of one mask -> (H, W) float32. One at a time: three candidates of 64
        prompts would fill 9 GB at 12 megapixels."""
        (full,) = self._processor.post_process_masks(
            [logits[None, None]],
            [frame.source_wh[::-1]],
            [frame.steps[0].target_wh[::-1]],
            binarize=False,
        )
        return full[0, 0]

    def _ranked(
        self,
        logits: torch.Tensor,
        scores: Floats,
        seen: SeenImage,
        threshold: float,
        into: BoolMask,
    ) -> Candidates:
        """(M, h, w) logits and their (M,) scores, best first; the best mask is written ``into`` its
        row of the answer, and shares its memory."""

        def enlarge(low: torch.Tensor) -> BoolMask:
            with torch.inference_mode():
                mask: BoolMask = (self._upscaled(low, seen.frame) > threshold).cpu().numpy()
            return mask

        best, *rest = np.argsort(-scores, kind="stable").tolist()
        into[:] = enlarge(logits[best])
        others = [logits[m].cpu().clone() for m in rest]  # not a view of the whole batch
        return Candidates(into, [float(scores[m]) for m in (best, *rest)], others, enlarge)


def sam_frame(size_wh: tuple[int, int], side: int) -> frames.Chain:
    """Where ``SamImageProcessor`` puts an image of ``size_wh`` in its square of ``side``."""
    short, long = sorted(size_wh)
    if short * (side / long) + 0.5 < 1:
        raise ImageError(
            f"An image of {size_wh[0]}x{size_wh[1]} pixels is too long for this model: its longer "
            f"side may be at most {2 * side} times the shorter; crop it."
        )
    resized = frames.resize_longest(size_wh, side)
    return resized.then(frames.pad(resized.target_wh, (side, side)))


def batches(
    prompts: Sequence[VisualPrompt], multimask: bool | None, at_once: int
) -> Iterator[tuple[list[int], bool]]:
    """Rows of prompts that can share a pass of the decoder, and whether it gives three masks."""
    groups: dict[tuple[int, bool, bool, bool], list[int]] = {}
    for row, prompt in enumerate(prompts):
        several = prompt.kinds == {PromptKind.POINT} and len(prompt.points) == 1
        if multimask is not None:
            several = multimask
        shape = (len(prompt.points), prompt.box is not None, prompt.mask is not None, several)
        groups.setdefault(shape, []).append(row)
    for (*_, several), rows in groups.items():
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once], several


def mask_logits(mask: BoolMask, frame: frames.Chain, side: int) -> Floats:
    """A mask of the original as ``SamModel``'s (side, side) ``input_masks``.

    SAM was trained on its own logits of an earlier round. Here a pixel's logit goes from
    ``-MASK_LOGIT`` to ``MASK_LOGIT`` with the part of it that the mask covers; padding is
    background.
    """
    resized = frame.steps[0]
    covered = np.zeros(frame.target_wh[::-1], dtype=np.float32)
    enlarged = resized.target_wh[0] > resized.source_wh[0]
    covered[: resized.target_wh[1], : resized.target_wh[0]] = cv2.resize(
        mask.astype(np.float32),
        resized.target_wh,
        interpolation=cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA,
    )
    covered = np.asarray(cv2.resize(covered, (side, side), interpolation=cv2.INTER_AREA))
    return np.asarray((2 * covered - 1) * MASK_LOGIT, dtype=np.float32)


def _detections(
    prompts: Sequence[VisualPrompt], chosen: BoolMask, answers: Sequence[Candidates]
) -> sv.Detections:
    """``chosen`` is (N, H, W)."""
    scores = [candidates[0][1] for candidates in answers]
    xyxy = [
        masks.box_of(mask) or _anchor(prompt) for mask, prompt in zip(chosen, prompts, strict=True)
    ]
    made = detections.make(
        np.array(xyxy, dtype=np.float32),
        scores,
        np.arange(len(prompts)),
        [prompt.manner for prompt in prompts],
    )
    made.mask = chosen
    made.data["mask_score"] = np.array(scores, dtype=np.float32)
    kept = np.empty(len(answers), dtype=object)
    for row, candidates in enumerate(answers):
        kept[row] = candidates
    made.data["candidates"] = kept
    return made


def _anchor(prompt: VisualPrompt) -> tuple[float, float, float, float]:
    """A box of no area where the prompt points."""
    x, y = 0.0, 0.0
    if prompt.mask and (xyxy := masks.box_of(prompt.mask.array)):
        x, y = (xyxy[0] + xyxy[2]) / 2, (xyxy[1] + xyxy[3]) / 2
    if prompt.box:
        x, y = (prompt.box.x0 + prompt.box.x1) / 2, (prompt.box.y0 + prompt.box.y1) / 2
    for point in prompt.points:
        if point.foreground:
            x, y = point.x, point.y
            break
    return (x, y, x, y)
