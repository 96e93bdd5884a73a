"""Pictures of whole canvases, made by a model that is taught or is about to be.

Sampling is ancestral, as the paper makes its x_pr from z ~ N(0, I) and c_pr: DDPM's own update
(Ho et al. 2020, arXiv:2006.11239, algorithm 2). Not DDIM's with η = 1, which is the same on paper:
where a schedule ends in pure noise it takes the root of a rounding error below 0. Picture k has a
generator of its own, so that it is the same in any batch but for rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image as pil

from limner.models.blocks.oom import guard_memory
from limner.models.diffusion.loading import own_deprecations_unheard

if TYPE_CHECKING:
    from PIL.Image import Image

STEPS = 25
ADVICE = "lower sample_batch_size or resolution"


@torch.no_grad()
def paint(
    pipe: Any,
    words: Sequence[str] | Mapping[str, torch.Tensor],
    seeds: Sequence[int],
    side: int,
    guidance: float,
    *,
    steps: int = STEPS,
    ancestral: bool = True,
) -> list[Image]:
    """A batch of pictures, one for each seed.

    Args:
        pipe: an inpaint pipeline; its whole canvas is the hole.
        words: a prompt for each picture, or what ``encode_prompt`` gave: ``prompt_embeds`` and
            ``negative_prompt_embeds``, a row for each.
        side: pixels.
        guidance: classifier-free; 1 is none.
        ancestral: noise is drawn at every step; else only the first decides (DDIM).

    Raises:
        OutOfMemory: with what to lower.
    """
    from diffusers import DDIMScheduler, DDPMScheduler

    pipe = copy.copy(pipe)  # a call leaves its scheduler's state behind
    sampler = DDPMScheduler if ancestral else DDIMScheduler
    pipe.scheduler = sampler.from_config(pipe.scheduler.config, clip_sample=False)
    conditioning = {"prompt": list(words)} if not isinstance(words, Mapping) else dict(words)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    canvas, hole = pil.new("RGB", (side, side), (128, 128, 128)), pil.new("L", (side, side), 255)
    with guard_memory(ADVICE), own_deprecations_unheard():
        output = pipe(
            **conditioning,
            image=[canvas] * len(seeds),
            mask_image=[hole] * len(seeds),
            width=side,
            height=side,
            strength=1.0,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generators,
            output_type="pil",
        )
    return list(output.images)
