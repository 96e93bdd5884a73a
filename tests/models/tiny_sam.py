"""SAMs of the real classes with random weights, as folders on disk."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import SamConfig, SamImageProcessorPil, SamModel

SIDE = 128


def random_sam(config: SamConfig, *, std: float, seed: int) -> SamModel:
    """``SamConfig()`` initialises with std 1e-10; a trained SAM's frequencies have std 1."""
    model = SamModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                spread = 1.0 if "positional_embedding" in name else std
                weight.normal_(0, spread, generator=generator)
    return model


def save_tiny_sam(folder: Path, *, seed: int = 0, processor: bool = True) -> Path:
    """A SAM for 128 x 128 pixels whose masks are neither empty nor full."""
    config = SamConfig(
        vision_config={
            "hidden_size": 24,
            "output_channels": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 16,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 2},
    )
    random_sam(config, std=0.2, seed=seed).save_pretrained(folder)
    if processor:
        tiny_processor().save_pretrained(folder)
    return folder


def tiny_processor() -> SamImageProcessorPil:
    square = {"height": SIDE, "width": SIDE}
    return SamImageProcessorPil(size={"longest_edge": SIDE}, pad_size=square)
