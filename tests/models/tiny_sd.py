"""Stable Diffusion folders of a few hundred kilobytes: the real classes, tiny and untrained.

The same seed writes the same weights. The pictures are noise; what they are good for is to see
that a setting changes them, and that the same settings give them again.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch

Kind = Literal["inpaint", "text2img", "sdxl-inpaint"]

NATIVE_SIZE = 64  # pixels: 8 latents times the autoencoder's factor of 8
TEXT_WIDTH = 16


def save_tiny_sd(folder: Path, *, kind: Kind = "inpaint", seed: int = 0) -> Path:
    """Write a folder in the format of ``from_pretrained``; returns ``folder``.

    Args:
        kind: ``inpaint`` has a U-Net of 9 input channels, ``text2img`` one of 4,
            ``sdxl-inpaint`` 9 channels and two text encoders.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        _pipeline(kind).save_pretrained(folder)
    return folder


def _pipeline(kind: Kind) -> Any:
    import diffusers

    parts = {
        "vae": _autoencoder(),
        "tokenizer": _tokenizer(),
        "text_encoder": _text_encoder("CLIPTextModel"),
        "unet": _unet(channels=4 if kind == "text2img" else 9, xl=kind == "sdxl-inpaint"),
        "scheduler": _scheduler(),
    }
    if kind == "sdxl-inpaint":
        return diffusers.StableDiffusionXLInpaintPipeline(
            **parts,
            tokenizer_2=_tokenizer(),
            text_encoder_2=_text_encoder("CLIPTextModelWithProjection"),
            add_watermarker=False,
        )
    classes = {
        "inpaint": diffusers.StableDiffusionInpaintPipeline,
        "text2img": diffusers.StableDiffusionPipeline,
    }
    return classes[kind](
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )


def _autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
        sample_size=NATIVE_SIZE,
    )


def _unet(*, channels: int, xl: bool) -> Any:
    from diffusers import UNet2DConditionModel

    extra: dict[str, Any] = {}
    if xl:
        # As in SDXL: the pooled text (TEXT_WIDTH) and six sizes of 8 numbers each go in as well.
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": TEXT_WIDTH + 6 * 8,
            "transformer_layers_per_block": 1,
            "use_linear_projection": True,
        }
    return UNet2DConditionModel(
        sample_size=NATIVE_SIZE // 8,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=2 * TEXT_WIDTH if xl else TEXT_WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
        **extra,
    )


def _text_encoder(name: str) -> Any:
    import transformers

    size = len(_vocabulary())
    config = transformers.CLIPTextConfig(
        vocab_size=size,
        hidden_size=TEXT_WIDTH,
        intermediate_size=32,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
        pad_token_id=size - 1,
    )
    return getattr(transformers, name)(config)


def _tokenizer() -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=77)


def _vocabulary() -> dict[str, int]:
    """Every byte, inside a word and at its end: a letter is a token, so 75 letters fill CLIP."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>"]
    return {token: index for index, token in enumerate([*tokens, "<|endoftext|>"])}


def _scheduler() -> Any:
    """Stable Diffusion 1.5's own schedule."""
    from diffusers import PNDMScheduler

    return PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        num_train_timesteps=1000,
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )
