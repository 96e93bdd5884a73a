"""What a vision-language model is asked, and the JSON schema that its answer should follow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from limner.ops.box_formats import BoxConvention
from limner.registry.vlm_formats import VlmFormat

_NUMBERS: Mapping[str, str] = {
    "xyxy": "x_min, y_min, x_max, y_max",
    "yxyx": "y_min, x_min, y_max, x_max",
    "xywh": "x_min, y_min, width, height",
    "cxcywh": "x_centre, y_centre, width, height",
}


def question(phrases: Sequence[str], manner: VlmFormat, size_wh: tuple[int, int]) -> str:
    """The words beside a picture of ``size_wh`` pixels."""
    names = _NUMBERS[manner.convention.order]
    form = f'{{"boxes": [{{"{manner.key}": [{names}], "label": "the phrase"}}]}}'
    list_of_phrases = "\n".join(f"- {json.dumps(phrase, ensure_ascii=False)}" for phrase in phrases)
    return (
        "Find in this image everything that one of these phrases describes:\n"
        f"{list_of_phrases}\n"
        "A phrase holds as a whole: what it says of colour, number, place or what a thing is not "
        "must be true of everything you box. One tight box for each thing; no box for what isn't "
        "there.\n"
        f"Answer with JSON and nothing else, in the form {form}. "
        f"{_scale(manner.convention, size_wh)}"
        ' "label" repeats the phrase exactly. If nothing fits, answer {"boxes": []}.'
    )


def _scale(convention: BoxConvention, size_wh: tuple[int, int]) -> str:
    """What the four numbers mean."""
    w, h = size_wh
    if convention.full is None:
        return f"The numbers are pixels of this image, which is {w} wide and {h} high."
    if convention.full == 1:
        return (
            "The numbers are parts of the image's width and height, from 0 to 1, with four "
            "decimals."
        )
    return (
        f"The numbers are whole, from 0 to {convention.highest}: the image's left or top edge is "
        f"0, its right or bottom edge {convention.highest}."
    )


def schema(phrases: Sequence[str], manner: VlmFormat) -> dict[str, Any]:
    """JSON schema of the answer, within what strict modes allow: no key is optional."""
    number = {"type": "integer" if manner.convention.quantised else "number"}
    box = {
        "type": "object",
        "properties": {
            manner.key: {"type": "array", "items": number, "minItems": 4, "maxItems": 4},
            "label": {"type": "string", "enum": list(phrases)},
        },
        "required": [manner.key, "label"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"boxes": {"type": "array", "items": box}},
        "required": ["boxes"],
        "additionalProperties": False,
    }
