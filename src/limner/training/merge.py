"""Merging adapters into a base model, and writing them in other programs' layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from limner.errors import FileError, ModelError
from limner.models.diffusion.loading import WITHOUT, errors_only
from limner.models.diffusion.lora import add_adapters
from limner.registry import weight_files
from limner.registry.pool import explaining
from limner.registry.store import DEFAULTS
from limner.registry.weights import Adapter, Runtime, Weights
from limner.training.base_model import find_base
from limner.training.checkpoints import TRAINED, write_folder
from limner.untrusted.json_toml import parse_json, read_json, read_json_object

PARTS = {"unet": "lora_unet", "text_encoder": "lora_te"}
"""Prefixes of kohya's layout for Stable Diffusion 1 and 2."""
PARTS_XL = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}
"""The same for SDXL."""
DOWN, UP = (
    re.compile(rf"(?:unet\.)?{side}_blocks\.\d+\.attentions\.(\d+)") for side in ("down", "up")
)
NAMED_BASE = "base_model_name_or_path"
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
    index = read_json_object(weights.path / "model_index.json")
    kind = index["_class_name"]
    left_out = WITHOUT.get(kind, {}) if "XL" in kind else WITHOUT["StableDiffusionInpaintPipeline"]
    with explaining(weights, Runtime()), errors_only(transformers), errors_only(diffusers):
        weight_files.check(weights.path)
        pipe = getattr(diffusers, kind).from_pretrained(
            str(weights.path),
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            **left_out,
        )
    change(pipe)

    def fill(folder: Path) -> None:
        pipe.save_pretrained(folder, safe_serialization=True)
        for config in folder.rglob("*.json"):
            _forget_paths(config)
        if weights.defaults:
            text = json.dumps(weights.defaults, indent=2) + "\n"
            (folder / DEFAULTS).write_text(text, "utf-8")

    write_folder(out, fill)


def _forget_paths(config: Path) -> None:
    """Where a part lay on this machine is nobody's business who gets the folder."""
    content = read_json(config)
    if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
        config.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def diffusers_layout(path: Path) -> bytes:
    """A subject's LoRA file for other programs: without the path of its model on this machine,
    which files of earlier versions have.

    Raises:
        ModelError: a file that can't be read.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            matrices = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        settings = parse_json(metadata.get("lora_adapter_metadata", "{}"), str(path))
    except (OSError, SafetensorError, FileError) as error:
        raise ModelError(f"{path} can't be read: {error}.") from error
    if not isinstance(settings, dict):
        raise ModelError(f"{path} is damaged: its settings are no JSON object.")
    named = [key for key, value in settings.items() if key.endswith(NAMED_BASE) and value]
    if not named:
        return path.read_bytes()
    text = json.dumps({**settings, **dict.fromkeys(named)}, indent=2, sort_keys=True)
    return save(matrices, metadata={**metadata, "lora_adapter_metadata": text})


def kohya(path: Path, *, xl: bool = False) -> bytes:
    """A LoRA file in the layout of kohya's sd-scripts, which A1111 and ComfyUI read.

    ``unet.a.b.lora_A.weight`` becomes ``lora_unet_a_b.lora_down.weight``; each pair gets its alpha,
    which is the rank.

    Args:
        xl: it is for SDXL, whose U-Net has the names of Stability's own code there.

    Raises:
        ModelError: a file of another layout, or one that can't be read.
    """
    try:
        matrices = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} can't be read: {error}.") from error
    layers = 1 + max((int(n) for key in matrices for n in DOWN.findall(key)), default=1)
    renamed: dict[str, torch.Tensor] = {}
    for key, matrix in matrices.items():
        part, module, kind = _module(key, path, xl)
        if xl and part == "unet":
            module = _name_of_stability(module, layers)
        name = f"{(PARTS_XL if xl else PARTS)[part]}_{module.replace('.', '_')}"
        renamed[f"{name}.{kind}.weight"] = matrix.contiguous()
        if kind == "lora_down":
            renamed[f"{name}.alpha"] = torch.tensor(float(len(matrix)))
    ranks = sorted({len(m) for k, m in renamed.items() if k.endswith("lora_down.weight")})
    metadata = {"ss_network_module": "networks.lora", "ss_network_dim": ",".join(map(str, ranks))}
    return save(renamed, metadata=metadata)


def _module(key: str, path: Path, xl: bool) -> tuple[str, str, str]:
    """The part that a matrix belongs to, its module there, and kohya's name of the matrix."""
    form = r"(unet|text_encoder(?:_2)?)\.(.+?)\.(?:lora\.|lora_linear_layer\.)?"
    parts = re.fullmatch(form + r"(lora_A|lora_B|down|up)\.weight", key)
    if parts is None or parts[1] not in (PARTS_XL if xl else PARTS):
        expected = "XL" if xl else "1 or 2"
        raise ModelError(f"{path} has {key!r}: expected a LoRA for Stable Diffusion {expected}.")
    part, module, kind = parts.groups()
    if part != "unet" and not module.startswith("text_model."):
        module = f"text_model.{module}"  # a level that transformers 5 no longer has
    return part, module, KINDS[kind]


def _name_of_stability(module: str, layers: int) -> str:
    """``down_blocks.1.attentions.0.…`` as ``input_blocks.4.1.…``: one row of blocks on each side,
    each a residual layer (0) and its attention (1).

    Args:
        layers: of residual layers in a block on the way down; on the way up there is one more.
    """
    for form, name, first in ((DOWN, "input_blocks", 1), (UP, "output_blocks", 0)):
        if match := form.match(module):
            block, layer = int(module.split(".")[1]), int(match[1])
            return f"{name}.{first + block * (layers + 1) + layer}.1{module[match.end() :]}"
    return module.replace("mid_block.attentions.0", "middle_block.1")


def _of(name: str) -> str:
    return name.partition(".")[0]
