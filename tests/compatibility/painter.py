"""The samples' painter: Stable Diffusion for inpainting with random weights, the real classes as
small as they go, in half precision. It paints noise; what counts is that it is the same noise."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

WIDTH = 16


def save_painter(folder: Path) -> None:
    """Write 150 kB in the format of ``from_pretrained``."""
    import diffusers
    import transformers
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{each}</w>" for each in letters), "<|startoftext|>", "<|endoftext|>"]
    size = len(tokens)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        unet = diffusers.UNet2DConditionModel(
            sample_size=8,
            in_channels=9,
            out_channels=4,
            block_out_channels=(8,),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",),
            cross_attention_dim=WIDTH,
            attention_head_dim=8,
            norm_num_groups=4,
        )
        vae = diffusers.AutoencoderKL(
            block_out_channels=(4, 4, 4, 4),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=2,
            latent_channels=4,
            sample_size=64,
        )
        words = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=size,
                hidden_size=WIDTH,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=77,
                bos_token_id=size - 2,
                eos_token_id=size - 1,
                pad_token_id=size - 1,
            )
        )
        painter = diffusers.StableDiffusionInpaintPipeline(
            vae=vae,
            text_encoder=words,
            tokenizer=transformers.CLIPTokenizer(
                vocab={token: k for k, token in enumerate(tokens)}, merges=[], model_max_length=77
            ),
            unet=unet,
            scheduler=diffusers.PNDMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                num_train_timesteps=1000,
                skip_prk_steps=True,
                set_alpha_to_one=False,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        painter.to(torch.float16).save_pretrained(folder)
