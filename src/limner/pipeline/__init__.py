"""The verbs as functions: detect -> segment -> edit. Models come in as arguments."""

from limner.pipeline.consensus import Consensus
from limner.pipeline.editing import Edit, composite_background, cut_out, repaint
from limner.pipeline.extending import Extension, extended
from limner.pipeline.grounding import (
    SAYS_WHAT,
    Grounding,
    Stopwatch,
    detect,
    ground,
    needs_detector,
    segment_everything,
)
from limner.pipeline.redacting import BoxRegions, Redaction, redact

__all__ = [
    "SAYS_WHAT",
    "BoxRegions",
    "Consensus",
    "Edit",
    "Extension",
    "Grounding",
    "Redaction",
    "Stopwatch",
    "composite_background",
    "cut_out",
    "detect",
    "extended",
    "ground",
    "needs_detector",
    "redact",
    "repaint",
    "segment_everything",
]
