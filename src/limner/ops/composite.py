"""One picture over another through a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.errors import ImageError
from limner.ops.masks import IntBox


def composite(
    original: Image.Image, painted: Image.Image, alpha: npt.NDArray[np.floating], box: IntBox
) -> Image.Image:
    """Paste a painted crop back: ``original + alpha * (painted - original)``, rounded to nearest.

    Where ``alpha`` is 0 the original's bytes stay, exactly; where it is 1 the painted ones come.

    Args:
        original: RGB.
        painted: RGB, what the model made of the crop; resized (Lanczos) when not of its size.
        alpha: (H, W) in 0–1 over the whole original, 0 outside ``box``.

    Raises:
        ImageError: images that are not RGB, or an alpha or box that doesn't fit the original.
    """
    x0, y0, x1, y1 = box
    width, height = original.size
    if original.mode != "RGB" or painted.mode != "RGB":
        raise ImageError(f"Expected two RGB images, got {original.mode} and {painted.mode}.")
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ImageError(f"The box {x0},{y0},{x1},{y1} leaves the image of {width}x{height}.")
    if alpha.shape != (height, width):
        raise ImageError(f"Expected an alpha of shape {(height, width)}, got {alpha.shape}.")
    inside = np.asarray(alpha[y0:y1, x0:x1], dtype=np.float32)[..., None]
    if not (inside.min() >= 0 and inside.max() <= 1):
        raise ImageError("Expected an alpha between 0 and 1.")
    if np.count_nonzero(inside) != np.count_nonzero(alpha):
        raise ImageError(f"The alpha is not 0 everywhere outside the box {x0},{y0},{x1},{y1}.")
    if painted.size != (x1 - x0, y1 - y0):
        painted = painted.resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS)
    pixels = np.array(original)
    before = pixels[y0:y1, x0:x1].astype(np.float32)
    mixed = before + inside * (np.asarray(painted, dtype=np.float32) - before)
    pixels[y0:y1, x0:x1] = np.floor(mixed + 0.5).astype(np.uint8)
    return Image.fromarray(pixels)
