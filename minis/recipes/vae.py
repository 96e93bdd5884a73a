"""The painters' autoencoder: 64 px pictures as 8 x 8 positions of 16 numbers, and back.

Cost: 27 minutes on one core. Target: 25 dB PSNR on held-out scenes.

An ``AutoencoderTiny`` (TAESD's architecture): no normalisation, so absolute colour costs nothing;
He-initialised with damped residual branches, without which it stays on a plateau for hundreds of
steps. Full resolution is left at once: convolutions there are where the time goes. Afterwards the
latents are brought to zero mean and unit spread by folding both into the neighbouring convolutions,
and the decoder learns its new input for a few minutes: its soft clamp and its zero padding lie
elsewhere now (27.2 dB before, 21.2 after the folding alone).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny

from minis import scenes
from minis.crops import crop
from minis.drawings import drawing, trained_nouns, training_styles
from minis.scene import Pixels, Split
from minis.training import OUT, SHIPPED, Loss, Plan, to_tensor, train

FOLDER = OUT / "vae"
SIDE, LATENTS, WIDTH = 64, 16, 48
BATCH = 16
PLAN = Plan(steps=4500, learning_rate=1.2e-3, weight_decay=0.0, warmup=150, bf16=True)
AFTERWARDS = Plan(steps=1200, learning_rate=6e-4, weight_decay=0.0, warmup=50, bf16=True)
NOISE = 0.08
"""Spread of what is added to the latents while training, beside their own of 1: neighbouring
latents then mean neighbouring pictures, which is all that a diffusion model can hit."""


def finished() -> Path:
    """Where the trained autoencoder lies: where it was trained, else in the painter that ships."""
    return FOLDER if FOLDER.is_dir() else SHIPPED / "mini-sd-inpaint" / "vae"


def build() -> AutoencoderTiny:
    """The autoencoder with random weights."""
    torch.manual_seed(0)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        latent_channels=LATENTS,
        num_encoder_blocks=(0, 1, 2, 2),
        num_decoder_blocks=(2, 2, 1, 0),
    )
    for module in vae.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    for name, module in vae.named_modules():
        if name.endswith("conv.4"):  # the last of a residual branch
            module.weight.data *= 0.2
    vae.encoder.layers[-1].weight.data *= 0.5
    vae.decoder.layers[-1].weight.data *= 0.2
    vae.decoder.layers[-1].bias.data += 0.5
    return vae


def pictures(rng: np.random.Generator, split: Split) -> list[Pixels]:
    """Half of them single things as painters see them, half pieces of scenes."""
    pieces = []
    for _ in range(BATCH // 2):
        noun, style = str(rng.choice(trained_nouns())), str(rng.choice(training_styles()))
        pieces.append(crop(rng, drawing(noun, style), SIDE, fills=(0.4, 1.0)).image)
    for _ in range(BATCH // 4):
        image = scenes.scene(int(rng.integers(1 << 40)), split).image
        for _ in range(2):
            x, y = rng.integers(0, scenes.SIDE - SIDE + 1, 2)
            pieces.append(image[y : y + SIDE, x : x + SIDE])
    return pieces


def main() -> None:
    vae = build().to(memory_format=torch.channels_last)
    split = scenes.train()

    def render(rng: np.random.Generator) -> torch.Tensor:
        return to_tensor(pictures(rng, split))

    def step_loss(images: torch.Tensor, rng: np.random.Generator) -> Loss:
        images = images.to(memory_format=torch.channels_last)
        latents = vae.encoder(images)
        spread = latents.float().flatten(2).pow(2).mean((0, 2))
        noisy = latents + NOISE * torch.randn_like(latents)
        shown = vae.decoder(noisy).float()
        error = shown - images
        mse = error.pow(2).mean()
        edges = (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()) / 2
        loss = mse + 0.05 * error.abs().mean() + 0.05 * edges + 1e-2 * (spread - 1).pow(2).mean()
        return loss, {"psnr": float(10 * torch.log10(4 / mse.detach()))}

    coder = train("vae", vae, PLAN, render, step_loss)
    normalise(coder)
    coder.encoder.requires_grad_(False)
    coder.decoder.requires_grad_(True)

    def decoder_loss(images: torch.Tensor, rng: np.random.Generator) -> Loss:
        images = images.to(memory_format=torch.channels_last)
        with torch.no_grad():
            latents = coder.encoder(images)
        error = coder.decoder(latents + NOISE * torch.randn_like(latents)).float() - images
        mse = error.pow(2).mean()
        loss = mse + 0.05 * error.abs().mean()
        return loss, {"psnr": float(10 * torch.log10(4 / mse.detach()))}

    train("vae_decoder", coder, AFTERWARDS, render, decoder_loss).save_pretrained(FOLDER)


@torch.no_grad()
def normalise(vae: AutoencoderTiny) -> None:
    """Zero mean and unit spread for each latent channel, the pictures unchanged.

    The decoder's first convolution takes the scale and the mean back, but for its edges and the
    soft clamp at 3 before it.
    """
    rng = np.random.default_rng(1)
    split = scenes.train()
    images = [to_tensor(pictures(rng, split)) for _ in range(40)]
    latents = torch.cat([vae.encoder(batch) for batch in images]).transpose(0, 1).flatten(1)
    mean, std = latents.mean(dim=1), latents.std(dim=1)
    last, first = vae.encoder.layers[-1], vae.decoder.layers[0]
    last.weight /= std[:, None, None, None]
    last.bias.copy_((last.bias - mean) / std)
    first.bias += (first.weight * mean[None, :, None, None]).sum(dim=(1, 2, 3))
    first.weight *= std[None, :, None, None]


if __name__ == "__main__":
    sys.exit(main())
