"""SAM 2 and HQ-SAM models of the real classes with random weights, as folders on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Sam2Config,
    Sam2Model,
    Sam2VideoConfig,
    Sam2VideoModel,
    SamHQConfig,
    SamHQModel,
)

from tests.models.tiny_sam import tiny_processor

SIDE = 128
SIZES = [[32, 32], [16, 16], [8, 8]]
PROMPTS = {"hidden_size": 32, "image_size": SIDE, "mask_input_channels": 8}
DECODER = {"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
VISION = {
    "backbone_config": {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 24, 32],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [8, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    },
    "backbone_channel_list": [32, 24, 16, 8],
    "backbone_feature_sizes": SIZES,
    "fpn_hidden_size": 32,
}


def stir(model: Any, *, std: float, seed: int) -> Any:
    """Random weights whose masks are neither empty nor full."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in (*model.named_parameters(), *model.named_buffers()):
            if weight.is_floating_point() and "norm" not in name:
                spread = 1.0 if "positional_embedding" in name else std
                weight.normal_(0, spread, generator=generator)
        model.eval()
    return model


def save_tiny_sam2(
    folder: Path, *, seed: int = 0, video: bool = False, stable: float = 0.98
) -> Path:
    """A SAM 2 for 128 x 128 pixels.

    Args:
        video: with a memory, as the hub's checkpoints have it.
        stable: least stability of the single-mask token's answer for it to be given.
    """
    decoder = {**DECODER, "dynamic_multimask_stability_thresh": stable}
    parts = {
        "vision_config": VISION,
        "prompt_encoder_config": PROMPTS,
        "mask_decoder_config": decoder,
    }
    if video:
        memory = {
            "image_size": SIDE,
            "memory_attention_hidden_size": 32,
            "memory_attention_num_layers": 1,
            "memory_attention_feed_forward_hidden_size": 32,
            "memory_attention_rope_feat_sizes": [8, 8],
            "memory_encoder_hidden_size": 32,
            "memory_encoder_output_channels": 16,
            "mask_downsampler_embed_dim": 32,
            "memory_fuser_embed_dim": 32,
            "memory_fuser_intermediate_dim": 32,
        }
        model = Sam2VideoModel(Sam2VideoConfig(**parts, **memory))
    else:
        model = Sam2Model(Sam2Config(**parts))
    stir(model, std=0.2, seed=seed).save_pretrained(folder)
    said = {"size": {"height": SIDE, "width": SIDE}, "image_processor_type": "Sam2ImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def save_tiny_sam_hq(folder: Path, *, seed: int = 0) -> Path:
    """An HQ-SAM for 128 x 128 pixels."""
    config = SamHQConfig(
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
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 48,
            "num_attention_heads": 2,
            "vit_dim": 24,
        },
    )
    stir(SamHQModel(config), std=0.2, seed=seed).save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder
