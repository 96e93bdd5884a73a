"""Looking again at a redacted picture: harder than the look that found what was to be hidden.

What a detector doesn't find is not gone. So it looks at the result as it looked at the original,
and then turned, at another scale and in tiles, and other detectors that are at hand look where
something was hidden. And not finding a thing counts only where it was found in the original.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import supervision as sv
from PIL import Image as pil

from limner.ops import detections as dets
from limner.options import DetectOptions
from limner.pipeline.detect import detect
from limner.pipeline.empty_outlines import Xyxy, name_of
from limner.pipeline.ground import Grounding
from limner.pipeline.look import unlimited
from limner.prompts import BoolMask, VisualPrompt
from limner.protocols import Detector

if TYPE_CHECKING:
    from PIL.Image import Image

Look: TypeAlias = tuple[sv.Detections, bool]
"""What a look found, and whether it was the look that had found what was hidden."""

STILL_THERE = 0.3
"""A detection on the result counts as "still found" when at least this part of it was hidden: a new
box elsewhere is another thing, a face seen again under its blur is not."""
SMALL = 320
"""px: the second scale of a picture is half, and of one whose longer side is no more than this
twice."""
SAME = 0.3
"""IoU above which two looks see one thing."""


@dataclass(frozen=True)
class Questions:
    """What is looked for on the result.

    ``words`` found what was hidden, and are looked for there. ``pointed`` are boxes xyxy of what
    somebody pointed at, with how it is called; ``nowhere`` must not be found anywhere.
    ``everywhere``: all that ``words`` find was to be hidden, so that what only a harder look sees
    elsewhere was forgotten and not left on purpose.
    """

    words: tuple[VisualPrompt, ...] = ()
    nowhere: tuple[VisualPrompt, ...] = ()
    pointed: tuple[tuple[str, Xyxy], ...] = ()
    everywhere: bool = False

    @property
    def prompts(self) -> tuple[VisualPrompt, ...]:
        return (*self.words, *self.nowhere)


def questions_about(
    grounding: Grounding,
    words: Sequence[VisualPrompt],
    nowhere: Sequence[VisualPrompt],
    *,
    everywhere: bool,
) -> Questions:
    """What to look for after hiding what was found: ``words`` found it, the rest was pointed at."""
    prompts, rows = grounding.prompts, grounding.detections
    pointed = [
        (name_of(prompts, k), _four(rows.xyxy[row]))
        for row, k in enumerate(np.asarray(rows.data["prompt_index"], dtype=int).tolist())
        if not prompts[k].says_what
    ]
    return Questions(tuple(words), tuple(nowhere), tuple(pointed), everywhere)


@dataclass(frozen=True)
class SecondLook:
    """How a redacted picture is looked at: by which detectors, and for what.

    ``options`` are those that found what is hidden; limits of how many are left out. ``others``
    look at the hidden parts besides; they take ``questions.words``. ``looked_by`` names all of
    these detectors, for people; empty: their own names.
    """

    detector: Detector
    questions: Questions
    options: DetectOptions = field(default_factory=DetectOptions)
    others: Sequence[Detector] = ()
    looked_by: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        own = [detector.ref.name for detector in (self.detector, *self.others)]
        return tuple(self.looked_by or own)


@dataclass(frozen=True)
class Verdict:
    """What a second look has to say; boxes are in pixels of the picture.

    ``still_found`` lies where something was hidden, or is what nobody may see anywhere;
    ``left_open`` was seen by a harder look alone and isn't hidden; ``unseen`` names what isn't
    found in the original either, so that not finding it again says nothing.
    """

    still_found: sv.Detections
    left_open: sv.Detections
    unseen: tuple[str, ...] = ()

    @property
    def verified(self) -> bool | None:
        """False: something is still found. None: it can't be said."""
        if len(self.still_found):
            return False
        return None if self.unseen or len(self.left_open) else True


def look_again(before: Image, after: Image, hidden: BoolMask, look: SecondLook) -> Verdict:
    """Look at the result until something is still found, or all looks are done.

    Args:
        hidden: (H, W) bool, what was written over.

    Raises:
        UnsupportedPrompt: a detector can't take a prompt.
    """
    questions, detector = look.questions, look.detector
    again = _Looks(after, questions.prompts, look.options)
    usual_boxes = dets.empty()
    open_parts: list[sv.Detections] = []
    for boxes, is_usual in again.by(detector):
        still = _still(boxes, hidden, len(questions.words))
        if still.any():
            return Verdict(dets.take(boxes, still), dets.empty())
        if is_usual:
            usual_boxes = boxes
        elif questions.everywhere:
            open_parts.append(dets.take(boxes, ~_overlapping(boxes, usual_boxes)))
    words = _Looks(after, questions.words, look.options)
    for other in look.others if questions.words else ():
        for boxes, _ in words.by(other):
            still = _still(boxes, hidden, len(questions.words))
            if still.any():
                return Verdict(dets.take(boxes, still), dets.empty())
            if questions.everywhere and other.ref.family == "faces":
                open_parts.append(boxes)
    original = _Looks(before, questions.prompts, look.options)
    return Verdict(dets.empty(), _each_once(open_parts), _unseen(original, questions, detector))


@dataclass(frozen=True)
class _Looks:
    """A picture, what is looked for in it, and the settings that found it first."""

    image: Image
    prompts: tuple[VisualPrompt, ...]
    options: DetectOptions

    def by(self, detector: Detector) -> Iterator[Look]:
        """The look that was asked for, then turned, in tiles, and turned at another scale.

        What is like an example hangs on what else is in view, for what is far less like it than the
        best match is no answer: it is looked for the first way only.
        """
        # Every box counts here: the best face elsewhere must not take the place of the hidden one.
        usual_options = unlimited(self.options)
        if usual_options.look == "zoom":  # whether it is there is asked, not where exactly
            usual_options = replace(usual_options, look="whole")
        yield detect(self.image, self.prompts, detector, usual_options), True
        rows = [k for k, prompt in enumerate(self.prompts) if prompt.text and not prompt.exemplar]
        if not rows:
            return
        words = [VisualPrompt(text=self.prompts[k].text) for k in rows]
        plain = replace(usual_options, look=None, slice_wh=None, overlap_wh=None)
        for mode, scale in (("turned", 1.0), ("tiles", 1.0), ("turned", _other_scale(self.image))):
            scaled = _scaled(self.image, scale)
            boxes = dets.copy(detect(scaled, words, detector, replace(plain, look=mode)))
            grown = np.array(self.image.size * 2) / np.array(scaled.size * 2)
            boxes.xyxy = (boxes.xyxy * grown).astype(np.float32)
            places = np.array(rows)[np.asarray(boxes.data["prompt_index"], dtype=int)]
            boxes.data["prompt_index"] = places
            boxes.class_id = places.copy()
            yield boxes, False


def _other_scale(image: Image) -> float:
    return 0.5 if max(image.size) > SMALL else 2.0


def _scaled(image: Image, scale: float) -> Image:
    if scale == 1:
        return image
    size_wh = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    resampling = pil.Resampling.BOX if scale < 1 else pil.Resampling.BICUBIC
    return image.resize(size_wh, resampling)


def _still(boxes: sv.Detections, hidden: BoolMask, words: int) -> np.ndarray:
    """(N,) bool: boxes where something was hidden, and all of the prompts from ``words`` on."""
    anywhere = np.asarray(boxes.data.get("prompt_index", ()), dtype=int) >= words
    return np.asarray(anywhere | (_part_in(boxes, hidden) >= STILL_THERE), dtype=bool)


def _unseen(original: _Looks, questions: Questions, detector: Detector) -> tuple[str, ...]:
    """Names of what no look at the original finds; as few looks are taken as that needs."""
    regions = dict(enumerate(questions.pointed))
    phrases = {len(questions.words) + k: prompt for k, prompt in enumerate(questions.nowhere)}
    if not regions and not phrases:
        return ()
    for boxes, _ in original.by(detector):
        regions = {
            k: (name, box)
            for k, (name, box) in regions.items()
            if not (_part_in_box(boxes, box) >= STILL_THERE).any()
        }
        seen = set(np.asarray(boxes.data.get("prompt_index", ()), dtype=int).tolist())
        phrases = {k: prompt for k, prompt in phrases.items() if k not in seen}
        if not regions and not phrases:
            break
    names = [name for name, _ in regions.values()]
    names += [f"“{p.text.phrase}”" if p.text else "the example" for p in phrases.values()]
    return tuple(names)


def _part_in(boxes: sv.Detections, mask: BoolMask) -> np.ndarray:
    """(N,) part of each box's area that lies in the mask."""
    height, width = mask.shape
    parts = []
    for x0, y0, x1, y1 in boxes.xyxy:
        inner = mask[
            int(np.clip(y0, 0, height)) : int(np.ceil(np.clip(y1, 0, height))),
            int(np.clip(x0, 0, width)) : int(np.ceil(np.clip(x1, 0, width))),
        ]
        parts.append(float(inner.mean()) if inner.size else 0.0)
    return np.asarray(parts)


def _part_in_box(boxes: sv.Detections, box: Xyxy) -> np.ndarray:
    """(N,) part of each box's area that lies in another one."""
    x0, y0, x1, y1 = boxes.xyxy.astype(np.float64).T
    wide = np.minimum(x1, box[2]) - np.maximum(x0, box[0])
    high = np.minimum(y1, box[3]) - np.maximum(y0, box[1])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    return np.asarray(shared / np.maximum((x1 - x0) * (y1 - y0), 1e-9))


def _four(xyxy: np.ndarray) -> Xyxy:
    x0, y0, x1, y1 = xyxy.astype(float).tolist()
    return x0, y0, x1, y1


def _overlapping(boxes: sv.Detections, others: sv.Detections) -> np.ndarray:
    """(N,) bool: boxes that are also among the others."""
    if not len(boxes) or not len(others):
        return np.zeros(len(boxes), dtype=bool)
    return np.asarray((sv.box_iou_batch(boxes.xyxy, others.xyxy) >= SAME).any(axis=1))


def _each_once(parts: Sequence[sv.Detections]) -> sv.Detections:
    """Each thing once, best first."""
    boxes = dets.merge(parts) if parts else dets.empty()
    return dets.by_confidence(boxes.with_nms(SAME, class_agnostic=True)) if len(boxes) else boxes
