"""Stable Diffusion folders of a few hundred kilobytes: the real classes, tiny and untrained.

The same seed writes the same weights. The pictures are noise; what they are good for is to see
that a setting changes them, and that the same settings give them again.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import torch

Kind = Literal["inpaint", "text2img", "sdxl-inpaint", "sdxl-text2img", "sdxl-refiner"]

NATIVE_SIZE = 64  # pixels: 8 latents times the autoencoder's factor of 8
TEXT_WIDTH = 16


def save_tiny_sd(folder: Path, *, kind: Kind = "inpaint", seed: int = 0) -> Path:
    """Write a folder in the format of ``from_pretrained``; returns ``folder``.

    Args:
        kind: ``inpaint`` has a U-Net of 9 input channels, ``text2img`` one of 4,
            ``sdxl-inpaint`` 9 channels and two text encoders, ``sdxl-text2img`` 4 and
            two, ``sdxl-refiner`` 4 and the second text encoder alone.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        _pipeline(kind).save_pretrained(folder)
    return folder


def save_tiny_lora(folder: Path, painter: Path, *, seed: int = 0) -> Path:
    """Write a LoRA for a painter's U-Net, made by peft and strong enough to be seen; returns the
    file."""
    import diffusers
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = diffusers.UNet2DConditionModel.from_pretrained(painter, subfolder="unet")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet.add_adapter(
            LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
        )
        for name, weight in unet.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    diffusers.StableDiffusionInpaintPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder / "pytorch_lora_weights.safetensors"


def _pipeline(kind: Kind) -> Any:
    import diffusers

    if kind == "sdxl-refiner":
        return diffusers.StableDiffusionXLImg2ImgPipeline(
            vae=_autoencoder(),
            tokenizer=None,
            text_encoder=None,
            tokenizer_2=clip_tokenizer(),
            text_encoder_2=clip_text_encoder("CLIPTextModelWithProjection"),
            unet=_unet(channels=4, xl=True, sizes=5, text_width=TEXT_WIDTH),
            scheduler=_scheduler(),
            requires_aesthetics_score=True,
            add_watermarker=False,
        )
    parts = {
        "vae": _autoencoder(),
        "tokenizer": clip_tokenizer(),
        "text_encoder": clip_text_encoder("CLIPTextModel"),
        "unet": _unet(channels=4 if "text2img" in kind else 9, xl="sdxl" in kind),
        "scheduler": _scheduler(),
    }
    xl = {
        "sdxl-inpaint": diffusers.StableDiffusionXLInpaintPipeline,
        "sdxl-text2img": diffusers.StableDiffusionXLPipeline,
    }
    if kind in xl:
        return xl[kind](
            **parts,
            tokenizer_2=clip_tokenizer(),
            text_encoder_2=clip_text_encoder("CLIPTextModelWithProjection"),
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


def _unet(*, channels: int, xl: bool, sizes: int = 6, text_width: int = 2 * TEXT_WIDTH) -> Any:
    from diffusers import UNet2DConditionModel

    extra: dict[str, Any] = {}
    if xl:
        # As in SDXL: the pooled text (TEXT_WIDTH) and six sizes of 8 numbers each go in as well;
        # in its refiner five.
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": TEXT_WIDTH + sizes * 8,
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
        cross_attention_dim=text_width if xl else TEXT_WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
        **extra,
    )


def clip_text_encoder(name: str) -> Any:
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


def clip_tokenizer() -> Any:
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
