"""Pictures that are masks: which of their pixels they mean.

A mask lies in the brightness (white = the thing) or in the transparency, and both conventions of
the latter are in use: a cut-out leaves the thing opaque, and a picture with an erased hole, as
ComfyUI and OpenAI's edits take it, makes it transparent. Where the contrast lies decides:

=============================================  =================================================
transparency                                   the mask
=============================================  =================================================
none, or nearly the same everywhere            what is at least half bright
varies, limner's own cut-out                   the opaque part
varies, at most a third of the frame is opaque the opaque part: a cut-out stands free
varies, at least two thirds of it are opaque   the transparent part: a hole has surroundings
else, or beside a drawing in black and white   refused: it can be meant both ways
that says otherwise
=============================================  =================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from limner.errors import LimnerError, PromptError
from limner.io.save import record_in
from limner.prompts import BoolMask

if TYPE_CHECKING:
    import numpy.typing as npt

    from limner.io.images import OpenedImage

HALF = 128
NEARLY_ALIKE = 64
"""Alphas that differ by less than this of 255 hold no mask."""
MOST_GREYS = 0.02
"""Part of a drawing in black and white that may be neither, along its edges."""


def mask_of(opened: OpenedImage) -> tuple[BoolMask, str | None]:
    """(H, W), and a sentence on what was taken where its transparency counted or might have.

    Raises:
        PromptError: nothing bright in it, or it can be meant in two ways.
    """
    if not opened.raster.has_alpha:
        return _bright(np.asarray(opened.image.convert("L")), opened), None
    rgba = opened.raster.rgba()
    grey, alpha = np.asarray(rgba.convert("RGB").convert("L")), np.asarray(rgba.getchannel("A"))
    low, high = int(alpha.min()), int(alpha.max())
    if high - low < NEARLY_ALIKE or not low < HALF <= high:
        if low == high == 255:
            return _bright(grey, opened), None
        return _bright(grey, opened), (
            f"Its transparency is nearly the same everywhere ({low} to {high} of 255): its bright "
            "part is the mask."
        )
    opaque: BoolMask = alpha >= HALF
    if _is_our_cutout(opened):
        return opaque, _OPAQUE
    mask, sentence = _by_transparency(opaque, opened)
    _check_drawing(grey, opaque, mask, opened)
    return mask, sentence


_OPAQUE = "Its opaque part is the mask, as that of a cut-out."


def _bright(grey: npt.NDArray[np.uint8], opened: OpenedImage) -> BoolMask:
    if grey.max() < HALF:
        raise PromptError(
            f"The brightest pixel of {opened.path} is {grey.max()} of 255; those of at least "
            f"{HALF} are the object: save the mask in black and white."
        )
    mask: BoolMask = grey >= HALF
    return mask


def _by_transparency(opaque: BoolMask, opened: OpenedImage) -> tuple[BoolMask, str]:
    frame = np.concatenate([opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]])
    share = float(frame.mean())
    if share <= 1 / 3:
        return opaque, _OPAQUE
    if share >= 2 / 3:
        return ~opaque, "Its transparent part is the mask, as a hole that was erased."
    raise PromptError(
        f"{opened.path} has opaque and transparent parts, and {share:.0%} of its frame is opaque: "
        "it can be a cut-out, whose opaque part is the mask, or a picture with an erased hole. "
        "Save the mask in black and white, without transparency."
    )


def _check_drawing(
    grey: npt.NDArray[np.uint8], opaque: BoolMask, mask: BoolMask, opened: OpenedImage
) -> None:
    """Refuse black and white in the opaque part that says otherwise than the transparency."""
    brightness = grey[opaque]
    greys = np.count_nonzero((brightness > 32) & (brightness < 223)) / brightness.size
    white = np.count_nonzero(brightness >= HALF) / brightness.size
    if greys <= MOST_GREYS and 0.01 < white < 0.99:
        raise PromptError(
            f"{opened.path} is drawn in black and white and has transparent parts as well, which "
            f"mean another mask ({np.count_nonzero(mask):,} pixels): save it without transparency."
        )


def _is_our_cutout(opened: OpenedImage) -> bool:
    if opened.path is None:
        return False
    try:
        record = record_in(opened.data, str(opened.path))
    except LimnerError:
        return False
    return bool(record and record.get("verb") == "cutout")
