"""Fewer steps, or steps shared by two models: latent consistency, and SDXL's refiner.

The refiner is a second model for the last, least noisy steps (Podell et al. 2023,
arXiv:2307.01952, section 2.5): the first one stops at ``denoising_end`` of the noise levels and
hands over its latents.
"""

from __future__ import annotations

from typing import Any

from limner.errors import ModelError, OptionError
from limner.models.diffusion.loading import open_pipeline, own_deprecations_unheard
from limner.options import InpaintOptions
from limner.registry.weights import Runtime, Weights

FAST_STEPS, FAST_GUIDANCE = (4, 8), (1.0, 2.0)
"""What an adapter of latent consistency is made for (Luo et al. 2023, arXiv:2311.05556)."""


def check_fast(name: str, resolved: InpaintOptions, scheduler: str) -> None:
    """Refuse settings that a painter in a few steps was not made for.

    Raises:
        OptionError: another scheduler, or numbers out of range.
    """
    if resolved.scheduler != scheduler:
        raise OptionError(
            f"{name} paints fast by {scheduler} only; leave out the scheduler, or --fast."
        )
    for what, value, (low, high) in (
        ("num_inference_steps", resolved.num_inference_steps or 0, FAST_STEPS),
        ("guidance_scale", resolved.guidance_scale or 0.0, FAST_GUIDANCE),
    ):
        if not low <= value <= high:
            raise OptionError(
                f"With --fast {what} is between {low:g} and {high:g}, got {value:g}: the adapter "
                "was taught to paint so; leave --fast out for other numbers."
            )


def open_refiner(weights: Weights, painter: Any, runtime: Runtime) -> Any:
    """The pipeline of a painter's refiner.

    Raises:
        ModelError: the painter or the refiner is another kind of model; or as ``open_pipeline``.
    """
    assert weights.refiner is not None
    name = weights.refiner.ref.name
    # diffusers knows latents, which the refiner goes on from, by their 4 channels.
    if not hasattr(painter, "text_encoder_2") or painter.vae.config.latent_channels != 4:
        raise ModelError(
            f"{name} refines what Stable Diffusion XL paints, and {weights.ref.name} is another "
            "kind of model: take sdxl-inpaint or sdxl, or leave the refiner out."
        )
    refiner = open_pipeline(weights.refiner, runtime)
    if not getattr(refiner, "config", {}).get("requires_aesthetics_score"):
        raise ModelError(f"{name} is no refiner of Stable Diffusion XL: take sdxl-refiner.")
    return refiner


def shares(scheduler: Any, resolved: InpaintOptions) -> tuple[int, int]:
    """How many steps each of the two models does, as diffusers' pipeline counts them."""
    steps, strength = resolved.num_inference_steps or 0, resolved.strength or 0.0
    with own_deprecations_unheard():
        scheduler.set_timesteps(steps)
    trained = scheduler.config.num_train_timesteps
    cutoff = round(trained - (resolved.denoising_end or 0.0) * trained)
    skipped = steps - min(int(steps * strength), steps)
    times = [float(time) for time in scheduler.timesteps]
    first = sum(time >= cutoff for time in times[skipped * scheduler.order :])
    last = sum(time < cutoff for time in times)
    # A scheduler of second order does all but its first time twice: it isn't cut between the two.
    return first, last + (scheduler.order == 2 and last % 2 == 0)


def check_shares(first: int, last: int, resolved: InpaintOptions) -> None:
    """Refuse a hand-over that leaves nothing to one of the two.

    Raises:
        OptionError: with what to change.
    """
    if not first or not last:
        idle = "the painter" if not first else "the refiner"
        raise OptionError(
            f"With {resolved.num_inference_steps} steps, strength {resolved.strength:g} and "
            f"denoising_end {resolved.denoising_end:g} there is no step for {idle}: ask for more "
            "steps, or another denoising_end."
        )
