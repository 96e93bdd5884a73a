"""CLIP, DINO, BLIP and BLIP-2 of the real classes with random weights, as the hub has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    BertTokenizer,
    BitImageProcessorPil,
    Blip2Config,
    Blip2ForConditionalGeneration,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from tests.models.tiny_owlvit import save_clip_tokenizer

SIDE = 32
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
VISION = {**SMALL, "image_size": SIDE, "patch_size": 8}
CROP = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "car", "two", "apples", "on")


def save_tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """A CLIP that sees 32 x 32 pixels and reads 16 tokens."""
    tokenizer = save_clip_tokenizer(folder)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**SMALL, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 16}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24))
    stirred(model, seed).save_pretrained(folder)
    CLIPImageProcessorPil(**CROP).save_pretrained(folder)
    return folder


def save_tiny_dino(
    folder: Path, *, kind: Literal["dinov2", "vit"] = "dinov2", seed: int = 0
) -> Path:
    """``vit``: as DINO's own checkpoints, without a pooler."""
    if kind == "dinov2":
        config = Dinov2Config(**{**VISION, "image_size": SIDE + 8, "mlp_ratio": 2})
        stirred(Dinov2Model(config), seed).save_pretrained(folder)
        BitImageProcessorPil(**CROP).save_pretrained(folder)
    else:
        model = ViTModel(ViTConfig(**VISION), add_pooling_layer=False)
        stirred(model, seed).save_pretrained(folder)
        ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_tiny_blip(folder: Path, *, seed: int = 0) -> Path:
    """A BLIP whose captions are random words of ``WORDS``."""
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(WORDS)})
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    text = {
        **SMALL,
        "encoder_hidden_size": SMALL["hidden_size"],
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 48,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=VISION))
    stirred(model, seed).save_pretrained(folder)
    BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_blip2(folder: Path, *, seed: int = 0) -> Path:
    """A BLIP-2 with an OPT of two layers, whose captions are random words of ``WORDS``."""
    tokenizer = BertTokenizer(vocab={word: n for n, word in enumerate(WORDS)})
    tokenizer.add_special_tokens({"bos_token": "[DEC]", "eos_token": "[SEP]"})
    tokenizer.add_tokens(["<image>"], special_tokens=True)
    text = {
        "model_type": "opt",
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 64,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={**SMALL, "encoder_hidden_size": SMALL["hidden_size"], "vocab_size": 16},
        text_config=text,
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    stirred(Blip2ForConditionalGeneration(config), seed).save_pretrained(folder)
    BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def stirred(model: Any, seed: int) -> Any:
    """Weights so large that no two pictures or texts get the same answer, as they would with
    transformers' own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                spread = parameter[0].numel() ** -0.5
                parameter.normal_(0, spread, generator=generator)
    return model
