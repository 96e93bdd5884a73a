"""limner: point at it, box it, show it or say it; limner outlines it, repaints it, and says how.

::

    from limner import Box, Session, VisualPrompt

    run = Session().segment("photo.jpg", [VisualPrompt(box=Box(530, 180, 780, 600))])
    run.grounding.detections  # an sv.Detections with masks

Importing limner imports none of the libraries it stands on: names are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from limner.version import __version__

if TYPE_CHECKING:
    from limner.errors import LimnerError
    from limner.io.raster import Layer, Raster
    from limner.ops.selection import Selection
    from limner.options import (
        DetectOptions,
        EditOptions,
        EverythingOptions,
        FrameOptions,
        InpaintOptions,
        LabelOptions,
        RedactOptions,
        SegmentOptions,
        TeachOptions,
    )
    from limner.pipeline import Edit, EmptyOutline, Extension, Grounding, Redaction, Verdict
    from limner.pipeline.background import Backdrop, Blur, Colour, Picture
    from limner.pipeline.crops import Crop
    from limner.prompts import (
        BoolMask,
        Box,
        Exemplar,
        Like,
        Mask,
        Point,
        PromptKind,
        RgbArray,
        Text,
        VisualPrompt,
    )
    from limner.prompts.prompt_list import AnyPrompts
    from limner.prompts.syntax import Length
    from limner.protocols import OnStep, Say
    from limner.registry.subjects import Subject
    from limner.runs.entries import Labels
    from limner.runs.record import Job, RunRecord
    from limner.runs.store import Store
    from limner.session import (
        Compared,
        Evaluated,
        Finding,
        FindOptions,
        Generated,
        Labelled,
        MaskCandidates,
        Run,
        Session,
        Swept,
    )
    from limner.session.cache.disk import StageCache
    from limner.session.choices import AnyStore, SessionChoices
    from limner.session.request import Request
    from limner.session.results import AnyImage, Source

_HOMES = {
    "limner.errors": ("LimnerError",),
    "limner.io.raster": (
        "Layer",
        "Raster",
    ),
    "limner.ops.selection": ("Selection",),
    "limner.options": (
        "DetectOptions",
        "EditOptions",
        "EverythingOptions",
        "FrameOptions",
        "InpaintOptions",
        "LabelOptions",
        "RedactOptions",
        "SegmentOptions",
        "TeachOptions",
    ),
    "limner.pipeline": (
        "Edit",
        "EmptyOutline",
        "Extension",
        "Grounding",
        "Redaction",
        "Verdict",
    ),
    "limner.pipeline.background": (
        "Backdrop",
        "Blur",
        "Colour",
        "Picture",
    ),
    "limner.pipeline.crops": ("Crop",),
    "limner.prompts.prompt_list": ("AnyPrompts",),
    "limner.prompts.syntax": ("Length",),
    "limner.prompts": (
        "BoolMask",
        "Box",
        "Exemplar",
        "Like",
        "Mask",
        "Point",
        "PromptKind",
        "RgbArray",
        "Text",
        "VisualPrompt",
    ),
    "limner.protocols": (
        "OnStep",
        "Say",
    ),
    "limner.runs.entries": ("Labels",),
    "limner.runs.record": (
        "Job",
        "RunRecord",
    ),
    "limner.runs.store": ("Store",),
    "limner.registry.subjects": ("Subject",),
    "limner.session": (
        "Compared",
        "Evaluated",
        "Finding",
        "FindOptions",
        "Generated",
        "Labelled",
        "MaskCandidates",
        "Run",
        "Session",
        "Swept",
    ),
    "limner.session.cache.disk": ("StageCache",),
    "limner.session.choices": (
        "AnyStore",
        "SessionChoices",
    ),
    "limner.session.request": ("Request",),
    "limner.session.results": (
        "AnyImage",
        "Source",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AnyImage",
    "AnyPrompts",
    "AnyStore",
    "Backdrop",
    "Blur",
    "BoolMask",
    "Box",
    "Colour",
    "Compared",
    "Crop",
    "DetectOptions",
    "Edit",
    "EditOptions",
    "EmptyOutline",
    "Evaluated",
    "EverythingOptions",
    "Exemplar",
    "Extension",
    "FindOptions",
    "Finding",
    "FrameOptions",
    "Generated",
    "Grounding",
    "InpaintOptions",
    "Job",
    "LabelOptions",
    "Labelled",
    "Labels",
    "Layer",
    "Length",
    "Like",
    "LimnerError",
    "Mask",
    "MaskCandidates",
    "OnStep",
    "Picture",
    "Point",
    "PromptKind",
    "Raster",
    "RedactOptions",
    "Redaction",
    "Request",
    "RgbArray",
    "Run",
    "RunRecord",
    "Say",
    "SegmentOptions",
    "Selection",
    "Session",
    "SessionChoices",
    "Source",
    "StageCache",
    "Store",
    "Subject",
    "Swept",
    "TeachOptions",
    "Text",
    "Verdict",
    "VisualPrompt",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
