"""A small EdgeTAM of the real classes, timm's RepViT within, with random weights, on disk."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    EdgeTamVideoConfig,
    EdgeTamVideoModel,
    EdgeTamVisionConfig,
    TimmWrapperConfig,
)

from tests.models.tiny_sam2 import DECODER, PROMPTS, SIDE, SIZES, stir

STAGES = (8, 16, 24, 32)


def save_tiny_edgetam(folder: Path, *, seed: int = 5, video: bool = False) -> Path:
    """For 128 x 128 pixels; timm must be installed.

    Args:
        video: with a memory, as the hub's checkpoint has it.
    """
    shape = {"embed_dim": STAGES, "depth": (1, 1, 2, 1)}
    features = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    backbone = TimmWrapperConfig(architecture="repvit_m1", model_args={**features, **shape})
    vision = EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=list(STAGES[::-1]),
        backbone_feature_sizes=SIZES,
        fpn_hidden_size=32,
    )
    parts = {
        "vision_config": vision,
        "prompt_encoder_config": PROMPTS,
        "mask_decoder_config": DECODER,
    }
    if video:
        memory = {
            "image_size": SIDE,
            "memory_attention_hidden_size": 32,
            "memory_attention_num_layers": 1,
            "memory_attention_mlp_hidden_size": 32,
            "memory_attention_rope_feat_sizes": [8, 8],
            "memory_encoder_hidden_size": 32,
            "memory_encoder_output_channels": 16,
            "mask_downsampler_embed_dim": 32,
            "memory_fuser_embed_dim": 32,
            "memory_fuser_intermediate_dim": 32,
        }
        model = EdgeTamVideoModel(EdgeTamVideoConfig(**parts, **memory))
    else:
        model = EdgeTamModel(EdgeTamConfig(**parts))
    # A variance can't be negative.
    variances = {k: v.clone() for k, v in model.named_buffers() if k.endswith("running_var")}
    stir(model, std=0.2, seed=seed)
    for name, buffer in model.named_buffers():
        if name in variances:
            buffer.copy_(variances[name])
    model.save_pretrained(folder)
    said = {"size": {"height": SIDE, "width": SIDE}, "image_processor_type": "Sam2ImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder
