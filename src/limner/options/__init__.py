"""Settings: flat frozen dataclasses whose ranges are checked when they are made."""

from limner.options.base import changed, check_honoured, field_type, from_dict, setting, to_dict
from limner.options.endpoint import EndpointOptions
from limner.options.framing import FrameOptions
from limner.options.inference import (
    BACKGROUND,
    CUTOUT,
    EVERY_DETECTOR,
    FEATHER,
    MOST_PICTURES,
    SEEDS,
    CanvasOptions,
    DetectOptions,
    EditOptions,
    EverythingOptions,
    InpaintOptions,
    RedactOptions,
    SegmentOptions,
)
from limner.options.labelling import LabelOptions
from limner.options.training import TeachOptions

__all__ = [
    "BACKGROUND",
    "CUTOUT",
    "EVERY_DETECTOR",
    "FEATHER",
    "MOST_PICTURES",
    "SEEDS",
    "CanvasOptions",
    "DetectOptions",
    "EditOptions",
    "EndpointOptions",
    "EverythingOptions",
    "FrameOptions",
    "InpaintOptions",
    "LabelOptions",
    "RedactOptions",
    "SegmentOptions",
    "TeachOptions",
    "changed",
    "check_honoured",
    "field_type",
    "from_dict",
    "setting",
    "to_dict",
]
