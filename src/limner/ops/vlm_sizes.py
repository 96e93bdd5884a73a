"""How large a picture is made for a vision-language model: its maker's own rule.

Whoever sends a picture of the size that the rule gives gets it back unscaled: the pixels of the
picture sent are the pixels of the answer.
"""

from __future__ import annotations

import math
from fractions import Fraction

from limner.errors import OptionError
from limner.ops.transforms import Placement, Size, check_integers, check_size, whole_image


def smart_resize(
    source_wh: Size,
    factor: int = 28,
    min_pixels: int = 56 * 56,
    max_pixels: int = 14 * 14 * 4 * 1280,
) -> Placement:
    """Both sides multiples of ``factor``, the area within bounds, the shape nearly kept: Qwen-VL.

    The rule is transformers' ``qwen2_vl.image_processing_qwen2_vl.smart_resize``; Qwen2-VL and
    Qwen2.5-VL use 28 pixels, Qwen3-VL 32. The checkpoint's own bounds must be passed: Qwen2.5-VL
    answers in pixels of this very image.
    """
    w, h = check_size("source_wh", source_wh)
    factor, min_pixels, max_pixels = check_integers(
        "smart_resize", (factor, min_pixels, max_pixels), 3
    )
    if factor < 1 or not 1 <= min_pixels <= max_pixels:
        raise OptionError(
            "smart_resize needs factor >= 1 and 1 <= min_pixels <= max_pixels, "
            f"got {factor}, {min_pixels} and {max_pixels}."
        )
    if max(w, h) / min(w, h) > 200:
        raise OptionError(
            f"An image of {w} x {h} is too long for this model: its longer side may be at most "
            "200 times the shorter; crop it or cut it into tiles."
        )
    new_w, new_h = round(w / factor) * factor, round(h / factor) * factor
    if new_w * new_h > max_pixels:
        beta = math.sqrt((h * w) / max_pixels)
        new_w = max(factor, math.floor(w / beta / factor) * factor)
        new_h = max(factor, math.floor(h / beta / factor) * factor)
    elif new_w * new_h < min_pixels:
        beta = math.sqrt(min_pixels / (h * w))
        new_w = math.ceil(w * beta / factor) * factor
        new_h = math.ceil(h * beta / factor) * factor
    return whole_image("smart_resize", (w, h), (new_w, new_h))


def fit_within(source_wh: Size, box_wh: Size) -> Placement:
    """Scaled down until it fits in ``box_wh``, the shape kept to the nearest pixel; never enlarged.

    For services that shrink what is larger than their limits: shrink first, and the pixels of the
    image sent are the pixels of the answer.
    """
    w, h = check_size("source_wh", source_wh)
    bw, bh = check_size("box_wh", box_wh)
    scale = min(Fraction(1), Fraction(bw, w), Fraction(bh, h))
    return whole_image("fit_within", (w, h), _scaled((w, h), scale))


def fit_pixels(source_wh: Size, longest: int, pixels: int) -> Placement:
    """Scaled down until the longer side is at most ``longest`` and the area at most ``pixels``;
    the shape kept, never enlarged.

    Rounded down, so that the budget holds exactly. For services with both limits: Claude shrinks
    what is over 1568 pixels long or over 1568 patches of 28 x 28 (Anthropic, "Coordinates and
    bounding boxes"), and no picture within 1568 and 1,150,000 pixels has more patches than that.
    """
    w, h = check_size("source_wh", source_wh)
    longest, pixels = check_size("(longest, pixels)", (longest, pixels))
    scale = min(1.0, longest / max(w, h), math.sqrt(pixels / (w * h)))
    if scale == 1.0:
        return whole_image("fit_pixels", (w, h), (w, h))
    target_wh = (max(1, math.floor(w * scale)), max(1, math.floor(h * scale)))
    return whole_image("fit_pixels", (w, h), target_wh)


def gpt4o_high_detail(source_wh: Size) -> Placement:
    """Within 2048 x 2048, then the shorter side down to 768; never enlarged (OpenAI, "Images and
    vision", ``detail: high`` of GPT-4o and 4.1).

    The vendor documents no rounding. It doesn't matter to one who sends an image of this size:
    the rule leaves it as it is.
    """
    w, h = check_size("source_wh", source_wh)
    scale = min(Fraction(1), Fraction(2048, max(w, h)), Fraction(768, min(w, h)))
    return whole_image("gpt4o_high_detail", (w, h), _scaled((w, h), scale))


def _scaled(wh: Size, scale: Fraction) -> Size:
    """Both sides times ``scale``, to the nearest pixel (halves up), never under 1."""
    w, h = (max(1, math.floor(side * scale + Fraction(1, 2))) for side in wh)
    return w, h
