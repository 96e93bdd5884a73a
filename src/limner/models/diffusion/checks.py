"""What all painters by diffusion do alike, whatever their pipeline: checks, progress, pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from limner.errors import ImageError, ModelError, OptionError, PromptError, ResultError
from limner.prompts import Text
from limner.protocols import OnStep
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image

ADVICE = "paint a smaller picture, or take a smaller model"
"""Where memory ran out."""


def words_given(name: str, paint: Text | None) -> Text:
    """The words to paint from.

    Raises:
        ModelError: there are none.
    """
    if paint is None:
        raise ModelError(
            f"{name} repaints from words, and none were given: say what is to be there, or take a "
            "model that removes, such as opencv-inpaint."
        )
    return paint


def check_picture(name: str, image: Image, mask: BoolMask, grid: int, seen: int) -> None:
    """A picture and a mask that the model can paint.

    Args:
        grid: width and height must be multiples of it.
        seen: the mask is looked at in every so many pixels, to shrink it to the latents.

    Raises:
        ImageError, PromptError, OptionError: they can't be painted.
    """
    width, height = image.size
    if image.mode != "RGB":
        raise ImageError(f"{name} repaints RGB images, got mode {image.mode}.")
    if mask.shape != (height, width):
        raise PromptError(
            f"The mask is {mask.shape[1]}x{mask.shape[0]} pixels and the image "
            f"{width}x{height}: a mask covers the whole image, pixel for pixel."
        )
    if width % grid or height % grid:
        raise OptionError(
            f"{name} paints sizes that are multiples of {grid}, got {width}x{height}: "
            "resize the image first."
        )
    if seen == 1 and not mask.any():
        raise PromptError("The mask is empty: no pixel of it is marked.")
    if not mask[::seen, ::seen].any():
        raise PromptError(
            f"The mask is empty or too thin: {name} sees one pixel in {seen}, "
            "and none of those is marked. Grow the mask (dilate)."
        )


def check_finite(name: str, numbers: torch.Tensor, where: str) -> None:
    """Refuse what overflowed.

    Raises:
        ResultError: the picture would be black.
    """
    if not bool(torch.isfinite(numbers).all()):
        dtype = str(numbers.dtype).removeprefix("torch.")
        raise ResultError(
            f"{name} overflowed in {dtype} {where}, and the picture would be black. "
            "Use bfloat16 or float32."
        )


AfterStep = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


def watching(name: str, report: OnStep) -> AfterStep:
    """A pipeline's ``callback_on_step_end``: each step's latents are checked, then reported."""

    def after_step(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        check_finite(name, tensors["latents"], f"after step {index + 1} of {pipe.num_timesteps}")
        report(index + 1, pipe.num_timesteps)
        return {}

    return after_step


def nth(on_step: OnStep | None, k: int, count: int) -> OnStep:
    """Progress of picture ``k`` of ``count`` as progress of all."""

    def report(done: int, total: int) -> None:
        if on_step:
            on_step(k * total + done, count * total)

    return report
