"""The weights that learn: small matrices beside the frozen ones (LoRA), or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from limner.errors import ModelError, OptionError
from limner.options import TeachOptions
from limner.registry.subjects import ADAPTER
from limner.training.base_model import Base

TARGETS: Mapping[str, tuple[str, ...]] = {
    "unet": ("to_k", "to_q", "to_v", "to_out.0"),
    "text_encoder": ("q_proj", "k_proj", "v_proj", "out_proj"),
}
"""Layers that get LoRA's matrices, as in diffusers' train_dreambooth_lora."""


@dataclass(frozen=True, eq=False)
class TrainableModel:
    """Parts of a pipeline, some of whose weights learn."""

    parts: Mapping[str, torch.nn.Module]
    """``unet``, and perhaps ``text_encoder``, as they are in the pipeline."""
    method: str

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Those that learn."""
        return [
            parameter
            for part in self.parts.values()
            for parameter in part.parameters()
            if _learns(parameter)
        ]

    def state(self) -> dict[str, torch.Tensor]:
        """What learns, by part and name: ``unet.down_blocks…``."""
        return {
            f"{part}.{name}": parameter.detach()
            for part, module in self.parts.items()
            for name, parameter in module.named_parameters()
            if _learns(parameter)
        }

    @torch.no_grad()
    def take(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put back what ``state`` gave.

        Raises:
            ModelError: the weights are of another shape, or some are missing.
        """
        own = self.state()
        differ = sorted(name for name in own.keys() ^ state.keys())
        differ += [n for n in own.keys() & state.keys() if own[n].shape != state[n].shape]
        if differ:
            raise ModelError(
                f"The checkpoint is of another architecture or rank: {differ[0]} and "
                f"{len(differ) - 1} others differ. Teach anew, under another name."
            )
        for name, parameter in own.items():
            parameter.copy_(state[name])

    def save_adapter(self, base: Base, folder: Path) -> None:
        """Write LoRA's matrices in diffusers' layout, ``ADAPTER``, with their rank and targets."""
        from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
        from peft.utils import get_peft_model_state_dict

        layers: dict[str, Any] = {}
        for name, part in self.parts.items():
            matrices = get_peft_model_state_dict(part)
            layers[f"{name}_lora_layers"] = convert_state_dict_to_diffusers(matrices)
            layers[f"{name}_lora_adapter_metadata"] = _described(part)
        type(base.pipe).save_lora_weights(folder, weight_name=ADAPTER, **layers)


def prepare_trainable(base: Base, options: TeachOptions) -> TrainableModel:
    """Make what learns; the rest stays frozen. LoRA starts from a draw that the seed decides.

    Raises:
        OptionError: the text encoders of SDXL, which this recipe doesn't train.
    """
    names = ["unet", *(["text_encoder"] if options.train_text_encoder else [])]
    if options.train_text_encoder and base.is_xl:
        raise OptionError(
            f"train_text_encoder: {base.ref.name} has two text encoders, and this recipe trains "
            "one: leave it out."
        )
    parts = {name: getattr(base.pipe, name) for name in names}
    if options.method == "full":
        for part in parts.values():
            part.requires_grad_(True).train()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            for name, part in parts.items():
                _add_matrices(part, name, options.rank)
    if options.gradient_checkpointing:
        for part in parts.values():
            _compute_twice(part)
    return TrainableModel(parts, options.method)


def _add_matrices(part: Any, name: str, rank: int) -> None:
    from peft import LoraConfig

    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        init_lora_weights="gaussian",
        target_modules=list(TARGETS[name]),
    )
    part.add_adapter(config)
    for parameter in part.parameters():
        if _learns(parameter):
            parameter.data = parameter.data.float()  # half precision loses small steps
    part.train()


def _compute_twice(part: Any) -> None:
    """Gradient checkpointing, as diffusers, transformers and transformers before 5.23 call it."""
    names = (
        "enable_gradient_checkpointing",
        "activation_checkpointing_enable",
        "gradient_checkpointing_enable",
    )
    getattr(part, next(name for name in names if hasattr(part, name)))()


def _described(part: Any) -> dict[str, Any]:
    """peft's settings of the matrices, which go into the file's header; no path of this machine."""
    config = {**part.peft_config["default"].to_dict(), "base_model_name_or_path": None}
    config["target_modules"] = sorted(config["target_modules"])
    return dict(config)


def _learns(parameter: torch.nn.Parameter) -> bool:
    return parameter.requires_grad
