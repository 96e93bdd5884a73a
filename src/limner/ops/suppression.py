"""Boxes that crowd each other out, and how many stay."""

from __future__ import annotations

import supervision as sv

from limner.ops import detections as dets
from limner.options import DetectOptions


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
