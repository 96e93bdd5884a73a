"""How vision-language models write boxes and what size of picture they see, by their names.

A vendor that resizes a picture answers in pixels of what it made of it, so a picture is sent at a
size that the vendor's rule leaves alone: then the pixels of what was sent are those of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from limner.errors import OptionError
from limner.ops import transforms, vlm_sizes
from limner.ops.box_formats import CONVENTIONS, BoxConvention

Rule: TypeAlias = Callable[[transforms.Size], transforms.Placement]

TOKENS = (256, 1280)
"""Visual tokens of a picture for Qwen-VL: the range that its authors recommend. Servers accept from
4 (hosted) or 8 (llama.cpp) up to 1280 (hosted) or 16384 (vLLM, transformers)."""


def qwen(size_wh: transforms.Size, factor: int) -> transforms.Placement:
    """The size Qwen-VL sees, a token for each ``factor`` x ``factor`` pixels."""
    least, most = (tokens * factor**2 for tokens in TOKENS)
    return vlm_sizes.smart_resize(size_wh, factor, least, most)


FITS: Mapping[str, Rule] = MappingProxyType(
    {
        # 2048, then 768: also within the 1536 patches of 32 pixels of OpenAI's newer models.
        "openai": vlm_sizes.gpt4o_high_detail,
        "claude": lambda size_wh: vlm_sizes.fit_pixels(size_wh, 1568, 1_150_000),
        "qwen28": lambda size_wh: qwen(size_wh, 28),
        "qwen32": lambda size_wh: qwen(size_wh, 32),
        # For models that answer in parts of the picture: their own resize moves no box.
        "within2048": lambda size_wh: vlm_sizes.fit_within(size_wh, (2048, 2048)),
        "asis": lambda size_wh: transforms.resize(size_wh, size_wh),
    }
)
"""Name -> from an image's size to the picture that is sent."""


@dataclass(frozen=True)
class VlmFormat:
    """How one model writes boxes and what it is shown."""

    convention: BoxConvention
    fit: str
    """A name in ``FITS``."""
    key: str = "bbox_2d"
    """What it calls a box in JSON."""

    def frame(self, size_wh: transforms.Size, max_side: int | None = None) -> transforms.Placement:
        """From the image to the picture that is sent; one resize, whatever decides its size."""
        target_wh = size_wh
        if max_side is not None:
            target_wh = vlm_sizes.fit_within(size_wh, (max_side, max_side)).target_wh
        return transforms.resize(size_wh, FITS[self.fit](target_wh).target_wh)


@dataclass(frozen=True)
class Row:
    """A line of the table: what models whose lower-case name holds ``pattern`` do."""

    pattern: str
    models: str
    convention: str
    fit: str
    key: str = "bbox_2d"


# fmt: off
TABLE = (
    # Qwen's own cookbooks: 2.5 absolute in the resized picture, 2 and 3 in thousandths.
    Row(r"qwen-?2\.5-?vl",            "Qwen2.5-VL",      "xyxy",      "qwen28"),
    Row(r"qwen-?2-?vl",               "Qwen2-VL",        "xyxy_1000", "qwen28"),
    Row(r"qwen-?3-?vl",               "Qwen3-VL",        "xyxy_1000", "qwen32"),
    # Roboflow's benchmark of VLMs (v5), by version.
    Row(r"gpt-4o|gpt-4\.1",           "GPT-4o, 4.1",     "xyxy",      "openai"),
    Row(r"gpt-5(\.[01])?(?![\d.])",   "GPT-5, 5.1",      "xyxy_norm", "openai"),
    Row(r"gpt-5\.([2-9]|\d\d)",       "GPT-5.2 and on",  "xyxy",      "openai"),
    # Anthropic, "Coordinates and bounding boxes": pixels after its own resize; not thousandths.
    Row(r"claude",                    "Claude",          "xyxy",      "claude"),
    Row(r"gemini",                    "Gemini",          "yxyx_1000", "within2048", "box_2d"),
    Row(r"internvl",                  "InternVL",        "xyxy_1000", "within2048"),
)
# fmt: on


def vlm_format_of(model: str, convention: str | None = None, fit: str | None = None) -> VlmFormat:
    """How a model writes boxes; what the caller says goes before what its name says.

    Raises:
        OptionError: a name that the table doesn't know and no convention, or no such convention.
    """
    row = next((row for row in TABLE if re.search(row.pattern, model.lower())), None)
    for name, value, known in (("convention", convention, CONVENTIONS), ("fit", fit, FITS)):
        if value is not None and value not in known:
            raise OptionError(f"{name} is one of {', '.join(known)}; got {value!r}.")
    if row is None and convention is None:
        raise OptionError(
            f"How {model!r} writes boxes isn't known: set convention to one of "
            f"{', '.join(CONVENTIONS)} in endpoints.toml. By their names limner knows "
            f"{'; '.join(row.models for row in TABLE)}."
        )
    chosen = convention or (row.convention if row else "")
    key = row.key if row and chosen == row.convention else "bbox_2d"
    return VlmFormat(CONVENTIONS[chosen], fit or (row.fit if row else "within2048"), key)
