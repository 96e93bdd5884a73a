"""Repaint, remove, cut out: edits that can be trusted.

Only the crop around the mask reaches the model, at the model's own grid and size; what comes back
is feathered *inside* the mask and pasted. Pixels outside the mask are the original's bytes because
nothing else is ever written there, and every ``Edit`` carries the count that proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image as pil

from limner import export, images, masks
from limner.errors import PromptError
from limner.options import EditOptions, InpaintOptions
from limner.pipeline.grounding import Stopwatch
from limner.prompts import BoolMask, Text
from limner.protocols import Inpainter, OnStep

if TYPE_CHECKING:
    from PIL.Image import Image

Alpha = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Edit:
    """A picture, and the proof of what was changed in it."""

    image: Image
    mask: BoolMask
    """(H, W): what was allowed to change: the object's mask, grown."""
    crop_xyxy: tuple[int, int, int, int]
    """The part of the original that the model saw."""
    working_wh: tuple[int, int]
    """The size at which it saw it."""
    outside_changed_pixels: int
    """Pixels outside ``mask`` that differ from the original; 0 by construction."""
    seam: float
    """How visible the border is: 0 = as smooth as its surroundings, 1 = black against white."""
    mask_coverage: float
    """Part of the image that was allowed to change, 0..1."""
    seed: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The numbers, for reports and records."""
        return {
            "outside_changed_pixels": self.outside_changed_pixels,
            "seam": round(self.seam, 4),
            "mask_coverage": round(self.mask_coverage, 6),
            "crop_xyxy": list(self.crop_xyxy),
            "working_wh": list(self.working_wh),
            "seed": self.seed,
        }


def repaint(
    image: Image,
    mask: BoolMask,
    inpainter: Inpainter,
    paint: Text | None = None,
    options: InpaintOptions | None = None,
    edit: EditOptions | None = None,
    on_step: OnStep | None = None,
) -> list[Edit]:
    """Fill ``mask`` with what ``paint`` says, or with what surrounds it (``paint=None``).

    Args:
        mask: (H, W) bool at the image's size, True = repaint.

    Returns:
        One edit a picture asked for (``num_images_per_prompt``).

    Raises:
        PromptError: the mask has another size, or nothing in it.
    """
    options, edit = options or InpaintOptions(), edit or EditOptions()
    check_mask(mask, image.size)
    watch = Stopwatch()
    grown = masks.dilate(mask, dilation(mask, edit))
    alpha = masks.feather(grown, edit.feather)
    crop = images.crop_around(
        grown, context=edit.context, grid=inpainter.grid, minimum=inpainter.native_size
    )
    working_wh = images.working_size(
        (crop[2] - crop[0], crop[3] - crop[1]), inpainter.grid, inpainter.native_size
    )
    seen = image.crop(crop).resize(working_wh, pil.Resampling.LANCZOS)
    hole = np.asarray(
        pil.fromarray(grown).crop(crop).resize(working_wh, pil.Resampling.NEAREST), dtype=bool
    )
    with watch.stage("inpaint"):
        painted = inpainter.inpaint(seen, hole, paint, options, on_step)
    return [
        make_edit(
            image,
            images.composite(image, picture, alpha, crop),
            grown,
            crop_xyxy=crop,
            working_wh=working_wh,
            feather=edit.feather,
            seed=None if options.seed is None else options.seed + k,
            seconds=watch.seconds,
        )
        for k, picture in enumerate(painted)
    ]


def composite_background(
    image: Image, subject: BoolMask, background: Image, edit: EditOptions | None = None
) -> Edit:
    """The subject over another background: every pixel of ``subject`` stays the original's.

    Args:
        background: of the image's size.
    """
    edit = edit or EditOptions()
    check_mask(subject, image.size)
    around = ~subject
    if not around.any():
        raise PromptError("The subject covers the whole image: there is no background to change.")
    alpha = masks.feather(around, edit.feather)
    whole = (0, 0, *image.size)
    return make_edit(
        image,
        images.composite(image, background, alpha, whole),
        around,
        crop_xyxy=whole,
        working_wh=image.size,
        feather=edit.feather,
    )


def cut_out(image: Image, mask: BoolMask, edit: EditOptions | None = None) -> Image:
    """RGBA: the object's own pixels, transparent elsewhere; its border is soft on the inside."""
    edit = edit or EditOptions(feather=1)
    check_mask(mask, image.size)
    grown = masks.dilate(mask, edit.dilate or 0)
    return export.cutout(image, masks.feather(grown, edit.feather))


def make_edit(
    before: Image,
    after: Image,
    mask: BoolMask,
    *,
    crop_xyxy: tuple[int, int, int, int],
    working_wh: tuple[int, int],
    feather: int,
    seed: int | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Edit:
    """An ``Edit`` with its proof measured on the pictures themselves."""
    return Edit(
        image=after,
        mask=mask,
        crop_xyxy=crop_xyxy,
        working_wh=working_wh,
        outside_changed_pixels=changed_pixels(before, after, ~mask),
        seam=seam(after, mask, feather + 1),
        mask_coverage=float(mask.mean()),
        seed=seed,
        seconds=dict(seconds or {}),
    )


def check_mask(mask: BoolMask, size_wh: tuple[int, int]) -> None:
    """A mask of the image's size with something in it, or ``PromptError``."""
    if mask.shape != size_wh[::-1]:
        raise PromptError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]} pixels and the image "
            f"{size_wh[0]}x{size_wh[1]}: a mask covers the whole image, pixel for pixel."
        )
    if not mask.any():
        raise PromptError("The mask is empty: no pixel of it is marked as the object.")


def dilation(mask: BoolMask, edit: EditOptions) -> int:
    """How far an edit's mask grows, in pixels: past the object's soft edge and the feather."""
    if edit.dilate is not None:
        return edit.dilate
    x0, y0, x1, y1 = masks.box_of(mask) or (0, 0, 0, 0)
    return edit.feather + round(0.015 * max(x1 - x0, y1 - y0)) + 1


def changed_pixels(before: Image, after: Image, where: BoolMask) -> int:
    """Pixels of ``where`` in which any channel differs."""
    differs = (np.asarray(before) != np.asarray(after)).any(axis=2)
    return int((differs & where).sum())


def seam(image: Image, mask: BoolMask, step: int) -> float:
    """How visible a mask's border is in a picture, 0 (not at all) to 1.

    The mean colour difference of pixels ``step`` apart that straddle the border, less that of pairs
    as far apart which both lie outside near it: what remains is the border's own contrast.
    """
    pixels = np.asarray(image, dtype=np.float32) / 255
    near = masks.dilate(mask, 4 * step)
    across: list[npt.NDArray[np.float32]] = []
    beside: list[npt.NDArray[np.float32]] = []
    for axis in (0, 1):
        size = pixels.shape[axis]
        if size <= step:
            continue
        head = [slice(None)] * 2
        tail = [slice(None)] * 2
        head[axis], tail[axis] = slice(0, size - step), slice(step, size)
        first, second = tuple(head), tuple(tail)
        contrast = np.abs(pixels[first] - pixels[second]).mean(axis=2)
        across.append(contrast[mask[first] != mask[second]])
        outside = ~mask[first] & ~mask[second] & near[first] & near[second]
        beside.append(contrast[outside])
    if not across:
        return 0.0
    straddling, surroundings = np.concatenate(across), np.concatenate(beside)
    if not straddling.size:
        return 0.0
    expected = float(surroundings.mean()) if surroundings.size else 0.0
    return max(0.0, float(straddling.mean()) - expected)
