"""Fill a masked hole in a photograph from the rest of the photograph, without any network.

The default, `patches` (``patchmatch.py``), copies real texture; OpenCV's own methods are quick
and smear.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from limner.models.classical.patchmatch import patches

Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

METHODS: dict[str, str] = {
    "patches": "copies patches of the surroundings, coarse to fine: keeps texture (the default)",
    "shiftmap": "OpenCV's shift map (cv2.xphoto): copies whole regions; sharp, hard seams",
    "fsr": "OpenCV's frequency selective reconstruction (cv2.xphoto): smooth; holes under 40 px",
    "telea": "OpenCV's fast marching: instant, smears on holes wider than about 10 px",
    "navier-stokes": "OpenCV's fluid dynamics: instant, smears on holes wider than about 10 px",
}

DEFAULT = "patches"
MOST_PARTS = 200  # a mask in more parts than this is filled in one window


def fill(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    method: str = DEFAULT,
    radius: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """Repaint the masked pixels of a photograph from its other pixels.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True = repaint. It should cover the object's soft edge and shadow as
            well (dilate a segmentation by a few px), or these are continued into the hole.
        method: a name in `METHODS`.
        radius: px the neighbourhood that `telea` and `navier-stokes` look at; others ignore it.
        seed: of the random search of `patches`; the same seed gives the same picture.

    Returns:
        (H, W, 3) uint8 RGB; outside the mask exactly the input's pixels.
    """
    _check(image, mask, method)
    result: Pixels = image.copy()
    if not mask.any():
        return result
    rng = np.random.default_rng(seed)
    left = mask.copy()
    for window in _windows(mask):
        hole = left[window]
        if hole.any():
            filled = _fill_window(result[window], hole, method, radius, rng)
            result[window][hole] = filled[hole]
            left[window] = False
    return result


def _check(image: np.ndarray, mask: np.ndarray, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}; got {method!r}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8 RGB; got {image.shape} {image.dtype}")
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        raise ValueError(
            f"mask must be {image.shape[:2]} bool, as the image; got {mask.shape} {mask.dtype}"
        )
    if mask.size and mask.all():
        raise ValueError(
            "the mask covers the whole image: nothing is left to copy from. "
            "Give a smaller mask or a larger part of the photograph."
        )


def _windows(mask: Bools) -> Iterator[tuple[slice, slice]]:
    """For each part of the mask, its box grown by about its own size: where to copy from.

    Parts nearer than 32 px share a box. A window always holds some known pixel.
    """
    near = cv2.dilate(mask.astype(np.uint8), np.ones((33, 33), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(near)
    if count > MOST_PARTS:
        yield slice(None), slice(None)
        return
    for x, y, w, h, _ in stats[1:].tolist():
        margin = max(w, h, 96)
        yield (
            slice(max(0, y - margin), y + h + margin),
            slice(max(0, x - margin), x + w + margin),
        )


def _fill_window(
    image: Pixels, hole: Bools, method: str, radius: int, rng: np.random.Generator
) -> Pixels:
    if method == "patches":
        return patches(image, hole, rng)
    if method in ("telea", "navier-stokes"):
        return _inpainted(image, hole, radius, method)
    return _xphoto(image, hole, method)


def _inpainted(image: Pixels, hole: Bools, radius: int, method: str) -> Pixels:
    """OpenCV's own methods. Of a picture one pixel thick cv2.inpaint reads what lies beside it in
    memory, so that each answer was another: its only line is seen three times."""
    flag = cv2.INPAINT_TELEA if method == "telea" else cv2.INPAINT_NS
    thin = [(1, 1) if side == 1 else (0, 0) for side in hole.shape]
    seen = np.pad(image, (*thin, (0, 0)), mode="edge")
    mask = np.pad(hole.astype(np.uint8), thin, mode="edge")
    filled = np.asarray(cv2.inpaint(seen, mask, radius, flag), np.uint8)
    (top, _), (left, _) = thin
    return filled[top : top + hole.shape[0], left : left + hole.shape[1]]


def _xphoto(image: Pixels, hole: Bools, method: str) -> Pixels:
    """cv2.xphoto's methods want the mask inverted (0 = repaint), and the shift map wants Lab."""
    known = np.where(hole, 0, 255).astype(np.uint8)
    if method == "fsr":
        filled = np.zeros_like(image)
        cv2.xphoto.inpaint(image, known, filled, cv2.xphoto.INPAINT_FSR_FAST)
        return filled
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    filled = np.zeros_like(lab)
    cv2.xphoto.inpaint(lab, known, filled, cv2.xphoto.INPAINT_SHIFTMAP)
    return np.asarray(cv2.cvtColor(filled, cv2.COLOR_LAB2RGB), np.uint8)
