"""LoRA files of any program, read as what they are: pairs of matrices, each with its scale.

Two layouts are read: diffusers' and peft's (``unet.down_blocks….lora_A.weight``, and earlier
spellings of it) and that of kohya's sd-scripts (``lora_unet_down_blocks_….lora_down.weight`` with
its ``alpha``). Others are refused by their name. Nothing here knows a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from limner.errors import FileError, ModelError
from limner.untrusted.json_toml import parse_json

KOHYAS_PARTS: Mapping[str, str] = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
"""Beginnings of kohya's names, and the part of a pipeline that each means."""

FOREIGN: Mapping[str, str] = {
    r"\.(hada_w|lokr_w|oft_|diff$|diff_b$|on_input$)": "a LyCORIS file (LoHa, LoKr, OFT, …)",
    r"^lora_unet_(double|single)_blocks_": "a LoRA for FLUX, in kohya's layout",
    r"^lora_unet_joint_blocks_": "a LoRA for Stable Diffusion 3, in kohya's layout",
    r"^(transformer\.|lora_transformer_)": "a LoRA for FLUX, Stable Diffusion 3 or the like",
    r"^diffusion_model\.": "a LoRA for FLUX, Wan or the like, in ComfyUI's layout",
    r"^(down_blocks|mid_block|up_blocks)\.": "a LoRA of diffusers' old attention processors",
    r"^base_model\.model\.": "an adapter that peft saved, which doesn't say for which part",
    r"^lora_controlnet|^controlnet": "a control LoRA, which steers by a picture",
    r"^(image_proj|ip_adapter)\b": "an IP-Adapter, which takes a picture",
    r"^(string_to_param|emb_params$|clip_[gl]$)": "a textual inversion, not a LoRA",
    r"^(model\.diffusion_model|first_stage_model|cond_stage_model)\.": "a whole model, not a LoRA",
}
"""What names of tensors give away, and what such a file is."""

_DOTTED = re.compile(
    r"(?P<part>unet|text_encoder(?:_2)?)\.(?P<name>.+?)"
    r"(?:\.lora|\.lora_linear_layer|(?:\.processor)?\.to_(?P<of>q|k|v|out)_lora)?"
    r"\.(?P<kind>lora_A|lora_B|lora_down|lora_up|down|up|lora_magnitude_vector|alpha|dora_scale)"
    r"(?:\.default)?(?:\.weight)?"
)
_OLD = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}
_KINDS = {
    "lora_A": "down", "lora_down": "down", "down": "down",
    "lora_B": "up", "lora_up": "up", "up": "up",
    "lora_magnitude_vector": "magnitude", "dora_scale": "magnitude",
    "alpha": "alpha",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Layer:
    """One pair of matrices: a layer's weight gains ``alpha / rank * up @ down``."""

    part: str
    """``unet``, ``text_encoder`` or ``text_encoder_2``."""
    name: str
    """Its path in the part; in kohya's layout with ``_`` for each dot."""
    dotted: bool
    """False: the name is in kohya's layout."""
    down: torch.Tensor
    """(rank, in), or (rank, in, height, width) of a convolution."""
    up: torch.Tensor
    """(out, rank), or (out, rank, 1, 1)."""
    alpha: float
    magnitude: torch.Tensor | None = None
    """DoRA's (Liu et al. 2024, arXiv:2402.09353, equation 5): the length of each row; None: plain
    LoRA."""

    @property
    def rank(self) -> int:
        return len(self.down)


def read(path: Path) -> list[Layer]:
    """The layers of a LoRA file.

    Raises:
        ModelError: a file that can't be read, that is of another layout or kind, whose numbers
            aren't finite, or with half a pair.
    """
    tensors, about = _tensors(path)
    _check_layout(path, tensors)
    pairs: dict[tuple[str, str, bool], dict[str, torch.Tensor]] = {}
    unknown = []
    for key, tensor in tensors.items():
        if place := _place(key):
            of, kind = place
            pairs.setdefault(of, {})[kind] = tensor
        else:
            unknown.append(key)
    if unknown:
        raise ModelError(
            f"{path} is no LoRA that limner knows: {_some(unknown, len(tensors), 'tensors')} "
            "are in neither diffusers' layout nor kohya's. Convert it to one of them."
        )
    _check_finite(path, tensors)
    scales = _scales(path, about)
    return [_layer(path, *of, pair, scales) for of, pair in pairs.items()]


def _tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            # It has ``keys()`` and can't be walked through itself.
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"{path} can't be read ({reason}): get the file again.") from error


def _check_layout(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    if not tensors:
        raise ModelError(f"{path} is empty: expected the matrices of a LoRA.")
    for pattern, what in FOREIGN.items():
        given_away = [key for key in tensors if re.search(pattern, key)]
        if given_away:
            raise ModelError(
                f"{path} is {what} ({given_away[0]}); limner reads LoRA for Stable Diffusion 1, 2 "
                "and XL, in diffusers' layout or kohya's. Convert it, or take another file."
            )


def _place(key: str) -> tuple[tuple[str, str, bool], str] | None:
    """A tensor's layer (part, name, whether that has dots), and which of the pair it is."""
    for beginning, part in KOHYAS_PARTS.items():
        if key.startswith(beginning):
            name, _, kind = key.removeprefix(beginning).partition(".")
            known = _KINDS.get(kind.removesuffix(".weight"))
            return ((part, name, False), known) if known and name else None
    if not (match := _DOTTED.fullmatch(key)):
        return None
    name = match["name"]
    if of := match["of"]:  # diffusers before 0.22: attn1.processor.to_q_lora.down.weight
        name = f"{name}.{_OLD[of]}"
    return (match["part"], name, True), _KINDS[match["kind"]]


def _check_finite(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    bad = [key for key, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise ModelError(
            f"{path} is damaged: {_some(bad, len(tensors), 'tensors')} hold numbers that aren't "
            "finite (NaN or infinity). Its training failed, or the file did: take another."
        )


def _layer(
    path: Path,
    part: str,
    name: str,
    dotted: bool,
    pair: Mapping[str, torch.Tensor],
    scales: Mapping[str, Any],
) -> Layer:
    lacking = [kind for kind in ("down", "up") if kind not in pair]
    if lacking:
        raise ModelError(
            f"{path} is damaged: {part} {name} has no {lacking[0]} matrix. Get the file again."
        )
    down, up = pair["down"], pair["up"]
    if down.ndim not in (2, 4) or up.ndim != down.ndim or not len(down) or up.shape[1] != len(down):
        raise ModelError(
            f"{path} is damaged: the matrices of {part} {name} are {_shape(down)} and "
            f"{_shape(up)}, which can't be multiplied. Get the file again."
        )
    rank = len(down)
    alpha = float(pair["alpha"]) if "alpha" in pair else _alpha(scales, part, name, rank)
    return Layer(part, name, dotted, down, up, alpha, pair.get("magnitude"))


# ---- scales that the file's header has, as diffusers writes peft's settings there


def _scales(path: Path, about: Mapping[str, str]) -> dict[str, Any]:
    text = about.get("lora_adapter_metadata")
    if text is None:
        return {}
    try:
        scales = parse_json(text, str(path))
    except FileError as error:
        raise ModelError(f"The settings in the header are damaged: {error}") from None
    if not isinstance(scales, dict):
        raise ModelError(f"{path} is damaged: its lora_adapter_metadata is no JSON object.")
    return scales


def _alpha(scales: Mapping[str, Any], part: str, name: str, rank: int) -> float:
    """What peft would take for a layer; without settings every layer counts as it is."""
    own = {k.removeprefix(f"{part}."): v for k, v in scales.items() if k.startswith(f"{part}.")}
    alpha: Any = own.get("lora_alpha", rank)
    patterns = own.get("alpha_pattern")
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        ending = str(pattern).removeprefix("^").replace("\\.", ".")
        if not re.fullmatch(r"[\w.]+", ending):  # peft takes any; a stranger's may never end
            raise ModelError(
                f"The LoRA's settings have a pattern that limner can't read: {ending}."
            )
        if name == ending or (name.endswith(f".{ending}") and not str(pattern).startswith("^")):
            alpha = value
            break
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)):
        raise ModelError(f"The LoRA's settings are damaged: lora_alpha of {name} is {alpha!r}.")
    return float(alpha) * rank**0.5 if own.get("use_rslora") is True else float(alpha)


# ---- sentences


def _some(keys: list[str], total: int, what: str) -> str:
    return f"{len(keys)} of {total} {what}, such as {min(keys)},"


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "one number"
