"""Everything mode's thresholds: whose they are, and what is said where they drop all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from limner.models.sam import automatic
from limner.models.sam.sam import load
from limner.options import EverythingOptions
from limner.protocols import DROPPED, ModelRef
from limner.registry.weights import Runtime, Weights
from tests.models.tiny_sam import save_tiny_sam

LENIENT = EverythingOptions(
    points_per_side=4,
    pred_iou_thresh=0.0,
    stability_score_thresh=0.7,
    stability_score_offset=0.05,
    box_nms_thresh=1.0,
)


def test_thresholds_that_drop_all_say_what_would_keep_some(tmp_path: Path) -> None:
    """It answered with nothing, and nobody knew whether there was nothing or too high a bar."""
    save_tiny_sam(tmp_path)
    sam = load(Weights(ModelRef("sam-tiny", "sam", "Apache-2.0"), tmp_path), Runtime())
    coarse = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    embedding = sam.embed(Image.fromarray(coarse).resize((160, 96)))
    strict = replace(LENIENT, pred_iou_thresh=1.0, stability_score_thresh=1.0)
    nothing = sam.segment_everything(embedding, strict)
    dropped = nothing.metadata[DROPPED]
    assert len(nothing) == 0
    assert dropped["candidates"] == 3 * 16
    assert dropped["thresholds"] == {"pred_iou_thresh": 1.0, "stability_score_thresh": 1.0}
    assert len(sam.segment_everything(embedding, replace(strict, **dropped["keep"]))) > 0
    assert DROPPED not in sam.segment_everything(embedding, LENIENT).metadata


def test_a_models_own_settings_stand_for_those_not_given() -> None:
    """A mini reaches none of the thresholds that SAM has."""
    own = {"points_per_side": 3, "pred_iou_thresh": 0.5, "box_nms_thresh": 0.2}
    filters = automatic.Filters.of(EverythingOptions(), own)
    assert (filters.points_per_side, filters.pred_iou_thresh) == (3, 0.5)
    assert (filters.box_nms_thresh, filters.stability_score_thresh) == (0.2, 0.95)
    given = automatic.Filters.of(EverythingOptions(pred_iou_thresh=0.0), own)
    assert (given.pred_iou_thresh, given.points_per_side) == (0.0, 3)
