"""What a person says of a picture: points, boxes, masks, words, examples."""

from limner.prompts.values import (
    BoolMask,
    Box,
    Exemplar,
    Like,
    Mask,
    Point,
    PromptKind,
    RgbArray,
    Text,
)
from limner.prompts.visual_prompt import VisualPrompt

__all__ = [
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
]
