"""The verbs as functions: detect -> segment -> edit. Models come in as arguments."""

from limner.pipeline.by_phrase import ByPhrase
from limner.pipeline.detect import SAYS_WHAT, detect
from limner.pipeline.edit import (
    Edit,
    composite_background,
    cut_out,
    repaint,
    repaint_weighted,
    weight_behind,
)
from limner.pipeline.empty_outlines import EmptyOutline, not_found, sentence_of
from limner.pipeline.ensemble import DetectorEnsemble
from limner.pipeline.extend import Extension, extended
from limner.pipeline.ground import (
    Grounding,
    GroundModels,
    GroundOptions,
    ground,
    needs_detector,
    segment_everything,
)
from limner.pipeline.look import InferenceMode
from limner.pipeline.main_thing import cut_out_main_thing
from limner.pipeline.redact import BoxRegions, Redaction, cover_empty, redact, separate_prompts
from limner.pipeline.rotate import detect_turned
from limner.pipeline.stopwatch import Stopwatch
from limner.pipeline.verify_redaction import Questions, SecondLook, Verdict, questions_about

__all__ = [
    "SAYS_WHAT",
    "BoxRegions",
    "ByPhrase",
    "DetectorEnsemble",
    "Edit",
    "EmptyOutline",
    "Extension",
    "GroundModels",
    "GroundOptions",
    "Grounding",
    "InferenceMode",
    "Questions",
    "Redaction",
    "SecondLook",
    "Stopwatch",
    "Verdict",
    "composite_background",
    "cover_empty",
    "cut_out",
    "cut_out_main_thing",
    "detect",
    "detect_turned",
    "extended",
    "ground",
    "needs_detector",
    "not_found",
    "questions_about",
    "redact",
    "repaint",
    "repaint_weighted",
    "segment_everything",
    "sentence_of",
    "separate_prompts",
    "weight_behind",
]
