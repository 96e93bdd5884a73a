"""LaMa's network, tiny and untrained, in the file that the real weights come in."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from limner.models.lama.lama import FILE
from limner.models.lama.network import Generator


def tiny_generator(*, seed: int = 0) -> Generator:
    """Its normalisations too hold numbers that matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Generator(width=8, blocks=2, global_channels=48)
        for name, buffer in network.named_buffers():
            if "running_mean" in name:
                buffer.normal_(0, 0.1)
            elif "running_var" in name:
                buffer.uniform_(0.5, 1.5)
    return network.eval()


def save_tiny_lama(folder: Path, *, prefix: str = "", seed: int = 0) -> Path:
    """Write a folder; returns it.

    Args:
        prefix: before each name, as files have that were saved in training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        prefix + name: value for name, value in tiny_generator(seed=seed).state_dict().items()
    }
    save_file(weights, folder / FILE)
    return folder
