"""What an edit did outside its mask, and how visible the mask's border is afterwards.

Before a measure looks, everything inside the mask is put back as it was. So a measure that looks
at neighbourhoods (SSIM's window, LPIPS' layers) sees nothing of what was painted, and every number
here is perfect exactly when no pixel outside changed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limner.errors import ImageError, PromptError
from limner.pipeline.edit import changed_pixels
from limner.pipeline.edit import seam as seam_of
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image

BEST_PSNR = 100.0
"""dB of two equal pictures, whose PSNR is infinite: so that a mean over pictures can be taken."""
SSIM_WINDOW = 11
"""Pixels: the side of Wang et al.'s Gaussian window."""


@dataclass(frozen=True)
class EditScores:
    """Of one edit. None: not asked for."""

    outside_changed_pixels: int
    """Pixels outside the mask in which any channel differs; 0 where limner made the edit."""
    psnr_outside: float
    """dB, at most ``BEST_PSNR``."""
    ssim_outside: float
    """-1 to 1; 1 where nothing changed."""
    seam: float
    """How visible the mask's border is in the result, 0 to 1 (``pipeline.edit.seam``)."""
    seam_added: float
    """The same less what the picture before had there, not below 0: 0 for an untouched one."""
    lpips_outside: float | None = None
    """0 where nothing changed."""
    clip_t: float | None = None
    """Cosine of the painted part with the words it was painted from."""

    def to_dict(self) -> dict[str, float | None]:
        return dataclasses.asdict(self)


def edit_scores(before: Image, after: Image, mask: BoolMask, step: int = 2) -> EditScores:
    """What can be said of one edit without a model.

    Args:
        mask: (H, W) bool, True where painting was allowed.
        step: how many pixels apart the seam is looked at; one more than the feather's width.

    Raises:
        ImageError: pictures of two sizes.
        PromptError: a mask of another size.
    """
    check_triple(before, after, mask)
    return EditScores(
        outside_changed_pixels=changed_pixels(before, after, ~mask),
        psnr_outside=psnr_outside(before, after, mask),
        ssim_outside=ssim_outside(before, after, mask),
        seam=seam_of(after, mask, step),
        seam_added=seam_added(before, after, mask, step),
    )


def psnr_outside(before: Image, after: Image, mask: BoolMask) -> float:
    """10 log10(255² / MSE) over the pixels and channels outside the mask, in dB."""
    check_triple(before, after, mask)
    first, second = (np.asarray(image, np.float64)[~mask] for image in (before, after))
    error = float(((first - second) ** 2).mean()) if first.size else 0.0
    return min(10 * math.log10(255**2 / error), BEST_PSNR) if error else BEST_PSNR


def ssim_outside(before: Image, after: Image, mask: BoolMask) -> float:
    """Mean SSIM index over the pixels outside the mask; 1 when there are none.

    Wang et al. 2004 with their constants, as scikit-image gives it: a Gaussian window of sigma
    1.5, K1 = .01, K2 = .03, on each of R, G and B.

    Raises:
        ImageError: a picture that is smaller than the window.
    """
    from skimage import metrics

    check_triple(before, after, mask)
    if min(before.size) < SSIM_WINDOW:
        raise ImageError(
            f"SSIM looks through a window of {SSIM_WINDOW}x{SSIM_WINDOW} pixels, and the picture "
            f"is {before.width}x{before.height}."
        )
    if mask.all():
        return 1.0
    similarity: Any = metrics.structural_similarity  # it has no types
    _, indices = similarity(
        np.asarray(before),
        np.asarray(inside_restored(before, after, mask)),
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    return float(indices[~mask].mean())


def seam_added(before: Image, after: Image, mask: BoolMask, step: int = 2) -> float:
    """How much more visible the border became: 0, exactly, for an untouched picture.

    A mask that hugs a thing has contrast along its border in the picture before as well; an edit
    is answerable for what it adds.
    """
    return max(0.0, seam_of(after, mask, step) - seam_of(before, mask, step))


def inside_restored(before: Image, after: Image, mask: BoolMask) -> Image:
    """The result with everything inside the mask as it was before."""
    from PIL import Image as pillow

    check_triple(before, after, mask)
    pixels = np.where(mask[..., None], np.asarray(before), np.asarray(after))
    return pillow.fromarray(pixels)


def check_triple(before: Image, after: Image, mask: BoolMask) -> None:
    """Refuse a result or a mask that is not of the picture's size."""
    if before.size != after.size:
        raise ImageError(
            f"The picture before is {before.width}x{before.height} pixels and the one after "
            f"{after.width}x{after.height}: an edit is scored pixel for pixel."
        )
    if mask.shape != (before.height, before.width):
        raise PromptError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]} pixels and the image "
            f"{before.width}x{before.height}: a mask covers the whole image, pixel for pixel."
        )
