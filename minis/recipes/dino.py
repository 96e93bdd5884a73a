"""mini-dino: tells one drawing from another of the same noun, whatever lies behind it.

Cost: 27 minutes on one core for the small model, 17 for the one grown from it. Target: among five
drawings of a noun the nearest to a view is another view of the same drawing, .90.

Instance-discriminative: two views of each drawing (other background, size, angle, mirror, light)
are pulled together, all else in the batch is pushed away (SimCLR's NT-Xent, arXiv 2002.05709). The
batch holds several drawings of each noun, some of them between two styles, and half of the loss is
among those alone, so what a thing *is* doesn't help. The small model learns first; then it gets
half as many layers again and a finer grid, and drawings in manners that nobody drew. What ships is
shown pictures half as large again.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Dinov2Config, Dinov2Model, ViTImageProcessorPil

from minis import growing
from minis.crops import crop
from minis.drawings import Drawing, blended, drawing, restyled, trained_nouns, training_styles
from minis.scene import Pixels
from minis.training import GO_ON, SHARD, SHIPPED, Loss, Plan, begun, fits, to_tensor, train

FOLDER = SHIPPED / "mini-dino"
SMALL_SIDE, SIDE, SEES, PATCH = 72, 96, 144, 12
"""px that the small and the large model are taught with, and px that the one that ships sees: on a
grid half as fine again, places between those it learned, it tells more drawings apart."""
SMALL_LAYERS, LAYERS = 4, 6
NOUNS_A_STEP, STYLES_A_NOUN = 8, 4
BLENDED_PART, RESTYLED_PART = 0.3, 0.3
TEMPERATURE = 0.1
PLAN = Plan(steps=7000, learning_rate=1.5e-3, warmup=150, bf16=False, muon=True)
GROWN = Plan(steps=866, learning_rate=6e-4, warmup=100, bf16=False, muon=True)


def build(side: int = SIDE, layers: int = LAYERS) -> Dinov2Model:
    """The model with random weights."""
    torch.manual_seed(0)
    return Dinov2Model(
        Dinov2Config(
            hidden_size=96,
            num_hidden_layers=layers,
            num_attention_heads=3,
            mlp_ratio=4,
            image_size=side,
            patch_size=PATCH,
            drop_path_rate=0.0,
        )
    )


def grown(small: Dinov2Model) -> Dinov2Model:
    """The large model that answers nearly as the small one does."""
    model = build()
    trained = small.state_dict()
    place = "embeddings.position_embeddings"
    trained[place] = growing.regridded(trained[place][0], SIDE // PATCH)[None]
    layers = growing.spread(SMALL_LAYERS, LAYERS)
    model.load_state_dict(growing.deepened(model.state_dict(), trained, layers, r"lambda1$"))
    return model


def finer(taught: Dinov2Model) -> Dinov2Model:
    """The same model on the grid of ``SEES``."""
    model, state = build(SEES), taught.state_dict()
    place = "embeddings.position_embeddings"
    state[place] = growing.regridded(state[place][0], SEES // PATCH)[None]
    model.load_state_dict(state)
    return model.eval()


def instance(rng: np.random.Generator, noun: str, style: str, restyled_part: float) -> Drawing:
    """A drawing of a noun: real, between two styles, or in another manner."""
    drawn = blended(rng, noun) if rng.random() < BLENDED_PART else drawing(noun, style)
    if rng.random() >= restyled_part:
        return drawn
    return replace(drawn, rgba=restyled(rng, drawn.rgba))


def view(rng: np.random.Generator, drawn: Drawing, side: int) -> Pixels:
    """One look at a drawing."""
    distractor = None
    if rng.random() < 0.3:
        noun, style = rng.choice(trained_nouns()), rng.choice(training_styles())
        distractor = drawing(str(noun), str(style))
    return crop(rng, drawn, side, fills=(0.5, 1.0), distractor=distractor).image


def contrast(model: Dinov2Model, views: torch.Tensor) -> Loss:
    """NT-Xent over all views and among those of one noun. Views (2 N, 3, H, W): N drawings, noun by
    noun, and then the same N again."""
    rows = model(pixel_values=views).last_hidden_state[:, 0]
    unit = F.normalize(rows.float(), dim=1)
    logits = (unit @ unit.T / TEMPERATURE).fill_diagonal_(-1e9)
    count = len(views) // 2
    other = torch.arange(2 * count).roll(count)
    kind = torch.arange(count).div(STYLES_A_NOUN, rounding_mode="floor").repeat(2)
    among = logits.masked_fill(kind[:, None] != kind, -1e9)
    right = (among.argmax(dim=1) == other).float().mean()
    return F.cross_entropy(logits, other) + F.cross_entropy(among, other), {"top1": float(right)}


def learn(
    name: str, model: Dinov2Model, plan: Plan, restyled_part: float, shipped: Path | None
) -> Dinov2Model:
    """Train at the size of picture that the model is made for."""
    side = model.config.image_size

    def render(rng: np.random.Generator) -> torch.Tensor:
        nouns = rng.choice(trained_nouns(), NOUNS_A_STEP, replace=False)
        drawings = [
            instance(rng, str(noun), str(style), restyled_part)
            for noun in nouns
            for style in rng.choice(training_styles(), STYLES_A_NOUN, replace=False)
        ]
        return to_tensor([view(rng, drawn, side) for drawn in drawings + drawings])

    def step_loss(views: torch.Tensor, rng: np.random.Generator) -> Loss:
        return contrast(model, views)

    return train(name, model, plan, render, step_loss, shipped)


def main() -> None:
    if GO_ON in sys.argv and fits(build(SEES), FOLDER):
        model = Dinov2Model.from_pretrained(FOLDER, dtype=torch.float32)
        save(learn("dino_finer", model, GROWN, RESTYLED_PART, None))
        return
    model = build() if begun("dino_grown") else grown(first())
    save(finer(learn("dino_grown", model, GROWN, RESTYLED_PART, None)))


def first() -> Dinov2Model:
    """The small model: what ships where that is to be gone on from, else trained."""
    small = build(SMALL_SIDE, SMALL_LAYERS)
    if GO_ON in sys.argv and fits(small, FOLDER):
        return Dinov2Model.from_pretrained(FOLDER, dtype=torch.float32)
    return learn("dino", small, PLAN, 0.0, None)


def save(model: Dinov2Model) -> None:
    """Write the model as it ships."""
    model.half().save_pretrained(FOLDER, max_shard_size=SHARD)
    ViTImageProcessorPil(
        size={"height": SEES, "width": SEES}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(FOLDER)


if __name__ == "__main__":
    sys.exit(main())
