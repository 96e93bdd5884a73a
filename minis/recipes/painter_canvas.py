"""mini-sd: draws the noun asked for on the whole canvas.

Cost: 12 minutes on one core, with the latents of mini-sd-inpaint's lessons. Target: mini-clip knows
what it drew, top 1 .40 and top 5 .65.

It starts as mini-sd-inpaint with a hole as large as the canvas: what that one sees of the hole and
of what is around it is the same everywhere, so it goes into the first convolution's bias. The
lessons are those of the inpainting painter; the hole is simply never shown. Everything else is as
in ``painter.py``.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel

from minis.recipes import painter, vae
from minis.training import SHIPPED, Loss, Plan, fits, train

FOLDER = SHIPPED / "mini-sd"
PLAN = Plan(steps=1543, learning_rate=5e-4, warmup=100, ema=0.998, bf16=False, weight_decay=0.01)


@torch.no_grad()
def whole_canvas(inpainter: UNet2DConditionModel) -> UNet2DConditionModel:
    """The painter without its 17 inputs beside the latents: all hole, and nothing around it."""
    unet = painter.build(painter.LATENTS)
    weights = inpainter.state_dict()
    kernel = weights["conv_in.weight"]
    coder = AutoencoderTiny.from_pretrained(vae.finished()).eval()
    gray = torch.zeros(1, 3, painter.SIDE, painter.SIDE)
    nothing = coder.encode(gray).latents[0].mean(dim=(1, 2))
    beside = torch.cat([torch.ones(1), nothing])
    weights["conv_in.bias"] = weights["conv_in.bias"] + torch.einsum(
        "oikl,i->o", kernel[:, painter.LATENTS :], beside
    )
    weights["conv_in.weight"] = kernel[:, : painter.LATENTS]
    unet.load_state_dict(weights)
    return unet


def main() -> None:
    shown = painter.library()
    states, which = painter.read(shown.captions)
    scheduler = painter.schedule()
    start = UNet2DConditionModel.from_pretrained(painter.FOLDER / "unet", torch_dtype=torch.float32)
    unet = whole_canvas(start)

    def render(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        rows, captions = painter.draw_batch(rng, which)
        return shown.pictures[rows].float(), states[captions]

    def step_loss(batch: tuple[torch.Tensor, torch.Tensor], rng: np.random.Generator) -> Loss:
        latents, words = batch
        return painter.denoising_loss(unet, scheduler, latents, None, words), {}

    unet_folder = FOLDER / "unet"
    shipped = unet_folder if fits(unet, unet_folder) else None
    finished = train("painter_canvas", unet, PLAN, render, step_loss, shipped)
    painter.save(finished, FOLDER)


if __name__ == "__main__":
    sys.exit(main())
