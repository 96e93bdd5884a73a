"""From what was said to where it is: phrases and examples become boxes, boxes become masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import supervision as sv

from limner.errors import UnsupportedPrompt
from limner.ops import detections as dets
from limner.ops import masks
from limner.options import DetectOptions, EverythingOptions, SegmentOptions
from limner.pipeline.detect import SAYS_WHAT, Select, detect
from limner.pipeline.empty_outlines import EmptyOutline, box_to_outline, without_empty
from limner.pipeline.ensemble import AGREED
from limner.pipeline.stopwatch import Stopwatch
from limner.pipeline.tiles import SEEN
from limner.prompts import PromptKind, VisualPrompt
from limner.protocols import (
    Detector,
    EverythingSegmenter,
    ImageEmbedding,
    OnStep,
    Segmenter,
    check_accepts,
)

if TYPE_CHECKING:
    from PIL.Image import Image


HOW_FOUND = (SEEN, AGREED)
"""Columns of a found box that its outline keeps."""

NOWHERE = (0, 0, 0, 0)
"""``SEEN`` of what was shown by clicks, a box or a mask beside phrases: no detector saw it."""


Embed = Callable[[Segmenter, "Image"], ImageEmbedding]
"""How a segmenter's embedding is had; a session puts its cache here."""


@dataclass(frozen=True)
class Grounding:
    """Where the things are in one image.

    ``detections`` holds one row an object, with masks if a segmenter answered; ``class_id`` is the
    index of the prompt. ``seconds`` are wall seconds by stage. ``empty`` are those whose outline
    had no pixel in it: they are none of the rows.
    """

    size_wh: tuple[int, int]
    prompts: tuple[VisualPrompt, ...]
    detections: sv.Detections
    seconds: Mapping[str, float] = field(default_factory=dict)
    empty: tuple[EmptyOutline, ...] = ()

    def __len__(self) -> int:
        return len(self.detections)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: the union of all objects; all False where nothing was found."""
        return dets.union_of(self.detections, self.size_wh)


@dataclass(frozen=True)
class Asked:
    """One row asked of the segmenter: whose prompt it answers and what it will be called."""

    index: int
    prompt: VisualPrompt
    name: str
    confidence: float | None = None
    """The detector's score; None where the segmenter's own will do."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """How the detector found it: what it said in the columns ``HOW_FOUND``."""


def ground(
    image: Image,
    prompts: Sequence[VisualPrompt],
    *,
    segmenter: Segmenter,
    detector: Detector | None = None,
    detect_options: DetectOptions | None = None,
    segment_options: SegmentOptions | None = None,
    selections: Sequence[Select] = (),
    embed: Embed | None = None,
    on_step: OnStep | None = None,
    as_drawn: bool = False,
    outlined: bool = True,
) -> Grounding:
    """Outline what the prompts mean.

    Text and example prompts go through ``detector`` and become box prompts; points, boxes and masks
    skip it, and so does a phrase that the segmenter itself takes. What a detector answers with
    masks of its own is outlined already. The image is embedded once, if a segmenter is asked at
    all. An outline without a pixel is no find: it is named in ``Grounding.empty``.

    Args:
        outlined: take a detector's own masks; otherwise only its boxes.
        as_drawn: a prompt that is a mask and nothing else is its own answer; otherwise a mask is a
            hint that the segmenter refines.

    Raises:
        PromptError: a prompt lies outside the image.
        UnsupportedPrompt: a model can't take a prompt, or there is no detector for a phrase.
    """
    watch = Stopwatch()
    prompts = tuple(prompts)
    for prompt in prompts:
        prompt.check_within(image.size)
    drawn = [k for k, prompt in enumerate(prompts) if as_drawn and _is_mask(prompt)]
    others = [k for k in range(len(prompts)) if k not in drawn]
    direct = [k for k in others if not needs_detector(prompts[k], segmenter)]
    asked = [k for k in others if k not in direct]
    for k in direct:
        check_accepts(segmenter, [prompts[k]])
    sources = [Asked(k, prompts[k], prompts[k].class_name) for k in direct]
    answered: list[sv.Detections] = []
    empty: tuple[EmptyOutline, ...] = ()
    if asked:
        if detector is None:
            raise UnsupportedPrompt(
                f"{segmenter.ref.name} can't take a phrase or an example image, and no detector "
                "was given to turn it into a box."
            )
        with watch.stage("detect"):
            # Selected before they are outlined: what is dropped here costs nothing more.
            wanted = [prompts[k] for k in asked]
            found = detect(image, wanted, detector, detect_options, selections)
        if outlined and found.mask is not None:
            kept, empty = without_empty(_under(found, asked))
            answered.append(kept)
        else:
            sources += _box_prompts(found, prompts, asked, segmenter, image.size)
    sources.sort(key=lambda source: source.index)
    if sources:
        with watch.stage("embed"):
            embedding = embed(segmenter, image) if embed else segmenter.embed(image)
        with watch.stage("segment"):
            answer = segmenter.segment(
                embedding,
                [source.prompt for source in sources],
                segment_options or SegmentOptions(),
                on_step,
            )
        shown = [box_to_outline(source.prompt) for source in sources]
        kept, dropped = without_empty(_relabel(answer, sources), shown)
        answered.append(kept)
        empty += dropped
    answered += [_drawn(prompts[k], k) for k in drawn]
    rows = _in_order(merge_found(answered or [dets.empty(with_mask_keys=True)]))
    for select in selections:
        rows = _selected(rows, select, [*direct, *drawn])
    return Grounding(image.size, prompts, rows, watch.seconds, empty)


def _selected(rows: sv.Detections, select: Select, direct: Sequence[int]) -> sv.Detections:
    """A selection among the rows of prompts that no detector answered; the others had theirs."""
    if rows.class_id is None:
        return rows
    here = np.isin(rows.class_id, list(direct))
    return _in_order(dets.merge([select(dets.take(rows, here)), dets.take(rows, ~here)]))


def _in_order(rows: sv.Detections) -> sv.Detections:
    """By prompt; within one as they were."""
    if rows.class_id is None or not len(rows):
        return rows
    return dets.take(rows, np.argsort(rows.class_id, kind="stable"))


def _is_mask(prompt: VisualPrompt) -> bool:
    return prompt.kinds == {PromptKind.MASK}


def _drawn(prompt: VisualPrompt, index: int) -> sv.Detections:
    """A mask prompt as its own answer."""
    crop = masks.MaskCrop.of(prompt.mask.array if prompt.mask else np.zeros((1, 1), dtype=bool))
    found = dets.make(np.array([crop.box_xyxy]), [1.0], [index], [prompt.manner])
    return dets.with_masks(found, [crop], [1.0], candidates=[dets.Candidates.of([(crop, 1.0)])])


def needs_detector(prompt: VisualPrompt, segmenter: Segmenter) -> bool:
    """Whether a prompt says *what* in a way that this segmenter doesn't understand itself."""
    what = prompt.kinds & SAYS_WHAT
    negated = prompt.text is not None and bool(prompt.text.negative)
    return bool(what) and (negated or not what <= segmenter.accepts)


def _under(found: sv.Detections, asked: Sequence[int]) -> sv.Detections:
    """A detector's rows under the person's own prompts, of which it was asked those."""
    made = dets.copy(found)
    made.class_id = np.array([asked[k] for k in found.data["prompt_index"]], dtype=np.int64)
    made.data["prompt_index"] = made.class_id.copy()
    return made


def _box_prompts(
    found: sv.Detections,
    prompts: Sequence[VisualPrompt],
    asked: Sequence[int],
    segmenter: Segmenter,
    size_wh: tuple[int, int],
) -> list[Asked]:
    """Each found box as a prompt for the segmenter, with the points that came with its phrase."""
    sources = []
    boxes = dets.to_prompts(found, size_wh)
    for row, box_prompt in enumerate(boxes):
        index = asked[int(found.data["prompt_index"][row])]
        combined = replace(box_prompt, points=prompts[index].points)
        if not combined.kinds <= segmenter.accepts:
            combined = box_prompt
        confidence = None if found.confidence is None else float(found.confidence[row])
        name = str(found.data["class_name"][row])
        how = {key: found.data[key][row] for key in HOW_FOUND if key in found.data}
        sources.append(Asked(index, combined, name, confidence, how))
    check_accepts(segmenter, [source.prompt for source in sources])
    return sources


def _relabel(answer: sv.Detections, sources: Sequence[Asked]) -> sv.Detections:
    """The segmenter's rows under the person's own prompts: their index, score and name."""
    made = dets.copy(answer)
    index = np.array([source.index for source in sources], dtype=np.int64)
    scores = [
        source.confidence if source.confidence is not None else float(score)
        for source, score in zip(sources, answer.data["mask_score"], strict=True)
    ]
    made.class_id = index
    made.confidence = np.array(scores, dtype=np.float32)
    made.data["prompt_index"] = index.copy()
    made.data["class_name"] = np.array([source.name for source in sources], dtype=str)
    if any(SEEN in source.found for source in sources):
        seen = [source.found.get(SEEN, NOWHERE) for source in sources]
        made.data[SEEN] = np.array(seen, dtype=np.int64)
    if any(AGREED in source.found for source in sources):
        agreed = [source.found.get(AGREED, ()) for source in sources]
        made = dets.with_column(made, AGREED, agreed)
    return made


def merge_found(parts: Sequence[sv.Detections]) -> sv.Detections:
    """All rows in one; the columns ``HOW_FOUND`` of some parts are empty for the others."""
    keys = {key for part in parts if len(part) for key in HOW_FOUND if key in part.data}
    filled = []
    for part in parts:
        made = dets.copy(part)
        if SEEN in keys - part.data.keys():
            made.data[SEEN] = np.tile(np.array(NOWHERE, dtype=np.int64), (len(part), 1))
        if AGREED in keys - part.data.keys():
            made = dets.with_column(made, AGREED, [()] * len(part))
        filled.append(made)
    return dets.merge(filled)


def segment_everything(
    image: Image,
    segmenter: Segmenter,
    options: EverythingOptions | None = None,
    *,
    embed: Embed | None = None,
    on_step: OnStep | None = None,
) -> Grounding:
    """Every object the segmenter is sure of, without a prompt.

    Raises:
        UnsupportedPrompt: this segmenter has no everything mode.
    """
    if not isinstance(segmenter, EverythingSegmenter):
        raise UnsupportedPrompt(
            f"{segmenter.ref.name} has no everything mode: it needs a point, box or mask. "
            "The families sam and fastsam have one."
        )
    watch = Stopwatch()
    with watch.stage("embed"):
        embedding = embed(segmenter, image) if embed else segmenter.embed(image)
    with watch.stage("segment"):
        found = segmenter.segment_everything(embedding, options or EverythingOptions(), on_step)
    return Grounding(image.size, (), without_empty(found)[0], watch.seconds)
