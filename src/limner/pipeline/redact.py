"""Hide something, then look whether it can still be found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import supervision as sv
from PIL import Image as pil

from limner.errors import NothingFound
from limner.io.raster import Layer
from limner.ops import detections as dets
from limner.ops import masks, obscure
from limner.options import RedactOptions, SegmentOptions, check_honoured
from limner.pipeline.crops import Crop
from limner.pipeline.edit import Edit, check_mask, make_edit
from limner.pipeline.empty_outlines import sentence_of
from limner.pipeline.ground import Grounding, merge_outlines
from limner.pipeline.verify_redaction import SecondLook, Verdict, look_again
from limner.prompts import BoolMask, Box, PromptKind, VisualPrompt
from limner.protocols import ImageEmbedding, ModelRef, OnStep, check_accepts

if TYPE_CHECKING:
    from PIL.Image import Image


class BoxRegions:
    """A segmenter whose answer to a box is the box itself: what redaction covers by default.

    An outline would leave a face's shape and hair to be recognised by.
    """

    ref = ModelRef("box", "geometry", "Apache-2.0")
    accepts = frozenset({PromptKind.BOX})

    def embed(self, image: Image) -> ImageEmbedding:
        return ImageEmbedding("", image.size, self.ref.name, None)

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        check_honoured(options, frozenset(), "a box as the region", "no model outlines it")
        check_accepts(self, prompts)
        width, height = embedding.size_wh
        boxes = [prompt.box for prompt in prompts if prompt.box]
        covered = []
        for box in boxes:
            left, top = max(math.floor(box.x0), 0), max(math.floor(box.y0), 0)
            right, bottom = min(math.ceil(box.x1), width), min(math.ceil(box.y1), height)
            window = np.ones((bottom - top, right - left), dtype=bool)
            covered.append(masks.MaskCrop(window, left, top, (width, height)))
        ones = np.ones(len(boxes), dtype=np.float32)
        rows = dets.make(
            np.array([box.xyxy for box in boxes]), ones, np.arange(len(boxes)), ["box"] * len(boxes)
        )
        return dets.with_masks(
            rows, covered, ones, candidates=[dets.Candidates.of([])] * len(boxes)
        )


def separate_prompts(prompts: Sequence[VisualPrompt]) -> tuple[VisualPrompt, ...]:
    """What a redaction hides: a phrase's finds and the box or mask that was given with it.

    Elsewhere such a box narrows the phrase. Here that would leave open what somebody pointed at.
    """
    alone: list[VisualPrompt] = []
    for prompt in prompts:
        if prompt.says_what and (prompt.box or prompt.mask):
            alone.append(replace(prompt, box=None, mask=None))
            alone += [VisualPrompt(box=prompt.box)] if prompt.box else []
            alone += [VisualPrompt(mask=prompt.mask)] if prompt.mask else []
        else:
            alone.append(prompt)
    return tuple(alone)


def cover_empty(grounding: Grounding) -> Grounding:
    """With a row for each empty outline: its box, which is hidden instead.

    Raises:
        NothingFound: an empty outline of points, which have no box.
    """
    boxes = []
    for outline in grounding.empty:
        if outline.xyxy is None:
            what = sentence_of(outline, grounding.prompts)
            raise NothingFound(
                f"The outline of {what} is empty, and a point has "
                "no box that could be hidden instead, so nothing was written: give a box or a mask."
            )
        boxes.append(VisualPrompt(box=Box(*outline.xyxy)))
    if not boxes:
        return grounding
    embedding = ImageEmbedding("", grounding.size_wh, BoxRegions.ref.name, None)
    rows = BoxRegions().segment(embedding, boxes, SegmentOptions())
    rows.class_id = np.array([outline.prompt_index for outline in grounding.empty], dtype=np.int64)
    rows.data["prompt_index"] = rows.class_id.copy()
    rows.data["class_name"] = np.array(
        [outline.class_name for outline in grounding.empty], dtype=str
    )
    return replace(
        grounding,
        detections=merge_outlines([grounding.detections, rows]),
        empty=tuple(replace(outline, covered=True) for outline in grounding.empty),
    )


@dataclass(frozen=True)
class Redaction:
    """The redacted picture and what a second look found.

    ``verdict`` is None when nothing could look again, because the things were pointed at and no
    detector took part. ``looked_by`` names the detectors that looked.
    """

    edit: Edit
    verdict: Verdict | None = None
    looked_by: tuple[str, ...] = ()

    @property
    def still_found(self) -> sv.Detections | None:
        """Boxes that are seen again where something was hidden; None when nothing looked again."""
        return None if self.verdict is None else self.verdict.still_found

    @property
    def verified(self) -> bool | None:
        """True: all that was hidden had been seen, was looked for again and isn't found. False: it
        is found. None: it can't be said, or nothing looked again."""
        return None if self.verdict is None else self.verdict.verified

    def check_dict(self) -> dict[str, Any]:
        """What the second look says, as JSON: numbers and names, no places of what was hidden."""
        if self.verdict is None:
            return {"verified": None}
        return {
            "verified": self.verified,
            "looked_by": list(self.looked_by),
            "cannot_be_verified": list(self.verdict.unseen),
            "left_open": [list(map(float, box)) for box in self.verdict.left_open.xyxy],
        }

    def to_dict(self) -> dict[str, Any]:
        return {**self.edit.to_dict(), **self.check_dict()}


def redact(
    image: Image,
    mask: BoolMask,
    options: RedactOptions | None = None,
    second_look: SecondLook | None = None,
) -> Redaction:
    """Hide ``mask``, then look for what was hidden again on the result.

    Args:
        mask: (H, W) bool; grown by ``options.dilate`` so that no rim is left.
        second_look: None leaves the result unverified.
    """
    options = options or RedactOptions()
    check_mask(mask, image.size)
    grown = _grow(mask, options)
    style = cast(obscure.Style, options.style)  # its choices are the field's
    hidden = obscure.redact(
        np.asarray(image), grown, style=style, amount=options.amount, colour=options.rgb()
    )
    after = pil.fromarray(hidden)
    frame = (0, 0, *image.size)
    edit = make_edit(
        image,
        after,
        grown,
        crops=(Crop(frame, image.size),),
        feather=0,
        layers=(Layer(frame, after, grown),),
    )
    if second_look is None or not second_look.questions.prompts:
        return Redaction(edit)
    return Redaction(edit, look_again(image, after, grown, second_look), second_look.names)


def _grow(mask: BoolMask, options: RedactOptions) -> BoolMask:
    if options.dilate is not None:
        return masks.dilate(mask, options.dilate)
    return masks.dilate_parts(mask, lambda side: round(0.15 * side))
