"""SAM 3 (Carion et al. 2025, arXiv 2511.16719): boxes and outlines of everything that a phrase, or
example boxes in the picture itself, mean; through transformers' ``Sam3Model``.

A ``Detector`` whose answers carry masks: a phrase may mean many things, and a ``Segmenter`` answers
one row a prompt. Answers are those of transformers' own path (``Sam3Processor``, the model,
``post_process_instance_segmentation``), best first, clipped to the image and limited in number.

A phrase and example boxes can be joined in one prompt; boxes alone are asked with the word that the
model was trained to read as "like these", ``visual``. Clicks are another part of the model: the
catalog's sam3-tracker, in ``sam2.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import supervision as sv
import torch
from PIL import Image
from transformers import CLIPTokenizer, Sam3Model
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3 import modeling_sam3
from transformers.utils.constants import IMAGENET_STANDARD_MEAN, IMAGENET_STANDARD_STD

from limner.errors import PromptError
from limner.io import images
from limner.models.blocks.lru import LruCache
from limner.models.blocks.nms import suppress, with_area
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import (
    check_lengths,
    config_within,
    folder_of,
    read_model,
    read_part,
)
from limner.models.blocks.roi_align import roi_align
from limner.models.blocks.square_resize import SquareResize, read_squash
from limner.ops import detections
from limner.ops.masks import MaskCrop
from limner.options import EVERY_DETECTOR, DetectOptions, check_honoured
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import ModelRef, check_accepts
from limner.registry.weights import Runtime, Weights

IMAGES_KEPT = 1
"""Embeddings of images kept: 230 MB each."""
PHRASES_KEPT = 256
"""Embeddings of phrases kept: 32 KB each."""
LIKE_THESE = "visual"
"""What transformers' ``Sam3Processor`` asks where only boxes are given."""
MASK_PROBABILITY = 0.5
"""Above it a pixel is the thing's: the default of ``post_process_instance_segmentation``."""
ADVICE = "shrink nothing: SAM 3 sees 1008 x 1008 pixels of any image; load it in bfloat16"

if not hasattr(modeling_sam3, "torchvision"):
    # transformers pools an example box's features with torchvision, of which it asks nothing else
    # here; where there is none, with the same function in plain torch. The module has no such name
    # then, hence the ignored type.
    modeling_sam3.torchvision = SimpleNamespace(ops=SimpleNamespace(roi_align=roi_align))  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model says to one prompt, of its Q candidates those that score enough."""

    scores: npt.NDArray[np.float32]
    """(K,) 0..1: of the candidate, times that of the thing's being there at all."""
    xyxy: npt.NDArray[np.float32]
    """(K, 4) pixels of the original, within it."""
    logits: torch.Tensor
    """(K, h, w) of each candidate's mask, over the whole square."""


def load(weights: Weights, runtime: Runtime) -> Sam3:
    """Read a folder made by ``save_pretrained``, of the image model or of the video model.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, _ = folder_of(weights, ("sam3", "sam3_video"))
    config = config_within(Sam3Model, path, "detector_config")
    model = read_model(Sam3Model, weights, path, Runtime(), config=config)
    squash = read_squash(
        path,
        model.config.vision_config.image_size,
        tuple(IMAGENET_STANDARD_MEAN),
        tuple(IMAGENET_STANDARD_STD),
    )
    # What decides where a thing is stays in float32: the two encoders are nine tenths of the model.
    dtype = getattr(torch, runtime.dtype)
    model.vision_encoder.to(dtype)
    model.text_encoder.to(dtype)
    holds = model.config.text_config.max_position_embeddings
    return Sam3(
        weights.ref,
        model.to(runtime.device),
        squash,
        read_part(CLIPTokenizer, weights, path, model_max_length=holds),
        float(weights.defaults.get("threshold", 0.5)),
    )


class Sam3:
    """A ``Detector`` that outlines what it finds."""

    accepts = frozenset({PromptKind.TEXT, PromptKind.LIKE, PromptKind.NEGATIVE_EXEMPLAR_BOX})

    def __init__(
        self, ref: ModelRef, model: Any, squash: SquareResize, tokenizer: Any, threshold: float
    ) -> None:
        self.ref = ref
        self._model = model
        self._squash = squash
        self._tokenizer = tokenizer
        self._threshold = threshold
        self._images: LruCache[Any] = LruCache(IMAGES_KEPT)
        self._phrases: LruCache[tuple[torch.Tensor, torch.Tensor]] = LruCache(PHRASES_KEPT)

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes with ``mask``, ``mask_score`` and ``candidates`` for each prompt, best first.

        Prompts don't compete: each is asked alone. Things found for one prompt suppress each other
        only where ``nms_threshold`` is set, for the model was taught to answer each thing once.

        Raises:
            OptionError: a setting without effect.
            UnsupportedPrompt: another kind of prompt.
            PromptError: a phrase longer than the text encoder holds, a negative phrase, or a box
                that leaves the image.
            OutOfMemory: with what to lower.
        """
        check_honoured(options, EVERY_DETECTOR, self.ref.name, "it asks each phrase alone, once")
        check_accepts(self, prompts)
        phrases = []
        for prompt in prompts:
            prompt.check_within(image.size)
            _check_no_negative(prompt, self.ref.name)
            phrases.append(prompt.text.phrase if prompt.text else LIKE_THESE)
        check_lengths(self._tokenizer, phrases, self.ref.name, "phrase")
        if not prompts:
            return detections.empty(with_mask_keys=True)
        with torch.inference_mode(), guard_memory(ADVICE):
            seen = self._see(image)
            answers = {  # a prompt given twice is asked once
                prompt: self._answer(seen, image.size, prompt, phrase, options)
                for prompt, phrase in dict(zip(prompts, phrases, strict=True)).items()
            }
            return _rows([answers[prompt] for prompt in prompts], prompts, image.size, options)

    def _answer(
        self,
        seen: Any,
        size_wh: tuple[int, int],
        prompt: VisualPrompt,
        phrase: str,
        options: DetectOptions,
    ) -> Answer:
        words, attended = self._embed(phrase)
        boxes: dict[str, torch.Tensor] = {}
        if prompt.likes:
            xyxy = np.array([like.box.xyxy for like in prompt.likes], dtype=np.float32)
            part = torch.from_numpy(xyxy) / torch.tensor([*size_wh, *size_wh])
            centred = torch.cat([(part[:, :2] + part[:, 2:]) / 2, part[:, 2:] - part[:, :2]], dim=1)
            labels = torch.tensor([[like.label for like in prompt.likes]])
            boxes = {
                "input_boxes": centred[None].to(self._model.device),
                "input_boxes_labels": labels.to(self._model.device),
            }
        out = self._model(
            vision_embeds=seen,
            text_embeds=BaseModelOutputWithPooling(pooler_output=words),
            attention_mask=attended,
            **boxes,
        )
        scores = (out.pred_logits.sigmoid() * out.presence_logits.sigmoid())[0]
        enough = scores > options.least_score(
            prompt.text.phrase if prompt.text else "", self._threshold
        )
        whole = torch.tensor([*size_wh, *size_wh], device=scores.device)
        xyxy_px = (out.pred_boxes[0, enough] * whole).cpu().numpy()
        return Answer(
            scores[enough].cpu().numpy(),
            np.clip(xyxy_px, 0, [*size_wh, *size_wh]).astype(np.float32),
            out.pred_masks[0, enough],
        )

    def _embed(self, phrase: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, L, D) float32 a token, and which of the L tokens are words."""
        return self._phrases.get_or_compute(phrase, lambda: self._encode_phrase(phrase))

    def _encode_phrase(self, phrase: str) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self._tokenizer(phrase, padding="max_length", return_tensors="pt")
        tokens = tokens.to(self._model.device)
        states = self._model.text_encoder(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask
        ).last_hidden_state
        return self._model.text_projection(states.float()), tokens.attention_mask

    def _see(self, image: Image.Image) -> Any:
        return self._images.get_or_compute(images.digest(image), lambda: self._encode(image))

    def _encode(self, image: Image.Image) -> Any:
        encoder = self._model.vision_encoder
        seen = encoder(self._squash.pixels(image).to(self._model.device, encoder.dtype))
        seen.fpn_hidden_states = tuple(level.float() for level in seen.fpn_hidden_states)
        seen.fpn_position_encoding = tuple(place.float() for place in seen.fpn_position_encoding)
        return seen


def _check_no_negative(prompt: VisualPrompt, model: str) -> None:
    if prompt.text is not None and prompt.text.negative:
        raise PromptError(
            f'{model} has no negative phrases ("{prompt.text.negative}"): ask for that as a prompt '
            "of its own and take its boxes away, as limner's grounding does, or show what it is "
            "not like by a box."
        )


def _rows(
    answers: Sequence[Answer],
    prompts: Sequence[VisualPrompt],
    size_wh: tuple[int, int],
    options: DetectOptions,
) -> sv.Detections:
    """The answers to all prompts; masks are enlarged only for what stays."""
    scores = np.concatenate([answer.scores for answer in answers])
    xyxy = np.concatenate([answer.xyxy for answer in answers])
    answered = np.repeat(np.arange(len(answers)), [len(answer.scores) for answer in answers])
    logits = [row for answer in answers for row in answer.logits]
    best = suppress(
        xyxy,
        scores,
        answered,
        threshold=options.most_overlap(1.0),
        class_agnostic=options.class_agnostic_nms,
    )
    best = with_area(best, xyxy)[: options.max_detections]
    names = [prompt.text.phrase if prompt.text else prompt.manner for prompt in prompts]
    rows = detections.make(
        xyxy[best], scores[best], answered[best], [names[n] for n in answered[best]]
    )
    outlines = [_outline(logits[row], size_wh) for row in best]
    candidates = [
        detections.Candidates.of([(crop, float(score))])
        for crop, score in zip(outlines, scores[best], strict=True)
    ]
    return detections.with_masks(rows, outlines, scores[best], candidates=candidates)


def _outline(logits: torch.Tensor, size_wh: tuple[int, int]) -> MaskCrop:
    """(h, w) logits -> a mask of (H, W); a hundred at once would fill gigabytes."""
    probability = torch.nn.functional.interpolate(
        logits.sigmoid()[None, None], size_wh[::-1], mode="bilinear", align_corners=False
    )
    return MaskCrop.of((probability[0, 0] > MASK_PROBABILITY).cpu().numpy())
