"""mini-sd: draws the noun asked for on the whole canvas.

Cost: 13 minutes on one core, with the latents of mini-sd-inpaint's lessons. Target: mini-clip knows
what it drew; there is no bar of its own.

The lessons are those of the inpainting painter; the hole is simply never shown. Everything else is
as in ``painter.py``.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from minis.recipes import painter
from minis.training import SHIPPED, Loss, Plan, train

FOLDER = SHIPPED / "mini-sd"
WIDTHS = (48, 64)
PLAN = Plan(steps=2600, learning_rate=1e-3, warmup=150, ema=0.998, bf16=False, weight_decay=0.01)


def main() -> None:
    shown = painter.library()
    states, which = painter.read(shown.captions)
    scheduler = painter.schedule()
    unet = painter.build(painter.LATENTS, WIDTHS)

    def step_loss(rng: np.random.Generator) -> Loss:
        rows = torch.from_numpy(rng.integers(0, len(which), painter.BATCH))
        asked = which[rows].clone()
        asked[torch.from_numpy(rng.random(painter.BATCH) < painter.DROPPED_PART)] = 0
        latents = shown.pictures[rows].float()
        return painter.denoising_loss(unet, scheduler, latents, None, states[asked]), {}

    painter.save(train("painter_canvas", unet, PLAN, step_loss, FOLDER / "unet"), FOLDER)


if __name__ == "__main__":
    sys.exit(main())
