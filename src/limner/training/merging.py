"""Whole models with what was taught in them, and adapters in other programs' layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from limner.errors import ModelError
from limner.models.adapters import add_adapters
from limner.models.source import Adapter, Weights
from limner.models.stable_diffusion_folder import WITHOUT, errors_only
from limner.training.base import find_base
from limner.training.checkpoints import TRAINED, write_folder

PARTS = {"unet": "lora_unet", "text_encoder": "lora_te"}
"""Prefixes of kohya's layout for Stable Diffusion 1 and 2."""
KINDS = {"lora_A": "lora_down", "lora_B": "lora_up", "down": "lora_down", "up": "lora_up"}


def merge(model: str, adapters: Sequence[Adapter], out: Path) -> None:
    """A folder with the base and its adapters in one: any program that reads diffusers' folders
    paints with it.

    Raises:
        ModelError: an adapter that doesn't fit.
        OSError: it can't be written; nothing is left.
    """
    weights = find_base(model)

    def change(pipe: Any) -> None:
        add_adapters(pipe, Weights(weights.ref, weights.path, adapters=tuple(adapters)))
        pipe.fuse_lora()
        pipe.unload_lora_weights()

    _save_changed(weights, change, out)


def save_taught(model: str, checkpoint: Path, out: Path) -> None:
    """A folder with the base and what full fine-tuning made of its parts.

    Raises:
        OSError: it can't be written; nothing is left.
    """
    trained = load_file(checkpoint / TRAINED)

    def change(pipe: Any) -> None:
        for part in ("unet", "text_encoder"):
            own = {k.removeprefix(f"{part}."): v for k, v in trained.items() if _of(k) == part}
            if own:
                getattr(pipe, part).load_state_dict(own, strict=False)

    _save_changed(find_base(model), change, out)


def _save_changed(weights: Weights, change: Callable[[Any], None], out: Path) -> None:
    """The base as its own kind of pipeline, in full precision, changed and saved."""
    assert weights.path is not None
    index = json.loads((weights.path / "model_index.json").read_text("utf-8"))
    kind = index["_class_name"]
    left_out = WITHOUT.get(kind, {}) if "XL" in kind else WITHOUT["StableDiffusionInpaintPipeline"]
    with errors_only(transformers), errors_only(diffusers):
        pipe = getattr(diffusers, kind).from_pretrained(
            str(weights.path),
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            **left_out,
        )
    change(pipe)
    write_folder(out, lambda folder: pipe.save_pretrained(folder, safe_serialization=True))


def kohya(path: Path) -> bytes:
    """A LoRA file in the layout of kohya's sd-scripts, which A1111 and ComfyUI read.

    ``unet.a.b.lora_A.weight`` becomes ``lora_unet_a_b.lora_down.weight``; each pair gets its alpha,
    which is the rank.

    Raises:
        ModelError: a file of another layout, or one that can't be read.
    """
    try:
        matrices = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} can't be read: {error}.") from error
    found: dict[str, torch.Tensor] = {}
    for key, matrix in matrices.items():
        module, kind = _module(key, path)
        found[f"{module}.{kind}.weight"] = matrix.contiguous()
        if kind == "lora_down":
            found[f"{module}.alpha"] = torch.tensor(float(len(matrix)))
    ranks = sorted({len(m) for k, m in found.items() if k.endswith("lora_down.weight")})
    about = {"ss_network_module": "networks.lora", "ss_network_dim": ",".join(map(str, ranks))}
    return save(found, metadata=about)


def _module(key: str, path: Path) -> tuple[str, str]:
    """kohya's name of the module that a matrix belongs to, and of the matrix."""
    form = r"(unet|text_encoder)\.(.+?)\.(?:lora\.|lora_linear_layer\.)?(lora_A|lora_B|down|up)"
    parts = re.fullmatch(form + r"\.weight", key)
    if parts is None:
        raise ModelError(f"{path} has {key!r}: expected a LoRA for Stable Diffusion 1 or 2.")
    part, module, kind = parts.groups()
    if part == "text_encoder" and not module.startswith("text_model."):
        module = f"text_model.{module}"  # a level that transformers 5 no longer has
    return f"{PARTS[part]}_{module.replace('.', '_')}", KINDS[kind]


def _of(name: str) -> str:
    return name.partition(".")[0]
