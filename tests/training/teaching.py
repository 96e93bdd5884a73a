"""Teaching at the size of a test: a tiny untrained Stable Diffusion, six steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limner.options import TeachOptions
from limner.training.dreambooth import TeachConfig

PROMPTS = {"instance_prompt": "a sks dog", "class_prompt": "a dog"}
"""Every letter is a token of the tiny tokenizer, which therefore warns; 75 fit."""


def options(**given: Any) -> TeachOptions:
    small: dict[str, Any] = {
        "max_train_steps": 6,
        "checkpointing_steps": 2,
        "train_batch_size": 2,
        "resolution": 32,
    }
    if given.get("method") != "full":
        small["rank"] = 2
    if given.get("with_prior_preservation", True):
        small |= {"num_class_images": 3, "sample_batch_size": 2}
    return TeachOptions(**{**PROMPTS, **small, **given})


def order(base: Path, photos: Path, folder: Path, **given: Any) -> TeachConfig:
    return TeachConfig(str(base), photos, folder, options(**given), device="cpu")
