"""Whole pictures from words, by diffusers' own text-to-image pipelines around a painter's parts.

Not by its inpaint pipeline with a hole as large as the canvas: that one draws the latents of its
grey source from the seed before the noise, so that no seed gives the picture it gives elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limner.errors import ModelError, OptionError
from limner.models.diffusion.loading import own_deprecations_unheard, pipeline_class
from limner.options import CanvasOptions, InpaintOptions
from limner.registry import catalog


def with_parts_of(pipe: Any, kind: str, **settings: Any) -> Any:
    """A pipeline of another class with the parts of an opened one, which stays as it is.

    Args:
        kind: a class of diffusers that takes the same parts.
    """
    parts = {name: getattr(pipe, name) for name in pipe.components}
    with own_deprecations_unheard():
        other = pipeline_class(kind)(**parts, **settings)
    other.set_progress_bar_config(disable=True)
    return other


CLASSES: Mapping[str, str] = {
    "StableDiffusionInpaintPipeline": "StableDiffusionPipeline",
    "StableDiffusionXLInpaintPipeline": "StableDiffusionXLPipeline",
}
"""The pipeline that makes pictures from the parts of one that inpaints."""


def text_to_image_class(pipe: Any) -> Any:
    """The class of diffusers that makes pictures with the parts of Stable Diffusion's inpaint
    pipeline."""
    return pipeline_class(CLASSES[type(pipe).__name__])


def text_to_image(pipe: Any) -> Any:
    """Stable Diffusion's text-to-image pipeline with the parts of its inpaint pipeline."""
    kind = CLASSES[type(pipe).__name__]
    if kind == "StableDiffusionPipeline":
        return with_parts_of(pipe, kind, requires_safety_checker=False)
    zeros = pipe.config.force_zeros_for_empty_prompt
    return with_parts_of(pipe, kind, force_zeros_for_empty_prompt=zeros, add_watermarker=False)


def refining(pipe: Any) -> Any:
    """The pipeline that does the last steps of a whole picture, with a refiner's parts."""
    return with_parts_of(
        pipe,
        "StableDiffusionXLImg2ImgPipeline",
        requires_aesthetics_score=pipe.config.requires_aesthetics_score,
        force_zeros_for_empty_prompt=pipe.config.force_zeros_for_empty_prompt,
        add_watermarker=False,
    )


def check_from_words(name: str, able: bool) -> None:
    """Refuse a model that was made for inpainting.

    Raises:
        ModelError: with those that make pictures from words.
    """
    if not able:
        others = ", ".join(catalog.names("generate"))
        raise ModelError(
            f"{name} was made for inpainting: it repaints a picture, and makes none from words "
            f"alone. To generate: {others}, or a folder of such a model."
        )


def fill_canvas(
    canvas: CanvasOptions, options: InpaintOptions, grid: int, native: int
) -> CanvasOptions:
    """The canvas with its size filled in.

    Args:
        grid: pixels that sides must be multiples of.
        native: pixels of a side that isn't set.

    Raises:
        OptionError: a size off the grid, or a strength.
    """
    if options.strength not in (None, 1.0):
        raise OptionError("strength has no effect on generate: there is no picture to keep of.")
    sides = {"width": canvas.width or native, "height": canvas.height or native}
    for side, pixels in sides.items():
        if pixels % grid:
            near = max(round(pixels / grid), 1) * grid
            raise OptionError(f"{side} must be a multiple of {grid}, got {pixels}: take {near}.")
    return CanvasOptions(**sides)
