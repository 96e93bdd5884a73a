"""Boxes of phrases and examples: a detector asked, its answers limited and selected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import supervision as sv
from PIL.Image import Image

from limner.errors import UnsupportedPrompt
from limner.ops import choose
from limner.ops import detections as dets
from limner.ops.suppression import limited, once_a_label
from limner.options import DetectOptions
from limner.pipeline.look import look, unlimited
from limner.pipeline.zoom import zoomed
from limner.prompts import PromptKind, Text, VisualPrompt
from limner.protocols import Detector, check_accepts

Select = Callable[[sv.Detections], sv.Detections]


SAYS_WHAT = frozenset(
    {PromptKind.TEXT, PromptKind.EXEMPLAR, PromptKind.LIKE, PromptKind.NEGATIVE_EXEMPLAR_BOX}
)
"""Kinds of prompt that say what is wanted, not where it is."""


def detect(
    image: Image,
    prompts: Sequence[VisualPrompt],
    detector: Detector,
    options: DetectOptions | None = None,
    selections: Sequence[Select] = (),
) -> sv.Detections:
    """Boxes for each prompt, with "not" subtracted and the selections applied.

    A prompt that also says *where* (points, a box, a mask) keeps only the boxes that agree with it:
    lying in the box, holding the foreground points and none of the background ones. A phrase's
    negative is asked for as a phrase of its own and subtracted (``choose.subtract``), because
    detectors box the negated thing itself.

    Returns:
        Detections whose ``class_id`` is the index into ``prompts``, best first.

    Raises:
        PromptError: a prompt lies outside the image.
        UnsupportedPrompt: the detector can't take one of the prompts.
    """
    options = options or DetectOptions()
    for prompt in prompts:
        prompt.check_within(image.size)
    positives = [_what(prompt) for prompt in prompts]
    negatives = [_negative(prompt) for prompt in prompts]
    queries = [prompt for prompt in (*positives, *negatives) if prompt]
    check_accepts(detector, queries)
    picky = any(negatives) or any(prompt.is_spatial for prompt in prompts)
    query_options = unlimited(options) if picky else options

    def ask(some: Sequence[VisualPrompt], part: Image = image) -> sv.Detections:
        return look(detector, part, some, query_options)

    answers = _answers(positives, negatives, ask)
    groups = [
        dets.with_prompt_index(_agreeing(answers[k], prompt), k) for k, prompt in enumerate(prompts)
    ]
    boxes = once_a_label(dets.by_confidence(dets.merge(groups)), prompts, options.most_overlap())
    boxes = dets.with_labels(boxes, prompts)
    if picky:
        boxes = limited(boxes, options)  # what ``unlimited`` put off
    for select in selections:
        boxes = select(boxes)
    if options.look == "zoom":  # last: what was dropped needs no exact box
        boxes = zoomed(image, boxes, lambda crop, k: ask([positives[k]], crop))
    return boxes


def _answers(
    positives: Sequence[VisualPrompt],
    negatives: Sequence[VisualPrompt | None],
    ask: Callable[[Sequence[VisualPrompt]], sv.Detections],
) -> dict[int, sv.Detections]:
    """Index of a prompt -> its boxes, without those of its negative."""
    answers = {}
    plain = [k for k, negative in enumerate(negatives) if negative is None]
    if plain:
        # A detector gives a box to one of two prompts that say the same: it is asked once for both.
        queries: dict[object, VisualPrompt] = {}
        for k in plain:
            queries.setdefault(_query_key(positives[k]), positives[k])
        place = {key: n for n, key in enumerate(queries)}
        boxes = ask(list(queries.values()))
        answers = {k: _of_prompt(boxes, place[_query_key(positives[k])]) for k in plain}
    for k, negative in enumerate(negatives):
        if negative is not None:
            # Asked apart from the others: what one prompt is not may be what another wants.
            boxes = ask([positives[k], negative])
            answers[k] = choose.subtract(_of_prompt(boxes, 0), _of_prompt(boxes, 1))
    return answers


def _what(prompt: VisualPrompt) -> VisualPrompt:
    """The part a detector is asked: the phrase without its negative, or the example."""
    if not prompt.says_what:
        kinds = " and ".join(sorted(prompt.kinds))
        raise UnsupportedPrompt(
            f"A {kinds} prompt says where, not what: detect takes a phrase (--text), an example "
            "image (--exemplar) or an example in the picture (--like); to outline what is there, "
            "use segment."
        )
    text = Text(prompt.text.phrase) if prompt.text else None
    return VisualPrompt(text=text, exemplar=prompt.exemplar, likes=prompt.likes)


def _negative(prompt: VisualPrompt) -> VisualPrompt | None:
    """The phrase's negative, as a phrase of its own; None where it has none."""
    if prompt.text and prompt.text.negative:
        return VisualPrompt(text=Text(prompt.text.negative))
    return None


def _of_prompt(boxes: sv.Detections, index: int) -> sv.Detections:
    if boxes.class_id is None:
        return boxes
    return dets.take(boxes, boxes.class_id == index)


def _agreeing(rows: sv.Detections, prompt: VisualPrompt) -> sv.Detections:
    """Rows that agree with where the prompt says the thing is."""
    if prompt.box is not None:
        rows = choose.inside(rows, prompt.box)
    for point in prompt.points:
        x0, y0, x1, y1 = rows.xyxy.T
        holds = (x0 <= point.x) & (point.x < x1) & (y0 <= point.y) & (point.y < y1)
        rows = dets.take(rows, holds == point.foreground)
    if prompt.mask is not None:
        area = [prompt.mask.array[_slices(box, prompt.mask.size_wh)].any() for box in rows.xyxy]
        rows = dets.take(rows, np.asarray(area, dtype=bool))
    return rows


def _slices(xyxy: np.ndarray, size_wh: tuple[int, int]) -> tuple[slice, slice]:
    x0, y0 = np.clip(np.floor(xyxy[:2]).astype(int), 0, size_wh)
    x1, y1 = np.clip(np.ceil(xyxy[2:]).astype(int), 0, size_wh)
    return slice(y0, y1), slice(x0, x1)


def _query_key(prompt: VisualPrompt) -> object:
    """What a detector is asked, alike for phrases that differ in capitals and spaces alone."""
    if prompt.text is None or prompt.exemplar or prompt.likes:
        return id(prompt)
    return " ".join(prompt.text.phrase.casefold().split())
