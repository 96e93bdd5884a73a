"""Boxes that crowd each other out, and how many stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import supervision as sv

from limner.ops import detections as dets
from limner.options import DetectOptions
from limner.prompts import VisualPrompt


def limited(rows: sv.Detections, options: DetectOptions) -> sv.Detections:
    """Of boxes that were found without a limit, best first, as many as ``options`` allow; where
    these say so, whatever their classes, the surest of those that overlap."""
    if options.class_agnostic_nms and len(rows):
        rows = dets.by_confidence(rows.with_nms(options.most_overlap(), class_agnostic=True))
    return dets.take(rows, slice(options.max_detections))


def distinct(rows: sv.Detections, overlap: float, options: DetectOptions) -> sv.Detections:
    """Of boxes that overlap the surest, best first, as many as ``options`` allow.

    Args:
        overlap: IoU above which the lesser of two boxes of one class goes, 0..1; of any two where
            ``options`` say so.
    """
    if len(rows):
        rows = rows.with_nms(overlap, options.class_agnostic_nms)
    return dets.take(dets.by_confidence(rows), slice(options.max_detections))


def once_a_label(
    rows: sv.Detections, prompts: Sequence[VisualPrompt], overlap: float
) -> sv.Detections:
    """Of what several phrases of one label find, the surest of those that overlap: "cup" and "mug"
    are one mug.

    Args:
        rows: best first, of whose ``prompt_index`` each answers.
        overlap: IoU above which two are one thing, 0..1.
    """
    labels = [prompt.label for prompt in prompts if prompt.label]
    if not len(rows) or rows.class_id is None or len(set(labels)) == len(labels):
        return rows
    first = [
        next(n for n, p in enumerate(prompts) if n == k or (p.label and p.label == prompt.label))
        for k, prompt in enumerate(prompts)
    ]
    joined = dets.copy(rows)
    joined.class_id = np.array([first[index] for index in rows.class_id], dtype=np.int64)
    joined = dets.by_confidence(joined.with_nms(overlap))
    joined.class_id = np.array(joined.data["prompt_index"], dtype=np.int64)
    return joined
