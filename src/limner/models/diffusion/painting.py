"""What all painters by diffusion do alike, whatever their pipeline: settings, progress, the call.

Pictures are painted one at a time, each with its own generator.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image as pil

from limner import options as settings
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.overflow import check_finite
from limner.models.diffusion.loading import own_deprecations_unheard
from limner.options import InpaintOptions
from limner.prompts import Text
from limner.protocols import OnStep
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image

ADVICE = "paint a smaller picture, or take a smaller model"
"""Where memory ran out."""


@dataclass(frozen=True)
class PictureRequest:
    """One picture to paint."""

    image: Image | torch.Tensor | None
    """RGB; or latents, of a pipeline that goes on from them; None: there is none."""
    mask: Image | None
    """Mode L, as large as the picture; white is repainted. None: all is painted, from noise."""
    size_wh: tuple[int, int]
    paint: Text
    options: InpaintOptions
    """Resolved."""
    seed: int
    report: OnStep
    """Hears of this picture's steps."""


def resolve_seed(defaults: InpaintOptions, options: InpaintOptions) -> InpaintOptions:
    """A model's ``defaults`` under what is set in ``options``; a seed is drawn where none is."""
    own = {"seed": secrets.randbelow(settings.SEEDS)}
    return replace(defaults, **(own | settings.changed(options)))


def requests(
    image: Image,
    mask: BoolMask,
    paint: Text,
    options: InpaintOptions,
    on_step: OnStep | None,
) -> Iterator[PictureRequest]:
    """A request for each of ``num_images_per_prompt`` pictures; ``k`` is of seed ``seed + k``.

    Args:
        mask: (H, W).
        options: resolved.
        on_step: hears of the steps of all pictures together.
    """
    count, seed = options.num_images_per_prompt or 1, options.seed or 0
    white = pil.fromarray(mask).convert("L")
    for k in range(count):
        report = _progress_of(on_step, k, count)
        yield PictureRequest(image, white, image.size, paint, options, seed + k, report)


def canvas_requests(
    size_wh: tuple[int, int], paint: Text, options: InpaintOptions, on_step: OnStep | None
) -> Iterator[PictureRequest]:
    """The same without a source: whole pictures, from noise."""
    count, seed = options.num_images_per_prompt or 1, options.seed or 0
    for k in range(count):
        report = _progress_of(on_step, k, count)
        yield PictureRequest(None, None, size_wh, paint, options, seed + k, report)


def run_pipeline(pipe: Any, name: str, request: PictureRequest, **arguments: Any) -> Any:
    """What a pipeline of diffusers paints, in the ``output_type`` that is asked for.

    Args:
        name: the model's, for errors.
        arguments: further ones, which not every pipeline takes.

    Raises:
        ResultError: the numbers overflowed.
        OutOfMemory: with what to lower.
    """
    width, height = request.size_wh
    source: dict[str, Any] = {"width": width, "height": height}
    if request.mask is not None:
        source |= {"image": request.image, "mask_image": request.mask}
    elif request.image is not None:  # latents, which have the size
        source = {"image": request.image}
    with guard_memory(ADVICE), own_deprecations_unheard():
        return pipe(
            prompt=request.paint.phrase,
            **source,
            num_inference_steps=request.options.num_inference_steps,
            generator=torch.Generator("cpu").manual_seed(request.seed),  # the same on every device
            callback_on_step_end=_checked(name, request.report),
            **arguments,
        ).images


AfterStep = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


def _checked(name: str, report: OnStep) -> AfterStep:
    """A pipeline's ``callback_on_step_end``: each step's latents are checked, then reported."""

    def after_step(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        check_finite(name, tensors["latents"], f"after step {index + 1} of {pipe.num_timesteps}")
        report(index + 1, pipe.num_timesteps)
        return {}

    return after_step


def _progress_of(on_step: OnStep | None, k: int, count: int) -> OnStep:
    """Progress of picture ``k`` of ``count`` as progress of all."""

    def report(done: int, total: int) -> None:
        if on_step:
            on_step(k * total + done, count * total)

    return report
