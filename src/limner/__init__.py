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
    from limner.options import (
        DetectOptions,
        EditOptions,
        EverythingOptions,
        InpaintOptions,
        RedactOptions,
        SegmentOptions,
        TeachOptions,
    )
    from limner.prompts import Box, Exemplar, Like, Mask, Point, PromptKind, Text, VisualPrompt
    from limner.session import Finding, FindOptions, Run, Session

_HOMES = {
    "limner.errors": ("LimnerError",),
    "limner.options": (
        "DetectOptions",
        "EditOptions",
        "EverythingOptions",
        "InpaintOptions",
        "RedactOptions",
        "SegmentOptions",
        "TeachOptions",
    ),
    "limner.prompts": (
        "Box",
        "Exemplar",
        "Like",
        "Mask",
        "Point",
        "PromptKind",
        "Text",
        "VisualPrompt",
    ),
    "limner.session": ("Finding", "FindOptions", "Run", "Session"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Box",
    "DetectOptions",
    "EditOptions",
    "EverythingOptions",
    "Exemplar",
    "FindOptions",
    "Finding",
    "InpaintOptions",
    "Like",
    "LimnerError",
    "Mask",
    "Point",
    "PromptKind",
    "RedactOptions",
    "Run",
    "SegmentOptions",
    "Session",
    "TeachOptions",
    "Text",
    "VisualPrompt",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
