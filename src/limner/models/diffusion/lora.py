"""LoRA files beside a pipeline's own weights: several at once, each with its weight.

diffusers guesses ranks and scales from a file's names, drops what it can't place and says so in a
log (0.42: of kohya's files the text encoder's scales are lost where they differ). So the file is
read by ``lora_file``, every layer is found in the model first, and peft is told each rank and
scale.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import diffusers
import torch
from diffusers.utils import state_dict_utils

from limner.errors import ModelError, OptionError
from limner.models.diffusion import lora_file
from limner.models.diffusion.loading import errors_only
from limner.models.diffusion.lora_file import Layer
from limner.registry.weights import Adapter, Weights

PARTS = ("unet", "text_encoder", "text_encoder_2")


def add_adapters(pipe: Any, weights: Weights) -> None:
    """Let a pipeline know its subjects; without any it stays as it is.

    Raises:
        ModelError: a file that can't be read, or made for another architecture.
        OptionError: a weight that what the file holds can't have.
    """
    names: dict[str, float] = {}
    for number, adapter in enumerate(weights.adapters):
        layers = _placed(pipe, adapter, weights.ref.name)
        if adapter.weight == 0:  # a DoRA's lengths would be there even so
            continue
        name = f"subject_{number}"  # a name may hold what torch's modules can't
        for part in PARTS:
            if own := {place: layer for (of, place), layer in layers.items() if of == part}:
                _inject(pipe, part, name, own)
        names[name] = adapter.weight
    if names:
        pipe.set_adapters(list(names), list(names.values()))


def _placed(pipe: Any, adapter: Adapter, painter: str) -> dict[tuple[str, str], Layer]:
    """Each layer of a file by its part and its module there.

    Raises:
        ModelError: a layer that isn't in the model, or is of another size there.
    """
    taught = f" (it was taught to {adapter.base})" if adapter.base else ""
    advice = f"doesn't fit {painter}{taught}: take the model it was made for"
    layers = lora_file.read(adapter.path)
    modules = {part: _modules(getattr(pipe, part, None)) for part in PARTS}
    placed: dict[tuple[str, str], Layer] = {}
    nowhere, unlike = [], []
    for layer in layers:
        place = _place(pipe, layer, modules[layer.part])
        if place is None:
            nowhere.append(layer)
        elif not _fits(layer, modules[layer.part][place]):
            unlike.append((layer, modules[layer.part][place]))
        else:
            placed[layer.part, place] = layer
    if unlike:
        layer, module = unlike[0]
        raise ModelError(
            f"{adapter.path} {advice}. {len(unlike)} of its {len(layers)} layers have other sizes: "
            f"{layer.name} changes a weight of {len(layer.up)}x{layer.down.shape[1]}, which is "
            f"{'x'.join(map(str, module.weight.shape))} here."
        )
    if nowhere:
        raise ModelError(
            f"{adapter.path} {advice}. {len(nowhere)} of its {len(layers)} layers are of no layer "
            f"here, such as {nowhere[0].part} {nowhere[0].name}."
        )
    _check_magnitudes(adapter, layers)
    return placed


def _modules(part: Any) -> dict[str, Any]:
    """What a LoRA can stand beside, by its path; without the wrapping of adapters before it."""
    if part is None:
        return {}
    return {
        name.removesuffix(".base_layer"): module
        for name, module in part.named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and ".lora_" not in f".{name}"
    }


def _place(pipe: Any, layer: Layer, modules: Mapping[str, Any]) -> str | None:
    """The module's path; kohya's names have no dots, and for SDXL they are Stability's."""
    for name in (layer.name, layer.name.removeprefix("text_model.")):
        if layer.dotted and name in modules:
            return name
    if layer.dotted:
        return None
    plain = {name.replace(".", "_"): name for name in modules}
    for name in (layer.name, layer.name.removeprefix("text_model_")):
        if name in plain:
            return plain[name]
    return _by_stability(pipe, layer, modules) if layer.part == "unet" else None


def _by_stability(pipe: Any, layer: Layer, modules: Mapping[str, Any]) -> str | None:
    """By the names of Stability's own U-Net (``input_blocks_4_1_…``), as diffusers turns them."""
    pair = {
        f"lora_unet_{layer.name}.lora_down.weight": layer.down,
        f"lora_unet_{layer.name}.lora_up.weight": layer.up,
    }
    try:
        named, *_ = pipe.lora_state_dict(pair, unet_config=pipe.unet.config)
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    convert: Any = state_dict_utils.convert_unet_state_dict_to_peft
    for key in convert(named):
        name = str(key).removeprefix("unet.").partition(".lora_")[0]
        if name in modules:
            return name
    return None


def _fits(layer: Layer, module: Any) -> bool:
    weight: torch.Tensor = module.weight
    return (
        layer.down.ndim == weight.ndim
        and layer.down.shape[1:] == weight.shape[1:]
        and layer.up.shape[0] == weight.shape[0]
        and layer.up.shape[2:] == (1,) * (weight.ndim - 2)
    )


def _check_magnitudes(adapter: Adapter, layers: Sequence[Layer]) -> None:
    """DoRA sets a length for each row of a weight: peft has it for all layers of a part or none.

    Raises:
        ModelError: lengths of some layers only, or of columns.
        OptionError: a weight other than 0 or 1.
    """
    dora = [layer for layer in layers if layer.magnitude is not None]
    parts = {layer.part for layer in dora}
    whole = sum(layer.part in parts for layer in layers)
    by_row = all(_lengths(layer) == len(layer.up) for layer in dora)
    if len(dora) < whole or not by_row:
        raise ModelError(
            f"{adapter.path} is a DoRA in a form that limner can't apply: its lengths (dora_scale) "
            + (f"are for {len(dora)} of {whole} layers." if by_row else "are not one for each row.")
            + " Take a plain LoRA, or merge it into its model with the program that made it."
        )
    if dora and adapter.weight not in (0.0, 1.0):
        raise OptionError(
            f"{adapter.path} is a DoRA, which sets lengths and so is there or isn't: it can't have "
            f"the weight {adapter.weight:g}. Leave the weight out."
        )


def _lengths(layer: Layer) -> int:
    return 0 if layer.magnitude is None else layer.magnitude.numel()


def _inject(pipe: Any, part: str, name: str, layers: Mapping[str, Layer]) -> None:
    state: dict[str, torch.Tensor] = {}
    for place, layer in layers.items():
        state[f"{part}.{place}.lora_A.weight"] = layer.down
        state[f"{part}.{place}.lora_B.weight"] = layer.up
        if layer.magnitude is not None:
            shape = (-1,) if layer.up.ndim == 2 else (1, -1, 1, 1)
            state[f"{part}.{place}.lora_magnitude_vector"] = layer.magnitude.reshape(shape)
    settings = {f"{part}.{key}": value for key, value in _settings(layers).items()}
    # Both remark on what is meant: parts that an adapter leaves alone, a second adapter.
    with errors_only(diffusers), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
        more: dict[str, Any] = {"adapter_name": name, "metadata": settings, "_pipeline": pipe}
        if part == "unet":
            pipe.load_lora_into_unet(state, None, pipe.unet, low_cpu_mem_usage=True, **more)
        else:
            pipe.load_lora_into_text_encoder(
                state, None, getattr(pipe, part), prefix=part, low_cpu_mem_usage=True, **more
            )


def _settings(layers: Mapping[str, Layer]) -> dict[str, Any]:
    """peft's settings: the usual rank and alpha, and those of each layer that has others."""
    ranks = {place: layer.rank for place, layer in layers.items()}
    alphas = {place: layer.alpha for place, layer in layers.items()}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {_exactly(p): n for p, n in ranks.items() if n != rank},
        "alpha_pattern": {_exactly(p): n for p, n in alphas.items() if n != alpha},
        "target_modules": sorted(layers),
        "use_dora": any(layer.magnitude is not None for layer in layers.values()),
    }


def _exactly(place: str) -> str:
    """peft takes patterns for endings without this."""
    return "^" + place.replace(".", r"\.")
