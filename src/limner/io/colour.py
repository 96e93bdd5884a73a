"""Colours between a file's own space and sRGB, both ways.

A profile that moves no colour by more than 2 of 255 is sRGB under one of its many names: such a
picture keeps its numbers.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from limner.prompts import RgbArray

SPACES = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK", "LAB": "Lab "}
"""Pillow's modes of one colour each, and what ICC calls their spaces."""


def to_srgb(
    image: Image.Image, profile: bytes | None, notes: list[str]
) -> tuple[Image.Image, bytes | None, bool]:
    """The picture as sRGB; the profile, None where it is broken; whether the numbers mean sRGB.

    Args:
        image: of a mode in ``SPACES``.
        notes: gets a sentence where the profile can't be used.
    """
    if image.mode != "LAB" and not profile:
        return image.convert("RGB"), None, image.mode in _LATTICES
    try:
        forward = _transform(profile, image.mode)
    except (OSError, ValueError, ImageCms.PyCMSError):
        notes.append("Its colour profile is broken and was ignored: colours are read as sRGB.")
        return image.convert("RGB"), None, image.mode in _LATTICES
    if image.mode in _LATTICES and _changes_nothing(forward, _LATTICES[image.mode]):
        return image.convert("RGB"), profile, True
    colours = forward.apply(image)
    colours.info = {}
    return colours, profile, False


def can_return(profile: bytes | None, mode: str) -> bool:
    """Whether sRGB can be turned into this space: some profiles only read."""
    if mode != "LAB" and not profile:
        return True
    try:
        _transform(profile, mode, back=True)
    except (OSError, ValueError, ImageCms.PyCMSError):
        return False
    return True


def from_srgb(rgb: Image.Image, mode: str, profile: bytes | None, is_srgb: bool) -> Image.Image:
    """An sRGB picture in another space: what ``to_srgb`` said of the original goes in."""
    if is_srgb or (mode != "LAB" and not profile):
        return rgb.convert(mode)
    return _transform(profile, mode, back=True).apply(rgb)


def _transform(
    profile: bytes | None, mode: str, *, back: bool = False
) -> ImageCms.ImageCmsTransform:
    own: Any = ImageCms.createProfile("LAB")
    if mode != "LAB":
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        if own.profile.xcolor_space != SPACES[mode]:
            raise ValueError(f"made for {own.profile.xcolor_space.strip()}")
    srgb = ImageCms.createProfile("sRGB")
    # A profile may read well and lack the tables that a transform is made of.
    if back:
        return ImageCms.buildTransform(srgb, own, "RGB", mode)
    return ImageCms.buildTransform(own, srgb, mode, "RGB")


_STEPS = np.arange(0, 256, 15, dtype=np.uint8)
_LATTICES = {
    "L": _STEPS.reshape(1, -1),
    "RGB": np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), axis=-1).reshape(1, -1, 3),
}
"""By mode: colours spread over all that there are, as an image of one row."""


def _changes_nothing(transform: ImageCms.ImageCmsTransform, colours: RgbArray) -> bool:
    """Whether it moves no colour by more than 2 of 255."""
    before = Image.fromarray(colours)
    after = np.asarray(transform.apply(before), np.int16)
    return bool(np.abs(after - np.asarray(before.convert("RGB"), np.int16)).max() <= 2)
