"""LoRA files beside a pipeline's own weights: several at once, each with its weight."""

from __future__ import annotations

import warnings
from typing import Any

import diffusers
from safetensors import SafetensorError

from limner.errors import ModelError
from limner.models.source import Weights
from limner.models.stable_diffusion_folder import errors_only


def add_adapters(pipe: Any, weights: Weights) -> None:
    """Let a pipeline know its subjects; without any it stays as it is.

    Raises:
        ModelError: a file that can't be read, or made for another architecture.
    """
    names = []
    for number, adapter in enumerate(weights.adapters):
        name = f"subject_{number}"  # a name may hold what torch's modules can't
        try:
            # Both remark on what is meant: parts that an adapter leaves alone, a second adapter.
            with errors_only(diffusers), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
                pipe.load_lora_weights(
                    str(adapter.path.parent),
                    weight_name=adapter.path.name,
                    adapter_name=name,
                    local_files_only=True,
                    use_safetensors=True,
                )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            taught = f" (it was taught to {adapter.base})" if adapter.base else ""
            raise ModelError(
                f"{adapter.name}{taught} doesn't fit {weights.ref.name}, or is damaged: take the "
                f"model it was made for. {adapter.path}: {reason}"
            ) from error
        names.append(name)
    if names:
        pipe.set_adapters(names, [adapter.weight for adapter in weights.adapters])
