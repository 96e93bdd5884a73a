"""Folders of the pipelines of ``diffusion_fill``, real classes, tiny and untrained.

The same seed writes the same weights. Names are those of ``KINDS``' pipelines.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.models.tiny_sd import clip_text_encoder, clip_tokenizer

WIDTH = 16


def save_tiny_fill(folder: Path, *, pipeline: str = "FluxFillPipeline", seed: int = 0) -> Path:
    """Write a folder in the format of ``from_pretrained``; returns ``folder``."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        {**PIPELINES, **RELATIVES}[pipeline]().save_pretrained(folder)
    return folder


def _flux_fill() -> Any:
    import diffusers

    # The latents and the picture's, packed by four, and 8 x 8 x 4 pixels of the mask.
    return diffusers.FluxFillPipeline(**_flux_parts(in_channels=16 + 16 + 256, guided=True))


def _flux(*, guided: bool = False) -> Any:
    import diffusers

    return diffusers.FluxPipeline(**_flux_parts(in_channels=16, guided=guided))


def _stable_diffusion_3_without_t5() -> Any:
    import diffusers

    parts = _stable_diffusion_3().components | {"text_encoder_3": None, "tokenizer_3": None}
    return diffusers.StableDiffusion3Pipeline(**parts)


def _flux_parts(*, in_channels: int, guided: bool) -> dict[str, Any]:
    import diffusers

    return {
        "transformer": diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=in_channels,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=guided,
            axes_dims_rope=(4, 4, 8),
        ),
        "vae": _autoencoder(latents=4),
        "text_encoder": clip_text_encoder("CLIPTextModel"),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": _t5(),
        "tokenizer_2": _t5_tokenizer(),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    }


def _stable_diffusion_3() -> Any:
    import diffusers

    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=16,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=16,
            pooled_projection_dim=2 * WIDTH,
            out_channels=16,
            pos_embed_max_size=16,
        ),
        vae=_autoencoder(latents=16),
        text_encoder=clip_text_encoder("CLIPTextModelWithProjection"),
        tokenizer=clip_tokenizer(),
        text_encoder_2=clip_text_encoder("CLIPTextModelWithProjection"),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=_t5(width=2 * WIDTH),
        tokenizer_3=_t5_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _qwen_image() -> Any:
    import diffusers
    import transformers

    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default"},
        },
        vision_config={
            "depth": 1,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
        },
    )
    return diffusers.QwenImagePipeline(
        transformer=diffusers.QwenImageTransformer2DModel(
            patch_size=2,
            in_channels=16,
            out_channels=4,
            num_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(8, 4, 4),
        ),
        vae=diffusers.AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1, 2, 2],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.1, 0.0, -0.1, 0.2],
            latents_std=[1.0, 1.1, 0.9, 1.0],
        ),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(config),
        tokenizer=tokenizer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def _z_image() -> Any:
    import diffusers
    import transformers

    tokenizer = _qwen_tokenizer()
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
    )
    transformer = diffusers.ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=16,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[8, 4, 4],
        axes_lens=[1024, 32, 32],
    )
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        torch.nn.init.ones_(token)  # what the class leaves there was never written
    return diffusers.ZImagePipeline(
        transformer=transformer,
        vae=_autoencoder(latents=16),
        text_encoder=transformers.Qwen3Model(config),
        tokenizer=tokenizer,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _kandinsky() -> Any:
    import diffusers
    import transformers

    prior = diffusers.PriorTransformer(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        embedding_dim=WIDTH,
        num_embeddings=77,
    )
    torch.nn.init.ones_(
        prior.clip_std
    )  # a spread of 0, as the class begins, is a picture of nothing
    vision = transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        projection_dim=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=9,
        out_channels=8,  # the mean and the variance
        addition_embed_type="image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        encoder_hid_dim=WIDTH,
        encoder_hid_dim_type="image_proj",
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
    )
    text_encoder = clip_text_encoder("CLIPTextModelWithProjection")
    torch.nn.init.normal_(text_encoder.text_projection.weight, std=2.0)  # else words hardly matter
    movq = diffusers.VQModel(
        block_out_channels=(32, 32, 32, 32),  # its norms come in groups of 32
        down_block_types=("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",),
        up_block_types=("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        norm_type="spatial",
        num_vq_embeddings=12,
        vq_embed_dim=4,
    )
    return diffusers.KandinskyV22InpaintCombinedPipeline(
        unet=unet,
        movq=movq,
        scheduler=diffusers.DDPMScheduler(
            beta_start=0.00085, beta_end=0.012, variance_type="learned_range", clip_sample=False
        ),
        prior_prior=prior,
        prior_image_encoder=transformers.CLIPVisionModelWithProjection(vision),
        prior_text_encoder=text_encoder,
        prior_tokenizer=clip_tokenizer(),
        prior_scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", num_train_timesteps=1000
        ),
        prior_image_processor=transformers.CLIPImageProcessorPil(crop_size=32, size=32),
    )


PIPELINES: Mapping[str, Callable[[], Any]] = {
    "FluxFillPipeline": _flux_fill,
    "FluxInpaintPipeline": _flux,
    "KandinskyV22InpaintCombinedPipeline": _kandinsky,
    "QwenImageInpaintPipeline": _qwen_image,
    "ZImageInpaintPipeline": _z_image,
    "StableDiffusion3InpaintPipeline": _stable_diffusion_3,
}

RELATIVES: Mapping[str, Callable[[], Any]] = {
    "FLUX.1 dev": lambda: _flux(guided=True),
    "Stable Diffusion 3 without T5": _stable_diffusion_3_without_t5,
}
"""Other kinds of the same pipelines, by their titles."""


def _autoencoder(*, latents: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=latents,
        sample_size=64,
        scaling_factor=0.36,
        shift_factor=0.11,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _t5(*, width: int = WIDTH) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=256,
            d_model=width,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
        )
    )


def _t5_tokenizer() -> Any:
    """A letter is a token."""
    from transformers import T5Tokenizer

    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(chr(code), -3.0) for code in range(ord("a"), ord("z") + 1)]
    return T5Tokenizer(vocab=marks + letters, extra_ids=0, model_max_length=512)


def _qwen_tokenizer() -> Any:
    """Bytes, Qwen's marks, and the chat template by which it is asked."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    letters = {letter: k for k, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(
        vocab=letters,
        merges=[],
        model_max_length=1024,
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
        "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
    )
    return tokenizer
