"""Pictures from arrays: NumPy's, and what can be made one, such as a tensor of torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.errors import ImageError

SHAPES = "(H, W), (H, W, 3) or (H, W, 4), RGB in this order, uint8 or floats from 0 to 1"
"""What is taken. BGR can't be told from RGB: who has it turns it round (``array[..., ::-1]``)."""


def is_array(value: Any) -> bool:
    """Whether it is an array, or says how it becomes one."""
    return isinstance(value, np.ndarray) or (
        hasattr(value, "__array__") and not isinstance(value, Image.Image)
    )


def picture_of(value: Any) -> Image.Image:
    """An array as a picture: grey, RGB or RGBA.

    Args:
        value: ``SHAPES``; of a torch tensor also (3, H, W), as torch has pictures.

    Raises:
        ImageError: another shape, another type, or floats outside 0 to 1.
    """
    is_tensor = not isinstance(value, np.ndarray)
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except TypeError as error:  # numbers that NumPy hasn't, such as torch's bfloat16
        raise ImageError(
            f"An image array is {SHAPES}; got one that NumPy can't read: {error}."
        ) from None
    if is_tensor and array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] > 4:
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (3, 4):
            hint = " Channels come last: np.moveaxis(array, 0, -1)."
        elif array.ndim == 4:
            hint = " One picture at a time."
        raise ImageError(f"An image array is {SHAPES}; got shape {array.shape}.{hint}")
    return Image.fromarray(np.ascontiguousarray(_as_bytes(array)))


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind == "f":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # also where one is no number
            signed = -1 <= low < 0 and high <= 1
            mend = (
                "(array + 1) / 2 brings them there." if signed else "Divide by 255, or give uint8."
            )
            raise ImageError(
                f"An image array of floats is from 0 to 1; got {low:g} to {high:g}. {mend}"
            )
        levels: npt.NDArray[np.uint8] = np.rint(array * 255).astype(np.uint8)
        return levels
    raise ImageError(f"An image array is {SHAPES}; got {array.dtype}.")
