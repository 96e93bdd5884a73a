"""The painters' autoencoder: what is left of a held-out scene after encoding and decoding."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np
import torch
from diffusers import AutoencoderTiny

from limner.registry import bundled
from minis.scene import Pixels
from minis.scores import samples
from minis.scores.shipped_models import ShippedModels
from minis.training import to_tensor


def measure(models: ShippedModels, amount: int = 64) -> dict[str, float]:
    """Mean PSNR over whole scenes of 128 px, through the file in mini-sd-inpaint."""
    folder = bundled.folder("mini-sd-inpaint") / "vae"
    coder = AutoencoderTiny.from_pretrained(folder, torch_dtype=torch.float32).eval()
    shown = [scene.image for scene in samples.held_out(amount)]
    batches = [shown[k : k + 16] for k in range(0, amount, 16)]
    back = [image for batch in batches for image in returned(coder, batch)]
    return {"vae-psnr": mean(psnr(a, b) for a, b in zip(shown, back, strict=True))}


@torch.inference_mode()
def returned(coder: AutoencoderTiny, images: Sequence[Pixels]) -> list[Pixels]:
    """RGB pictures, encoded and decoded, rounded to bytes as they are saved."""
    decoded = coder.decode(coder.encode(to_tensor(list(images))).latents).sample
    array = ((decoded.clamp(-1, 1) + 1) * 127.5).round().byte()
    return list(array.permute(0, 2, 3, 1).numpy())


def psnr(a: Pixels, b: Pixels) -> float:
    """Peak signal to noise in dB of two RGB pictures of bytes."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))
