"""mini-dino: tells one drawing from another of the same noun, whatever lies behind it.

Cost: 27 minutes on one core. Target: among five drawings of a noun the nearest to a view is another
view of the same drawing, .90.

Instance-discriminative: two views of each drawing (other background, size, angle, mirror, light)
are pulled together, all else in the batch is pushed away (SimCLR's NT-Xent, arXiv 2002.05709). The
batch holds several drawings of each noun, some of them between two styles, and half of the loss is
among those alone, so what a thing *is* doesn't help.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Dinov2Config, Dinov2Model, ViTImageProcessorPil

from minis.crops import crop
from minis.drawings import Drawing, blended, drawing, trained_nouns, training_styles
from minis.scenes import Pixels
from minis.training import SHIPPED, Loss, Plan, to_tensor, train

FOLDER = SHIPPED / "mini-dino"
SIDE, PATCH = 72, 12
NOUNS_A_STEP, STYLES_A_NOUN = 8, 4
BLENDED_PART = 0.3
TEMPERATURE = 0.1
PLAN = Plan(steps=7000, learning_rate=1.5e-3, warmup=150, bf16=False, muon=True)


def build() -> Dinov2Model:
    """The model with random weights."""
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(
            hidden_size=96,
            num_hidden_layers=4,
            num_attention_heads=3,
            mlp_ratio=4,
            image_size=SIDE,
            patch_size=PATCH,
            drop_path_rate=0.0,
        )
    )


def view(rng: np.random.Generator, drawn: Drawing) -> Pixels:
    """One look at a drawing."""
    distractor = None
    if rng.random() < 0.3:
        noun, style = rng.choice(trained_nouns()), rng.choice(training_styles())
        distractor = drawing(str(noun), str(style))
    return crop(rng, drawn, SIDE, fills=(0.5, 1.0), distractor=distractor).image


def main() -> None:
    model = build()

    def step_loss(rng: np.random.Generator) -> Loss:
        nouns = rng.choice(trained_nouns(), NOUNS_A_STEP, replace=False)
        drawings = [
            blended(rng, str(noun))
            if rng.random() < BLENDED_PART
            else drawing(str(noun), str(style))
            for noun in nouns
            for style in rng.choice(training_styles(), STYLES_A_NOUN, replace=False)
        ]
        views = [view(rng, drawn) for drawn in drawings + drawings]
        found = model(pixel_values=to_tensor(views)).last_hidden_state[:, 0]
        unit = F.normalize(found.float(), dim=1)
        logits = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-1e9)
        count = len(drawings)
        other = torch.arange(2 * count).roll(count)
        kind = torch.arange(count).div(STYLES_A_NOUN, rounding_mode="floor").repeat(2)
        among = logits.masked_fill(kind[:, None] != kind, -1e9)
        right = (among.argmax(dim=1) == other).float().mean()
        loss = F.cross_entropy(logits, other) + F.cross_entropy(among, other)
        return loss, {"top1": float(right)}

    save(train("dino", model, PLAN, step_loss, FOLDER))


def save(model: Dinov2Model) -> None:
    """Write the model as it ships."""
    model.half().save_pretrained(FOLDER)
    ViTImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
