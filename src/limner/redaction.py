"""Make the masked part of a photograph unreadable: blur, pixelate or paint over.

Why each style hides what it hides:

- `solid` puts one colour over the part. Nothing of it is left but its outline. It is the only
  style to use where somebody has a reason to try to undo it.
- `blur` is a Gaussian whose standard deviation is a share of the part's own longer side, 0.2 by
  default. It multiplies a pattern of f cycles over that side by exp(-2 pi² 0.2² f²): under half a
  grey level of 255 from f = 2.8 on, so rounding to 8 bits wipes out everything finer than about
  three cycles, and deconvolution has nothing to work with. People need some 8 cycles over a face
  to know it (Näsänen 1999). A fixed kernel would leave a large face readable.
- `pixelate` leaves one mean colour per block, 6 blocks along the longer side by default. A
  program that holds a list of suspects can still compare such means (McPherson et al. 2016), so
  it is the weaker of the two at the same size of averaging.

Every value is averaged from the masked pixels of the same part only (normalised convolution:
blur(image x mask) / blur(mask)). Nothing from outside bleeds in, so the part looks evenly hidden
up to its edge, and no masked pixel is averaged into the unmasked ones. What the mask leaves out
stays readable: cover the whole object, and dilate a tight mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Style = Literal["blur", "pixelate", "solid"]

STYLES: dict[str, str] = {
    "blur": "Gaussian; amount = its standard deviation over the part's longer side (0.2)",
    "pixelate": "mosaic; amount = a block's side over the part's longer side (1/6)",
    "solid": "one colour; amount is not used",
}
DEFAULT_AMOUNT = {"blur": 0.2, "pixelate": 1 / 6}
JOINED_GAP = 8
"""px: parts of a mask nearer than this are one part, so that the slivers of one face are hidden
as strongly as the whole. Joining can only hide more."""
SMOOTH_SIGMA = 4.0
"""px: a wider Gaussian is computed on a smaller picture, where it has this width."""

Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]


def redact(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    style: Style = "blur",
    amount: float | None = None,
    colour: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Hide the masked pixels; each connected part on the scale of its own size.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True = hide.
        style: a name in `STYLES`.
        amount: how coarse, as a share of the part's longer side, over 0 up to 1; larger hides
            more. None = the style's default, which is meant to be irreversible in practice;
            a smaller amount may not be.
        colour: RGB in 0..255 of `solid`.

    Returns:
        (H, W, 3) uint8 RGB; outside the mask exactly the input's pixels.
    """
    share = _check(image, mask, style, amount, colour)
    result: Pixels = image.copy()
    if style == "solid":
        result[mask] = np.asarray(colour, np.uint8)
        return result
    hide: Callable[[Pixels, Bools, float], Pixels] = _blur if style == "blur" else _pixelate
    for window, part in _parts(mask):
        size = share * max(part.shape)
        result[window][part] = hide(image[window], part, size)[part]
    return result


def _check(
    image: np.ndarray,
    mask: np.ndarray,
    style: str,
    amount: float | None,
    colour: tuple[int, int, int],
) -> float:
    """The amount to use, or a ValueError that says what was expected."""
    if style not in STYLES:
        raise ValueError(f"style is one of {', '.join(STYLES)}; got {style!r}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB; got {image.shape} {image.dtype}")
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        raise ValueError(
            f"mask must be {image.shape[:2]} bool, as the image; got {mask.shape} {mask.dtype}"
        )
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise ValueError(f"colour is three numbers of 0..255 (red, green, blue); got {colour}")
    share = DEFAULT_AMOUNT.get(style, 1.0) if amount is None else float(amount)
    if not 0 < share <= 1:
        raise ValueError(
            f"amount is a share of the part's longer side, over 0 up to 1; got {amount}"
        )
    return share


def _parts(mask: Bools) -> Iterator[tuple[tuple[slice, slice], Bools]]:
    """Each part of the mask: its bounding window and, within it, its pixels (h, w) bool."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((JOINED_GAP + 1, JOINED_GAP + 1), np.uint8))
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(near)
    for label in range(1, count):
        x, y, w, h, _ = boxes[label].tolist()
        part = mask[y : y + h, x : x + w] & (labels[y : y + h, x : x + w] == label)
        rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
        tight = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        top, left = y + rows[0], x + columns[0]
        height, width = part[tight].shape
        yield (slice(top, top + height), slice(left, left + width)), part[tight]


def _blur(image: Pixels, part: Bools, sigma: float) -> Pixels:
    """Gaussian of the part's own pixels, `sigma` in px; image (h, w, 3), part (h, w)."""
    weight = part.astype(np.float32)
    stack = np.dstack([image * weight[..., None], weight]).astype(np.float32)
    height, width = part.shape
    shrink = min(1.0, SMOOTH_SIGMA / sigma)
    small_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.resize(stack, small_wh, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma * shrink, borderType=cv2.BORDER_CONSTANT)
    wide = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    mean = wide[..., :3] / np.maximum(wide[..., 3:], 1e-9)
    return np.clip(np.rint(mean), 0, 255).astype(np.uint8)


def _pixelate(image: Pixels, part: Bools, block: float) -> Pixels:
    """Mean of the part's own pixels in each square block of `block` px, rounded up."""
    side = int(np.ceil(block))
    y, x = np.nonzero(part)
    across = -(-part.shape[1] // side)
    cell = (y // side) * across + x // side
    count = np.maximum(np.bincount(cell), 1)
    result = image.copy()
    for channel in range(3):
        mean = np.bincount(cell, image[y, x, channel]) / count
        result[y, x, channel] = np.rint(mean[cell])
    return result
