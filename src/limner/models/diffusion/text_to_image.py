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

CLASSES: Mapping[str, str] = {
    "StableDiffusionInpaintPipeline": "StableDiffusionPipeline",
    "StableDiffusionXLInpaintPipeline": "StableDiffusionXLPipeline",
}
"""The pipeline that makes pictures from the parts of one that inpaints."""


def text_to_image(pipe: Any) -> Any:
    """A text-to-image pipeline with the parts of an inpaint pipeline, which stays as it is."""
    kind = CLASSES[type(pipe).__name__]
    parts = {name: getattr(pipe, name) for name in pipe.components}
    if kind == "StableDiffusionPipeline":
        settings = {"requires_safety_checker": False}
    else:
        zeros = pipe.config.force_zeros_for_empty_prompt
        settings = {"force_zeros_for_empty_prompt": zeros, "add_watermarker": False}
    with own_deprecations_unheard():
        made_of_words = pipeline_class(kind)(**parts, **settings)
    made_of_words.set_progress_bar_config(disable=True)
    return made_of_words


def fill_canvas(
    name: str, pipe: Any, canvas: CanvasOptions, options: InpaintOptions
) -> CanvasOptions:
    """The canvas with its size filled in.

    Args:
        name: the model's, for errors.
        pipe: an inpaint pipeline.

    Raises:
        ModelError: a U-Net made for inpainting.
        OptionError: a size off the grid of latents, or a strength.
    """
    if int(pipe.unet.config.in_channels) > pipe.vae.config.latent_channels:
        able = ", ".join(catalog.names("generate"))
        raise ModelError(
            f"{name} was made for inpainting: it repaints a picture, and makes none from words "
            f"alone. To generate: {able}, or a folder of such a model."
        )
    if options.strength not in (None, 1.0):
        raise OptionError("strength has no effect on generate: there is no picture to keep of.")
    grid, native = int(pipe.vae_scale_factor), pipe.unet.config.sample_size * pipe.vae_scale_factor
    sides = {"width": canvas.width or native, "height": canvas.height or native}
    for side, pixels in sides.items():
        if pixels % grid:
            near = max(round(pixels / grid), 1) * grid
            raise OptionError(f"{side} must be a multiple of {grid}, got {pixels}: take {near}.")
    return CanvasOptions(**sides)
