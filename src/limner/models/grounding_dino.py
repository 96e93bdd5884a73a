"""Grounding DINO (arXiv 2303.05499), MM-Grounding-DINO (arXiv 2401.02361) and LLMDet (arXiv
2501.18954): boxes for phrases, through transformers' ``GroundingDinoForObjectDetection`` and
``MMGroundingDinoForObjectDetection``.

The model reads a text in which every phrase ends with a stop, and scores each of its candidate
boxes (900) against each token. Boxes and scores are those of transformers' own path
(``post_process_grounded_object_detection``). What differs is the label. Theirs is put together from
whichever tokens reach ``text_threshold``, so that it may be "##board", two phrases in one, or
"[SEP]"; here a box answers one of the phrases that were asked, the one that holds its best token,
or none.

By default each phrase is asked alone. Phrases in one text crowd each other out: of the descriptions
of D3 (arXiv 2307.12813) the same model finds 22.3 mAP alone and 17.2 together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import supervision as sv
import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessorPil,
    MMGroundingDinoForObjectDetection,
)

from limner.errors import ImageError, ModelError, PromptError
from limner.io import images
from limner.models.blocks.lru import LruCache
from limner.models.blocks.nms import by_prompt, suppress, with_area
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.pretrained import (
    Pretrained,
    check_lengths,
    folder_of,
    read_model,
    read_part,
)
from limner.models.blocks.prompt_checks import check_no_negative
from limner.ops import detections
from limner.ops.box_formats import CONVENTIONS
from limner.options import DetectOptions
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import check_accepts
from limner.registry.weights import Runtime, Weights

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

ARCHITECTURES: Mapping[str, Any] = {
    "grounding-dino": GroundingDinoForObjectDetection,
    "mm-grounding-dino": MMGroundingDinoForObjectDetection,  # LLMDet too
}
"""By the ``model_type`` of a checkpoint's config.json."""
IMAGES_KEPT = 2
"""What the backbone said of an image is kept: 50 MB each at 800 x 1066 pixels."""
TEXTS_AT_ONCE = 4
"""Texts in one pass on a GPU. On a CPU it is one: several save a fifth of the time there, and each
takes another gigabyte."""
BORDERS = ("[CLS]", "[SEP]", ".", "?")
"""Tokens between which the model reads a phrase."""
ADVICE = "take a smaller detector, such as owlvit-base-patch32, or ask the phrases in turn"


@dataclass(frozen=True)
class Question:
    """Phrases in one text."""

    phrases: tuple[int, ...]
    """Which of all phrases they are."""
    text: str
    """Each in lower case and with a stop: "a dog. a red cat."."""
    spans: tuple[tuple[int, int], ...]
    """Of each phrase, its first character in ``text`` and the one after its last."""


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What the backbone said of one image. It takes the place of the pixels in the model's call:
    transformers looks at nothing but their shape and device before the backbone gets them."""

    levels: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """Feature maps, (1, C, h, w) float32, each with its (1, h, w) bool mask of what is image."""
    positions: tuple[torch.Tensor, ...]
    """(1, D, h, w) of each level."""
    pixel_mask: torch.Tensor
    """(1, H, W): 1 where there is image."""
    texts: int = 1
    """With how many texts it is asked about at once."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.texts, 3, *self.pixel_mask.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.pixel_mask.device


class CachedBackbone(torch.nn.Module):
    """Stands where the model's backbone stood, and answers with what it said before."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.position_embedding = backbone.position_embedding  # the model asks for it by itself

    def forward(self, seen: ImageFeatures, pixel_mask: torch.Tensor) -> tuple[list[Any], list[Any]]:
        def expanded(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.expand(seen.texts, *tensor.shape[1:])

        levels = [(expanded(features), expanded(mask)) for features, mask in seen.levels]
        return levels, [expanded(positions) for positions in seen.positions]


def load(weights: Weights, runtime: Runtime) -> GroundingDino:
    """Read a folder made by ``save_pretrained``: weights, image processor and tokenizer.

    It computes in float32 whatever was chosen: bfloat16 writes boxes, which are refined step by
    step, in steps of 1/256 of the image, and the backbone takes a CPU 2.3 times as long in it.

    Raises:
        WeightsMissing: no folder, or a file or tensors of the model are not in it.
        ModelError: the folder holds another kind of model, or files of two.
    """
    path, kind = folder_of(weights, ARCHITECTURES)
    model = read_model(ARCHITECTURES[kind], weights, path, Runtime())
    holds = model.config.max_text_len
    tokenizer = read_part(BertTokenizer, weights, path, model_max_length=holds)
    borders = tokenizer.convert_tokens_to_ids(list(BORDERS))
    if borders != (known := model.model.special_tokens.tolist()):
        raise ModelError(
            f"{path} holds a model that reads {', '.join(BORDERS)} as {known} and a tokenizer that "
            f"writes them {borders}: get the files of one model."
        )
    model = model.to(runtime.device)
    processor = read_part(GroundingDinoImageProcessorPil, weights, path)
    return GroundingDino(Pretrained(weights.ref, model, processor, tokenizer, weights.defaults))


class GroundingDino:
    """A ``Detector``."""

    accepts = frozenset({PromptKind.TEXT})

    def __init__(self, pretrained: Pretrained) -> None:
        """``defaults``: ``threshold``, ``text_threshold``, ``nms_threshold``."""
        self.ref, self._defaults = pretrained.ref, pretrained.defaults
        self._model, self._processor = pretrained.model, pretrained.processor
        self._tokenizer = pretrained.tokenizer
        self._backbone = self._model.model.backbone
        self._model.model.backbone = CachedBackbone(self._backbone)
        self._images: LruCache[ImageFeatures] = LruCache(IMAGES_KEPT)
        self._at_once = 1 if self._model.device.type == "cpu" else TEXTS_AT_ONCE

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes for each prompt, best first.

        A box's confidence is its score against the best token of the text, and must reach
        ``threshold``. It answers the phrase that holds the best token of all phrases, if that
        reaches ``text_threshold``. With ``phrases="together"`` as many as the text encoder holds
        are asked in one text.

        Raises:
            UnsupportedPrompt: another kind of prompt, or a negative.
            PromptError: a phrase longer than the text encoder holds, without words, or with a
                stop inside.
            ImageError: an image so long and thin that it has fewer places than the model's
                candidates.
            OutOfMemory: with what to lower.
        """
        check_accepts(self, prompts)
        for prompt in prompts:
            check_no_negative(self.ref.name, prompt)
        if not prompts:
            return detections.empty()
        names = [prompt.text.phrase for prompt in prompts if prompt.text is not None]
        phrases = list(dict.fromkeys(names))
        questions = self._questions(phrases, together=options.phrases == "together")
        least = [options.least_score(p, self._defaults.get("threshold", 0.3)) for p in phrases]
        text_threshold = options.text_threshold
        if text_threshold is None:
            text_threshold = self._defaults.get("text_threshold", 0.25)
        with torch.inference_mode(), guard_memory(ADVICE):
            seen = self._see(image)
            rows = [
                answering(answer, np.array(least), text_threshold)
                for answer in self._answers(seen, questions)
            ]
        boxes, confidence, phrase = (np.concatenate(column) for column in zip(*rows, strict=True))
        xyxy = CONVENTIONS["cxcywh_norm"].decode(boxes, image.size)
        best = suppress(
            xyxy,
            confidence,
            phrase,
            threshold=options.most_overlap(self._defaults.get("nms_threshold", 0.8)),
            class_agnostic=options.class_agnostic_nms,
        )
        xyxy = np.clip(xyxy, 0, [*image.size, *image.size])
        best = with_area(best, xyxy)
        # A phrase given twice was asked once and is answered twice.
        question = [phrases.index(name) for name in names]
        row, index = by_prompt(phrase[best], question, options.max_detections)
        best = best[row]
        return detections.make(xyxy[best], confidence[best], index, [names[n] for n in index])

    def _questions(self, phrases: Sequence[str], *, together: bool) -> list[Question]:
        """The texts to ask; all are measured before the first is asked."""
        texts = [_as_asked(phrase, self.ref.name) for phrase in phrases]
        check_lengths(self._tokenizer, texts, self.ref.name, "phrase")
        lengths = [len(self._tokenizer.tokenize(text)) for text in texts]
        if 1 in lengths:
            raise PromptError(
                f'{self.ref.name} reads no word in "{phrases[lengths.index(1)]}": say what to find.'
            )
        room = self._tokenizer.model_max_length - 2  # the two that mark the ends
        groups: list[list[int]] = []
        for n, length in enumerate(lengths):
            if together and groups and sum(lengths[m] for m in groups[-1]) + length <= room:
                groups[-1].append(n)
            else:
                groups.append([n])
        return [_question(group, [texts[n] for n in group]) for group in groups]

    def _see(self, image: Image.Image) -> ImageFeatures:
        return self._images.get_or_compute(images.digest(image), lambda: self._encode(image))

    def _encode(self, image: Image.Image) -> ImageFeatures:
        short, long = sorted(image.size)
        if round(self._processor.size["longest_edge"] * short / long) < 1:
            raise _too_thin(image.size)
        inputs = self._processor(image, return_tensors="pt").to(self._model.device)
        levels, positions = self._backbone(inputs["pixel_values"], inputs["pixel_mask"])
        seen = ImageFeatures(tuple(levels), tuple(positions), inputs["pixel_mask"])
        if _places(seen, self._model.config.num_feature_levels) < self._model.config.num_queries:
            raise _too_thin(image.size)
        return seen

    def _answers(
        self, seen: ImageFeatures, questions: Sequence[Question]
    ) -> Iterator[tuple[Question, Floats, Floats, list[list[int]]]]:
        """Of each question its (Q, T) float32 scores of candidates against tokens, (Q, 4) boxes as
        the model writes them, and which tokens are each phrase's."""
        for start in range(0, len(questions), self._at_once):
            batch = questions[start : start + self._at_once]
            tokens = self._tokenizer(
                [question.text for question in batch],
                padding=True,
                return_tensors="pt",
                return_token_type_ids=True,
                return_offsets_mapping=True,
            )
            offsets = tokens.pop("offset_mapping").tolist()
            several = ImageFeatures(seen.levels, seen.positions, seen.pixel_mask, len(batch))
            mask = seen.pixel_mask.expand(len(batch), -1, -1)
            out = self._model(
                pixel_values=several, pixel_mask=mask, **tokens.to(self._model.device)
            )
            scores = out.logits.sigmoid().float().cpu().numpy()
            boxes = out.pred_boxes.float().cpu().numpy()
            for n, question in enumerate(batch):
                yield question, scores[n], boxes[n], _tokens_of(question, offsets[n])


def answering(
    answer: tuple[Question, Floats, Floats, list[list[int]]],
    least: Floats,
    text_threshold: float,
) -> tuple[Floats, Floats, Indices]:
    """Which candidates answer which phrases of one question.

    Args:
        answer: the question, (Q, T) scores of candidates against tokens, (Q, 4) boxes and the
            tokens of each of the question's phrases.
        least: least confidence for each of all phrases.
        text_threshold: least score of the phrase's best token.

    Returns:
        (K, 4) boxes, (K,) confidence: the best token of the whole text, as in transformers, and
        (K,) which of all phrases.
    """
    question, scores, boxes, tokens = answer
    own = np.stack([scores[:, mine].max(axis=1) for mine in tokens], axis=1)
    phrase = np.array(question.phrases, dtype=np.int64)[own.argmax(axis=1)]
    confidence = scores.max(axis=1)
    enough = (confidence >= least[phrase]) & (own.max(axis=1) >= text_threshold)
    return boxes[enough], confidence[enough], phrase[enough]


def _as_asked(phrase: str, model: str) -> str:
    """Lower case with a stop at the end, as the model was trained.

    Raises:
        PromptError: it has a border inside.
    """
    text = phrase.lower().rstrip(" .")
    if "." in text or "?" in text:
        raise PromptError(
            f"{model} takes a stop or a question mark for the end of a phrase: leave it out of "
            f'"{phrase}".'
        )
    return f"{text}."


def _question(phrases: Sequence[int], texts: Sequence[str]) -> Question:
    spans = []
    start = 0
    for text in texts:
        spans.append((start, start + len(text) - 1))  # without its stop
        start += len(text) + 1
    return Question(tuple(phrases), " ".join(texts), tuple(spans))


def _tokens_of(question: Question, offsets: Sequence[Sequence[int]]) -> list[list[int]]:
    """Which tokens are each phrase's; ``offsets`` are those of the text, (0, 0) for its ends."""
    return [
        [n for n, (begin, end) in enumerate(offsets) if start <= begin < end <= stop]
        for start, stop in question.spans
    ]


def _places(seen: ImageFeatures, levels: int) -> int:
    """In how many places of the image the model looks for candidates."""
    sizes = [(features.shape[-2], features.shape[-1]) for features, _ in seen.levels]
    while len(sizes) < levels:  # each further level has half the rows and columns
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sum(height * width for height, width in sizes)


def _too_thin(size_wh: tuple[int, int]) -> ImageError:
    return ImageError(
        f"An image of {size_wh[0]}x{size_wh[1]} pixels is too long and thin for this model: crop "
        "it, or take another detector, such as owlvit-base-patch32."
    )
