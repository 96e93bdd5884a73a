"""An outline without a pixel: no find, named, and in a redaction covered by its box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import supervision as sv
from PIL import Image

from limner.errors import NothingFound
from limner.io import coco as export
from limner.ops import choose
from limner.ops import detections as dets
from limner.options import EverythingOptions, SegmentOptions
from limner.pipeline import (
    GroundModels,
    GroundOptions,
    cover_empty,
    ground,
    not_found,
    segment_everything,
    sentence_of,
    separate_prompts,
)
from limner.prompts import Box, Mask, Point, Text, VisualPrompt
from limner.protocols import ImageEmbedding, OnStep
from limner.session.cache.packing import pack_detections, unpack_detections

from .doubles import FillSegmenter, OutliningDetector, TableDetector

SIZE = (60, 40)
SMALL, LARGE = Box(30, 10, 34, 14), Box(5, 5, 25, 30)
PICTURE = Image.new("RGB", SIZE, "grey")


class Blind(FillSegmenter):
    """Outlines no box narrower than ten pixels and no point; sure of itself beyond 1."""

    def segment(
        self,
        embedding: ImageEmbedding,
        prompts: Sequence[VisualPrompt],
        options: SegmentOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        found = super().segment(embedding, prompts, options, on_step)
        small = [not p.box or p.box.x1 - p.box.x0 < 10 for p in prompts]
        outlines = [m & (not blind) for m, blind in zip(found.mask, small, strict=True)]
        return dets.with_masks(found, outlines, [1.02] * len(prompts))

    def segment_everything(
        self,
        embedding: ImageEmbedding,
        options: EverythingOptions,
        on_step: OnStep | None = None,
    ) -> sv.Detections:
        return self.segment(
            embedding, [VisualPrompt(box=b) for b in (LARGE, SMALL)], SegmentOptions()
        )


def shown(*boxes: Box) -> list[VisualPrompt]:
    return [VisualPrompt(box=box) for box in boxes]


def test_an_empty_outline_is_no_find_and_is_named() -> None:
    """mini-sam gave one for 23 of 600 small boxes: it was counted, exported and then crashed on."""
    found = ground(PICTURE, shown(LARGE, SMALL), GroundModels(Blind()))
    assert len(found) == 1
    assert found.detections.class_id is not None
    assert found.detections.class_id.tolist() == [0]
    assert [one.xyxy for one in found.empty] == [SMALL.xyxy]
    missing = not_found(found.prompts, found.detections, found.empty)
    assert missing == ["object 2, box 30,10,34,14 (its outline is empty)"]


def test_of_several_finds_of_a_phrase_the_empty_one_is_named_by_its_place() -> None:
    detector = TableDetector({"cup": [(LARGE.xyxy, 0.9), (SMALL.xyxy, 0.8)]})
    found = ground(PICTURE, [VisualPrompt(text=Text("cup"))], GroundModels(Blind(), detector))
    assert len(found) == 1
    assert [sentence_of(one, found.prompts) for one in found.empty] == ["“cup” at 30,10,34,14"]


def test_a_detector_that_outlines_nothing_has_found_nothing() -> None:
    """The half of a box one pixel wide is empty."""
    detector = OutliningDetector({"line": [((10, 10, 11, 20), 0.9)]})
    found = ground(PICTURE, [VisualPrompt(text=Text("line"))], GroundModels(Blind(), detector))
    assert len(found) == 0
    assert [one.xyxy for one in found.empty] == [(10, 10, 11, 20)]


def test_an_object_without_any_find_is_named_beside_one_that_has() -> None:
    detector = TableDetector({"cup": [(LARGE.xyxy, 0.9)]})
    prompts = [VisualPrompt(text=Text(phrase)) for phrase in ("cup", "plate")]
    found = ground(PICTURE, prompts, GroundModels(Blind(), detector))
    assert not_found(prompts, found.detections, found.empty) == ["object 2, “plate”"]
    alone = ground(PICTURE, prompts[1:], GroundModels(Blind(), detector))
    assert not_found(prompts[1:], alone.detections, alone.empty) == []


def test_everything_mode_counts_no_empty_outline() -> None:
    assert len(segment_everything(PICTURE, Blind())) == 1


def test_a_selection_never_takes_an_empty_outline() -> None:
    """``smallest`` would: its box has no area."""
    found = ground(
        PICTURE,
        shown(SMALL, LARGE),
        GroundModels(Blind()),
        GroundOptions(selections=[lambda rows: choose.smallest(rows)]),
    )
    assert found.mask.any()


def test_a_redaction_covers_the_box_of_an_empty_outline() -> None:
    """ "2 objects", exit 0 and 0 of 160 pixels hidden: what somebody named must not stay open."""
    found = cover_empty(ground(PICTURE, shown(LARGE, SMALL), GroundModels(Blind())))
    assert len(found) == 2
    assert found.mask[10:14, 30:34].all()
    assert all(one.covered for one in found.empty)
    assert not_found(found.prompts, found.detections, found.empty) == []


def test_a_redaction_of_a_point_without_an_outline_is_refused() -> None:
    prompts = [*shown(LARGE), VisualPrompt(points=(Point(50, 20),))]
    with pytest.raises(NothingFound, match="object 2, point 50,20 is empty"):
        cover_empty(ground(PICTURE, prompts, GroundModels(Blind())))


def test_a_redaction_hides_a_phrases_finds_and_the_box_beside_it() -> None:
    """Six faces stayed open where a box beside "face" meant "the face in this box"."""
    mask = Mask(np.eye(40, 60, dtype=bool))
    point = (Point(3, 4),)
    both = VisualPrompt(text=Text("face"), box=SMALL, mask=mask, points=point)
    assert separate_prompts([both, *shown(LARGE)]) == (
        VisualPrompt(text=Text("face"), points=point),
        VisualPrompt(box=SMALL),
        VisualPrompt(mask=mask),
        VisualPrompt(box=LARGE),
    )


def test_no_score_leaves_0_to_1() -> None:
    """A predicted IoU of 1.02 was a COCO score of 1.02."""
    found = ground(PICTURE, shown(LARGE), GroundModels(Blind()))
    assert found.detections.data["mask_score"].tolist() == [1.0]
    coco = export.coco([("a.png", SIZE, found.detections)])
    assert [row["score"] for row in coco["annotations"]] == [1.0]
    foreign = dets.copy(found.detections)
    foreign.confidence = np.array([1.5], dtype=np.float32)
    assert export.coco([("a.png", SIZE, foreign)])["annotations"][0]["score"] == 1.0
    again, _ = unpack_detections(pack_detections(found.detections, {}))
    assert again.confidence is not None
    assert again.confidence.tolist() == [1.0]


def test_a_box_without_an_outline_is_exported_as_a_box() -> None:
    """A detector that outlines may answer ``detect`` with an empty mask beside a good box."""
    rows = dets.make(np.array([SMALL.xyxy]), [0.5], [0], ["cup"])
    rows = dets.with_masks(rows, [np.zeros(SIZE[::-1], dtype=bool)], [0.5])
    (row,) = export.coco([("a.png", SIZE, rows)])["annotations"]
    assert (row["segmentation"], row["area"]) == ([], 16)
