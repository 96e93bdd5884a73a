"""A SAM 3 of the real classes with random weights, as a folder on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    Sam3Config,
    Sam3Model,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    Sam3VideoConfig,
    Sam3VideoModel,
)

from tests.models.tiny_owlvit import save_clip_tokenizer
from tests.models.tiny_sam2 import DECODER, PROMPTS, stir

SIDE = 112
VISION: dict[str, Any] = {
    "model_type": "sam3_vision_model",
    "backbone_config": {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
    },
    "fpn_hidden_size": 32,
    "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
}
SMALL = {"hidden_size": 32, "num_attention_heads": 2}
LAYERS = {**SMALL, "num_layers": 1, "intermediate_size": 48}
TRACKER: dict[str, Any] = {
    "vision_config": VISION,
    "prompt_encoder_config": {**PROMPTS, "image_size": SIDE, "patch_size": 14},
    "mask_decoder_config": DECODER,
}


def _detector(folder: Path) -> dict[str, Any]:
    tokenizer = save_clip_tokenizer(folder)
    return {
        "vision_config": VISION,
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "projection_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 16,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        },
        "geometry_encoder_config": LAYERS,
        "detr_encoder_config": LAYERS,
        "detr_decoder_config": {**LAYERS, "num_queries": 12},
        "mask_decoder_config": SMALL,
    }


def _lively(model: Any) -> None:
    """Scores from 0 to 1 and boxes of many sizes."""
    with torch.no_grad():
        model.detr_decoder.presence_head.layer3.bias.fill_(3.0)


def save_tiny_sam3(folder: Path, *, seed: int = 0) -> Path:
    """A SAM 3 for 112 x 112 pixels in 8 x 8 patches, with 12 candidates an image."""
    torch.manual_seed(seed)
    model = stir(Sam3Model(Sam3Config(**_detector(folder))), std=0.25, seed=seed)
    _lively(model)
    model.save_pretrained(folder)
    said = {"size": {"height": SIDE, "width": SIDE}, "image_processor_type": "Sam3ImageProcessor"}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": said}))
    return folder


def save_tiny_sam3_video(folder: Path, *, seed: int = 0) -> Path:
    """The whole, with what takes clicks and what remembers, as the hub's checkpoint has it."""
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
    config = Sam3VideoConfig(
        detector_config=_detector(folder), tracker_config={**TRACKER, **memory}
    )
    model = stir(Sam3VideoModel(config), std=0.25, seed=seed)
    _lively(model.detector_model)
    # Under the modules' own names, as on the hub: transformers 5.23 saves ``tracker_model.`` twice.
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    return folder


def save_tiny_sam3_tracker(folder: Path, *, seed: int = 0) -> Path:
    """Only the part that takes clicks."""
    stir(Sam3TrackerModel(Sam3TrackerConfig(**TRACKER)), std=0.2, seed=seed).save_pretrained(folder)
    return folder
