"""What every painter asks of its picture, mask and words, whatever it paints with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limner.errors import ImageError, ModelError, OptionError, PromptError
from limner.prompts import Text
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image


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


def refuse_words(name: str, paint: Text | None) -> None:
    """Of a model that continues what is there.

    Raises:
        OptionError: there are words to paint from.
    """
    if paint is not None:
        raise OptionError(f"{name} can't follow words: it only removes.")


def check_surroundings(mask: BoolMask) -> None:
    """A (H, W) mask that leaves something to continue.

    Raises:
        PromptError: it covers the whole image.
    """
    if mask.all():
        raise PromptError("The mask covers the whole image: nothing is left to continue from.")
