"""The package's folder of minis with random weights: the shapes of the ones that ship, fewer and
narrower layers, float16 on disk."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessorPil,
    SamConfig,
    SamImageProcessorPil,
)

from limner.registry import bundled
from tests.models.tiny_encoders import save_tiny_blip, save_tiny_dino, stirred
from tests.models.tiny_owlvit import stir
from tests.models.tiny_sam import random_sam

LATENTS = 16
HOLDS = 16
"""Tokens of a text."""
WIDE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
GREY = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CAPTIONS = [
    "a red car",
    "two apples on grass",
    "a car beside an apple",
    "an apple",
    "the red apple",
]


def ship(monkeypatch: pytest.MonkeyPatch, root: Path, templates: Path) -> Path:
    """Make ``root`` the package's folder of minis, with a copy of each of ``templates``."""
    shutil.copytree(templates, root)
    monkeypatch.setattr(bundled, "root", lambda: root)
    monkeypatch.setattr(bundled, "lock_file", lambda: root.parent / "minis.lock.json")
    bundled.record()
    return root


def save_tiny_minis(root: Path) -> Path:
    """All seven; returns ``root``."""
    save_mini_clip(root / "mini-clip")
    save_tiny_dino(root / "mini-dino")
    save_tiny_blip(root / "mini-blip")
    save_mini_owlvit(root / "mini-owlvit")
    save_mini_sam(root / "mini-sam")
    save_mini_sd(root / "mini-sd-inpaint")
    save_mini_sd(root / "mini-sd", inpaints=False)
    return root


def save_mini_sam(folder: Path) -> Path:
    """128 px in patches of 8: masks of 64 x 64 before they are enlarged."""
    config = SamConfig(
        vision_config={
            "hidden_size": 24,
            "output_channels": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 128,
            "patch_size": 8,
            "window_size": 8,
            "global_attn_indexes": [1],
            "use_rel_pos": False,
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 128, "patch_size": 8},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 2},
    )
    random_sam(config, std=0.2, seed=0).half().save_pretrained(folder)
    SamImageProcessorPil(
        size={"longest_edge": 128},
        pad_size={"height": 128, "width": 128},
        mask_size={"longest_edge": 64},
        mask_pad_size={"height": 64, "width": 64},
        **GREY,
    ).save_pretrained(folder)
    return folder


def save_mini_owlvit(folder: Path) -> Path:
    """144 px in patches of 12."""
    text = text_config(save_tokenizer(folder))
    vision = {**WIDE, "image_size": 144, "patch_size": 12}
    config = OwlViTConfig(text_config=text, vision_config=vision, projection_dim=32)
    model = OwlViTForObjectDetection(config)
    stir(model, 0)
    model.half().save_pretrained(folder)
    OwlViTImageProcessorPil(size={"height": 144, "width": 144}, **GREY).save_pretrained(folder)
    return folder


def save_mini_clip(folder: Path) -> Path:
    """A square picture as it is, without a crop."""
    text = text_config(save_tokenizer(folder))
    vision = {**WIDE, "image_size": 72, "patch_size": 12}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    stirred(CLIPModel(config), 0).half().save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"height": 72, "width": 72}, do_center_crop=False, **GREY
    ).save_pretrained(folder)
    return folder


def save_mini_sd(folder: Path, *, inpaints: bool = True) -> Path:
    """64 px, an ``AutoencoderTiny`` of 16 latent channels, v-prediction from pure noise."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        tokenizer = save_tokenizer(folder / "tokenizer")
        parts: dict[str, Any] = {
            "vae": diffusers.AutoencoderTiny(
                encoder_block_out_channels=(8,) * 4,
                decoder_block_out_channels=(8,) * 4,
                latent_channels=LATENTS,
                num_encoder_blocks=(0, 1, 1, 1),
                num_decoder_blocks=(1, 1, 1, 0),
            ).half(),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text_config(tokenizer))).half(),
            "tokenizer": tokenizer,
            "unet": diffusers.UNet2DConditionModel(
                sample_size=8,
                in_channels=2 * LATENTS + 1 if inpaints else LATENTS,
                out_channels=LATENTS,
                block_out_channels=(16, 32),
                down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
                layers_per_block=1,
                cross_attention_dim=WIDE["hidden_size"],
                attention_head_dim=4,
                norm_num_groups=8,
            ).half(),
            "scheduler": diffusers.DDIMScheduler(
                beta_schedule="scaled_linear",
                beta_start=0.00085,
                beta_end=0.012,
                prediction_type="v_prediction",
                rescale_betas_zero_snr=True,
                timestep_spacing="trailing",
                clip_sample=False,
            ),
        }
        kind = (
            diffusers.StableDiffusionInpaintPipeline
            if inpaints
            else diffusers.StableDiffusionPipeline
        )
        kind(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        ).save_pretrained(folder)
    return folder


def text_config(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    return {
        **WIDE,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": HOLDS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    """A byte-level BPE learned from ``CAPTIONS``; the ends have the highest ids."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(CAPTIONS, trainer)
    merges = [" ".join(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += [merge.replace(" ", "") for merge in merges]
    words = [*dict.fromkeys(words), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True, model_max_length=HOLDS)
    tokenizer.save_pretrained(folder)
    return tokenizer
