"""A vision-language model as a detector: for words that say more than a name ("the mug behind the
laptop that is not red").

Whoever runs the model, a server (``openai_client``) or this process (``qwen``), is a
``ChatBackend``; asking, reading and mapping back are the same for both. The picture is sized on
our side, so that the numbers that come back are pixels of a picture we know, and one recorded step
leads from there to the original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import supervision as sv
from PIL import Image

from limner.errors import NoAnswer
from limner.models.blocks.nms import by_prompt, suppress, with_area
from limner.models.blocks.prompt_checks import ASK_APART, check_no_negative
from limner.models.vlm import parser
from limner.models.vlm.parser import Reply, Unreadable
from limner.models.vlm.questions import question, schema
from limner.models.vlm.self_consistency import Floats, agreed
from limner.ops import detections as dets
from limner.ops import transforms
from limner.options import EVERY_DETECTOR, DetectOptions, check_honoured
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import ModelRef, check_accepts
from limner.registry.vlm_formats import VlmFormat

THRESHOLD = 0.5
"""Part of the answers that must hold a box, unless the user says otherwise."""
SAME_THING = 0.8
"""IoU over which two boxes in one answer are one thing said twice."""


class ChatBackend(Protocol):
    """Whoever runs the model."""

    def show(self, picture: Image.Image) -> Any:
        """A picture in the form that ``ask`` takes, made once for all questions about it."""
        ...

    say: Callable[[str], None]
    """Hears what a person should know of how it answered."""

    def ask(self, shown: Any, words: str, form: Mapping[str, Any], draw: int | None) -> str:
        """The model's answer as it wrote it.

        Args:
            form: JSON schema of the answer.
            draw: which of several samples this is; None: the likeliest answer is wanted.

        Raises:
            Unreadable: an answer that was cut off.
            NoAnswer: none at all.
        """
        ...


class VisionLanguageModel:
    """A ``Detector``."""

    accepts = frozenset({PromptKind.TEXT})

    def __init__(
        self,
        ref: ModelRef,
        backend: ChatBackend,
        manner: VlmFormat,
        *,
        max_side: int | None = None,
        samples: int = 1,
        phrases_at_once: int = 8,
    ) -> None:
        self.ref = ref
        self._backend = backend
        self._manner = manner
        self._max_side = max_side
        self._samples = samples
        self._phrases_at_once = phrases_at_once

    def on_notice(self, say: Callable[[str], None]) -> None:
        self._backend.say = say

    def detect(
        self, image: Image.Image, prompts: Sequence[VisualPrompt], options: DetectOptions
    ) -> sv.Detections:
        """Boxes for each prompt, best first.

        A box's confidence is the part of the samples that hold it: 1 where one was asked for. A
        sample that can't be read is asked for once more, with what was wrong with it, and then
        counts as one that holds nothing.

        Raises:
            OptionError: a setting without effect.
            UnsupportedPrompt: another kind of prompt, or a negative.
            NoAnswer: no sample could be read, the server failed, or a budget is spent.
        """
        check_honoured(
            options, EVERY_DETECTOR | {"samples"}, self.ref.name, "it is asked in whole sentences"
        )
        check_accepts(self, prompts)
        for prompt in prompts:
            check_no_negative(self.ref.name, prompt, f"say it in the phrase itself, or {ASK_APART}")
        phrases = list(dict.fromkeys(prompt.text.phrase for prompt in prompts if prompt.text))
        samples = options.samples or self._samples
        if not phrases:
            return dets.empty()
        frame = self._manner.frame(image.size, self._max_side)
        seen = image
        if frame.target_wh != image.size:
            seen = image.resize(frame.target_wh, Image.Resampling.BICUBIC)
        shown = self._backend.show(seen)
        rows = []
        for start in range(0, len(phrases), self._phrases_at_once):
            batch = phrases[start : start + self._phrases_at_once]
            replies = self._replies(shown, batch, frame.target_wh, samples)
            for n, phrase in enumerate(batch):
                xyxy, held = agreed([reply.of(n) for reply in replies])
                enough = held >= options.least_score(phrase, THRESHOLD)
                boxes = transforms.inverse_boxes(frame, xyxy[enough])
                index = [start + n] * len(boxes)
                rows.append(dets.make(boxes, held[enough], index, [phrase] * len(boxes)))
        return _answers(dets.merge(rows), phrases, prompts, options)

    def _replies(
        self, shown: Any, phrases: Sequence[str], size_wh: transforms.Size, samples: int
    ) -> list[Reply]:
        """All samples of one question; an unreadable one holds nothing."""
        draws: list[int | None] = [None] if samples == 1 else list(range(samples))
        replies, why = [], ""
        for draw in draws:
            try:
                replies.append(self._reply(shown, phrases, size_wh, draw))
            except Unreadable as error:
                why = str(error)
        if not replies:
            raise NoAnswer(
                f"What {self.ref.name} answered can't be read: {why}. Ask for less at once, or "
                "check that its convention is set right (docs/vlm.md)."
            )
        return replies + [parser.NOTHING] * (samples - len(replies))

    def _reply(
        self, shown: Any, phrases: Sequence[str], size_wh: transforms.Size, draw: int | None
    ) -> Reply:
        """One sample; an answer that can't be read is asked for once more, with the reason."""
        words = question(phrases, self._manner, size_wh)
        form = schema(phrases, self._manner)
        try:
            text = self._backend.ask(shown, words, form, draw)
            return parser.read(text, phrases, self._manner, size_wh)
        except Unreadable as error:
            words += f"\nYour last answer could not be used: {error}."
        text = self._backend.ask(shown, words, form, draw)
        return parser.read(text, phrases, self._manner, size_wh)


def _answers(
    rows: sv.Detections,
    phrases: Sequence[str],
    prompts: Sequence[VisualPrompt],
    options: DetectOptions,
) -> sv.Detections:
    """Answers to phrases as answers to prompts, of which two may say the same."""
    boxes: Floats = rows.xyxy.astype(np.float64)
    scores = np.zeros(0) if rows.confidence is None else rows.confidence
    answered = np.asarray(rows.data["prompt_index"], dtype=np.int64)
    best = suppress(
        boxes,
        scores,
        answered,
        threshold=options.most_overlap(SAME_THING),
        class_agnostic=options.class_agnostic_nms,
    )
    best = with_area(best, boxes)
    question = [phrases.index(prompt.text.phrase) if prompt.text else -1 for prompt in prompts]
    row, prompt = by_prompt(answered[best], question, options.max_detections)
    best = best[row]
    names = [phrases[question[n]] for n in prompt]
    return dets.make(rows.xyxy[best], scores[best], prompt, names)
