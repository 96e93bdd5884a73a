"""The verbs as functions: detect -> segment -> edit. Models come in as arguments."""

from limner.pipeline.by_phrase import ByPhrase
from limner.pipeline.consensus import Consensus
from limner.pipeline.editing import Edit, composite_background, cut_out, repaint, weight_behind
from limner.pipeline.empty_outlines import EmptyOutline, not_found, sentence_of
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
from limner.pipeline.looking import Thorough
from limner.pipeline.redacting import BoxRegions, Redaction, cover_empty, each_alone, redact
from limner.pipeline.second_look import Questions, Verdict, questions_about
from limner.pipeline.turning import detect_turned

__all__ = [
    "SAYS_WHAT",
    "BoxRegions",
    "ByPhrase",
    "Consensus",
    "Edit",
    "EmptyOutline",
    "Extension",
    "Grounding",
    "Questions",
    "Redaction",
    "Stopwatch",
    "Thorough",
    "Verdict",
    "composite_background",
    "cover_empty",
    "cut_out",
    "detect",
    "detect_turned",
    "each_alone",
    "extended",
    "ground",
    "needs_detector",
    "not_found",
    "questions_about",
    "redact",
    "repaint",
    "segment_everything",
    "sentence_of",
    "weight_behind",
]
