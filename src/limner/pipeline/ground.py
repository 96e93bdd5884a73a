"""Prompts to detections: phrases and examples become boxes, boxes become masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import supervision as sv
from PIL import Image as pil

from limner.errors import UnsupportedPrompt
from limner.io.save import save_image
from limner.ops import detections as dets
from limner.ops import masks
from limner.ops.overlay import overlay
from limner.options import DetectOptions, EverythingOptions, SegmentOptions
from limner.pipeline import notebook
from limner.pipeline.detect import SAYS_WHAT, Select, detect
from limner.pipeline.empty_outlines import EmptyOutline, box_to_outline, without_empty
from limner.pipeline.ensemble import AGREED
from limner.pipeline.stopwatch import Stopwatch
from limner.pipeline.tiles import SEEN
from limner.prompts import PromptKind, Text, VisualPrompt
from limner.protocols import (
    DROPPED,
    Detector,
    EverythingSegmenter,
    ImageEmbedding,
    OnStep,
    Segmenter,
    check_accepts,
)

if TYPE_CHECKING:
    from PIL.Image import Image


GREY = "#E8E8E8"
"""What is found is drawn on, where there is no picture."""

HOW_FOUND = (SEEN, AGREED)
"""Columns of a found box that its outline keeps."""

NOWHERE = (0, 0, 0, 0)
"""``SEEN`` of what was shown by clicks, a box or a mask beside phrases: no detector saw it."""


Embed = Callable[[Segmenter, "Image"], ImageEmbedding]
"""How a segmenter's embedding is had; a session puts its cache here."""


@dataclass(frozen=True, repr=False)
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
    dropped: Mapping[str, Any] = field(default_factory=dict)
    """Of everything mode whose thresholds left nothing: see ``protocols.DROPPED``."""

    def __len__(self) -> int:
        return len(self.detections)

    def __repr__(self) -> str:
        width, height = self.size_wh
        return f"Grounding({notebook.count_of(len(self))} in {width}x{height})"

    def _repr_png_(self) -> bytes:
        return notebook.png_of(self.image)

    def _repr_html_(self) -> str:
        return notebook.objects_html(repr(self), [self.image], self.detections)

    @property
    def image(self) -> Image:
        """What was found, drawn on grey: the picture itself is a ``Run``'s, and no part of this."""
        return overlay(pil.new("RGB", self.size_wh, GREY), self.detections, self.prompts)

    def show(self) -> None:
        """Show what was found, on grey."""
        notebook.show_picture(self.image)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write what was found, on grey.

        Raises:
            OutputError: the place is taken or can't be written, or the format can't hold it.
        """
        return save_image(self.image, path, overwrite=overwrite)

    @cached_property
    def mask(self) -> np.ndarray:
        """(H, W) bool: the union of all objects; all False where nothing was found."""
        return dets.union_of(self.detections, self.size_wh)


@dataclass(frozen=True)
class GroundModels:
    """What answers the prompts.

    ``embed`` is how the segmenter's embedding is had; None: by the segmenter itself.
    """

    segmenter: Segmenter
    detector: Detector | None = None
    embed: Embed | None = None

    def embedding_of(self, image: Image) -> ImageEmbedding:
        return self.embed(self.segmenter, image) if self.embed else self.segmenter.embed(image)


@dataclass(frozen=True)
class GroundOptions:
    """How the models are asked, and which of their answers count.

    ``as_drawn``: a prompt that is a mask and nothing else is its own answer; otherwise a mask is a
    hint that the segmenter refines. ``outlined``: a detector's own masks are taken; otherwise only
    its boxes.
    """

    detect: DetectOptions = field(default_factory=DetectOptions)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    selections: Sequence[Select] = ()
    as_drawn: bool = False
    outlined: bool = True


@dataclass(frozen=True)
class SegmenterPrompt:
    """One row of the segmenter's answer to be: whose prompt it is and what it will be called."""

    index: int
    prompt: VisualPrompt
    name: str
    confidence: float | None = None
    """The detector's score; None where the segmenter's own will do."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """How the detector found it: what it answered in the columns ``HOW_FOUND``."""


@dataclass(frozen=True)
class _Roles:
    """Indices of the prompts by what answers them."""

    drawn: Sequence[int]
    """Masks that are their own answer."""
    direct: Sequence[int]
    """The segmenter, without a detector."""
    detected: Sequence[int]

    @classmethod
    def of(cls, prompts: Sequence[VisualPrompt], segmenter: Segmenter, *, as_drawn: bool) -> _Roles:
        drawn, direct, detected = [], [], []
        for k, prompt in enumerate(prompts):
            if as_drawn and prompt.kinds == {PromptKind.MASK}:
                drawn.append(k)
            elif needs_detector(prompt, segmenter):
                detected.append(k)
            else:
                direct.append(k)
        return cls(drawn, direct, detected)


def ground(
    image: Image,
    prompts: Sequence[VisualPrompt],
    models: GroundModels,
    options: GroundOptions | None = None,
    on_step: OnStep | None = None,
) -> Grounding:
    """Outline what the prompts mean.

    Text and example prompts go through the detector and become box prompts; points, boxes and masks
    skip it, and so does a phrase that the segmenter itself takes. What a detector answers with
    masks of its own is outlined already. The image is embedded once, if a segmenter is asked at
    all. An outline without a pixel is no find: it is named in ``Grounding.empty``.

    Raises:
        PromptError: a prompt lies outside the image.
        UnsupportedPrompt: a model can't take a prompt, or there is no detector for a phrase.
    """
    watch = Stopwatch()
    prompts, options = tuple(prompts), options or GroundOptions()
    for prompt in prompts:
        prompt.check_within(image.size)
    roles = _Roles.of(prompts, models.segmenter, as_drawn=options.as_drawn)
    for k in roles.direct:
        check_accepts(models.segmenter, [prompts[k]])
    sources = [SegmenterPrompt(k, prompts[k], prompts[k].class_name) for k in roles.direct]
    outlines: list[sv.Detections] = []
    empty: tuple[EmptyOutline, ...] = ()
    if roles.detected:
        with watch.stage("detect"):
            boxes = _detected(image, prompts, roles.detected, models, options)
        if options.outlined and boxes.mask is not None:
            outlined, empty = without_empty(_under(boxes, roles.detected))
            outlines.append(outlined)
        else:
            sources += _box_prompts(boxes, prompts, roles.detected, models.segmenter, image.size)
    sources.sort(key=lambda source: source.index)
    if sources:
        with watch.stage("embed"):
            embedding = models.embedding_of(image)
        with watch.stage("segment"):
            answer = models.segmenter.segment(
                embedding, [source.prompt for source in sources], options.segment, on_step
            )
        shown = [box_to_outline(source.prompt) for source in sources]
        outlined, dropped = without_empty(_relabel(answer, sources), shown)
        outlines.append(outlined)
        empty += dropped
    outlines += [_drawn(prompts[k], k) for k in roles.drawn]
    rows = _in_order(merge_outlines(outlines or [dets.empty(with_mask_keys=True)]))
    for select in options.selections:
        rows = _selected(rows, select, [*roles.direct, *roles.drawn])
    return Grounding(image.size, prompts, rows, watch.seconds, empty)


def _detected(
    image: Image,
    prompts: Sequence[VisualPrompt],
    detected: Sequence[int],
    models: GroundModels,
    options: GroundOptions,
) -> sv.Detections:
    """Boxes of these prompts, selected before they are outlined: what is dropped here costs nothing
    more."""
    if models.detector is None:
        raise UnsupportedPrompt(
            f"{models.segmenter.ref.name} can't take a phrase or an example image, and no detector "
            "was given to turn it into a box."
        )
    phrases = [prompts[k] for k in detected]
    return detect(image, phrases, models.detector, options.detect, options.selections)


def _selected(rows: sv.Detections, select: Select, direct: Sequence[int]) -> sv.Detections:
    """A selection among the rows of prompts that no detector answered; the others were selected
    before."""
    if rows.class_id is None:
        return rows
    selectable = np.isin(rows.class_id, list(direct))
    chosen = select(dets.take(rows, selectable))
    return _in_order(dets.merge([chosen, dets.take(rows, ~selectable)]))


def _in_order(rows: sv.Detections) -> sv.Detections:
    """Sorted by prompt; within a prompt their order stays."""
    if rows.class_id is None or not len(rows):
        return rows
    return dets.take(rows, np.argsort(rows.class_id, kind="stable"))


def _drawn(prompt: VisualPrompt, index: int) -> sv.Detections:
    """A mask prompt as its own answer."""
    crop = masks.MaskCrop.of(prompt.mask.array if prompt.mask else np.zeros((1, 1), dtype=bool))
    box = dets.make(np.array([crop.box_xyxy]), [1.0], [index], [prompt.class_name])
    return dets.with_masks(box, [crop], [1.0], candidates=[dets.Candidates.of([(crop, 1.0)])])


class Phrased(Protocol):
    """What of a prompt says whether a segmenter understands it."""

    @property
    def text(self) -> Text | None: ...

    @property
    def kinds(self) -> Collection[PromptKind]: ...


class Accepting(Protocol):
    """A segmenter, or its family before it is loaded."""

    @property
    def accepts(self) -> frozenset[PromptKind]: ...


def needs_detector(prompt: Phrased, segmenter: Accepting) -> bool:
    """Whether a prompt says *what* in a way that this segmenter doesn't understand itself."""
    what = SAYS_WHAT.intersection(prompt.kinds)
    negated = prompt.text is not None and bool(prompt.text.negative)
    return bool(what) and (negated or not what <= segmenter.accepts)


def _under(boxes: sv.Detections, detected: Sequence[int]) -> sv.Detections:
    """A detector's rows under the person's own prompts, of which it was asked those."""
    rows = dets.copy(boxes)
    rows.class_id = np.array([detected[k] for k in boxes.data["prompt_index"]], dtype=np.int64)
    rows.data["prompt_index"] = rows.class_id.copy()
    return rows


def _box_prompts(
    boxes: sv.Detections,
    prompts: Sequence[VisualPrompt],
    detected: Sequence[int],
    segmenter: Segmenter,
    size_wh: tuple[int, int],
) -> list[SegmenterPrompt]:
    """Each box as a prompt for the segmenter, with the points that came with its phrase."""
    sources = []
    for row, box_prompt in enumerate(dets.to_prompts(boxes, size_wh)):
        index = detected[int(boxes.data["prompt_index"][row])]
        combined = replace(box_prompt, points=prompts[index].points)
        if not combined.kinds <= segmenter.accepts:
            combined = box_prompt
        confidence = None if boxes.confidence is None else float(boxes.confidence[row])
        name = str(boxes.data["class_name"][row])
        columns = {key: boxes.data[key][row] for key in HOW_FOUND if key in boxes.data}
        sources.append(SegmenterPrompt(index, combined, name, confidence, columns))
    check_accepts(segmenter, [source.prompt for source in sources])
    return sources


def _relabel(answer: sv.Detections, sources: Sequence[SegmenterPrompt]) -> sv.Detections:
    """The segmenter's rows under the person's own prompts: their index, score and name."""
    rows = dets.copy(answer)
    index = np.array([source.index for source in sources], dtype=np.int64)
    scores = [
        source.confidence if source.confidence is not None else float(score)
        for source, score in zip(sources, answer.data["mask_score"], strict=True)
    ]
    rows.class_id = index
    rows.confidence = np.array(scores, dtype=np.float32)
    rows.data["prompt_index"] = index.copy()
    rows.data["class_name"] = np.array([source.name for source in sources], dtype=str)
    if any(SEEN in source.columns for source in sources):
        seen = [source.columns.get(SEEN, NOWHERE) for source in sources]
        rows.data[SEEN] = np.array(seen, dtype=np.int64)
    if any(AGREED in source.columns for source in sources):
        agreed = [source.columns.get(AGREED, ()) for source in sources]
        rows = dets.with_column(rows, AGREED, agreed)
    return rows


def merge_outlines(parts: Sequence[sv.Detections]) -> sv.Detections:
    """All rows in one; the columns ``HOW_FOUND`` of some parts are empty for the others."""
    keys = {key for part in parts if len(part) for key in HOW_FOUND if key in part.data}
    filled = []
    for part in parts:
        rows = dets.copy(part)
        if SEEN in keys - part.data.keys():
            rows.data[SEEN] = np.tile(np.array(NOWHERE, dtype=np.int64), (len(part), 1))
        if AGREED in keys - part.data.keys():
            rows = dets.with_column(rows, AGREED, [()] * len(part))
        filled.append(rows)
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
        outlines = segmenter.segment_everything(embedding, options or EverythingOptions(), on_step)
    dropped = outlines.metadata.get(DROPPED, {})
    return Grounding(image.size, (), without_empty(outlines)[0], watch.seconds, dropped=dropped)
