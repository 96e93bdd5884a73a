"""Open a folder in diffusers' format as an inpaint pipeline, and nothing that could run code."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from safetensors import SafetensorError

from limner.errors import FileError, FileMissing, ModelError, UnsafeWeights, WeightsMissing
from limner.models.blocks.check_parts import try_scheduler, try_tokenizer
from limner.models.blocks.oom import guard_memory
from limner.registry import weight_files
from limner.registry.weights import Runtime, Weights
from limner.untrusted.json_toml import read_json_object

PIPELINES: Mapping[str, str] = {
    "StableDiffusionInpaintPipeline": "StableDiffusionInpaintPipeline",
    "StableDiffusionPipeline": "StableDiffusionInpaintPipeline",
    "StableDiffusionXLInpaintPipeline": "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLPipeline": "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLImg2ImgPipeline": "StableDiffusionXLInpaintPipeline",  # the refiner's
}
"""``_class_name`` of a folder's ``model_index.json``, and what inpaints with its parts."""

WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "StableDiffusionInpaintPipeline": {
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    },
    "StableDiffusionXLInpaintPipeline": {"add_watermarker": False},
}
"""What is left out of each pipeline."""

USUAL = {"text to image": 4, "inpainting": 9}
"""Input channels by which diffusers' pipelines know what a U-Net was made for."""

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
"""The folders that hold weights."""


def open_pipeline(weights: Weights, runtime: Runtime) -> Any:
    """A diffusers inpaint pipeline on its device, with its progress bar off.

    Raises:
        WeightsMissing: no folder, or a part of it is missing.
        UnsafeWeights: a part's only weights are pickles, or would be read from elsewhere.
        ModelError: another kind of pipeline or U-Net, or files that can't be read.
    """
    pipe = read_pipeline(weights, runtime, PIPELINES, PARTS, WITHOUT)
    if weights.path is not None:
        _try_parts(pipe, weights.path)
    _tell_role(weights.ref.name, pipe)
    return _prepared(pipe, runtime)


def read_pipeline(
    weights: Weights,
    runtime: Runtime,
    pipelines: Mapping[str, str],
    parts: Iterable[str],
    without: Mapping[str, Mapping[str, Any]],
) -> Any:
    """The pipeline in a folder, on its device, as diffusers makes it, with its progress bar off.

    Args:
        pipelines: ``_class_name`` of a folder's ``model_index.json`` -> the class that opens it.
        parts: the folders that hold weights.
        without: what is left out, by the class that opens the folder.

    Raises: as ``open_pipeline``.
    """
    name, path = weights.ref.name, weights.path
    if path is None:
        raise WeightsMissing(f"{name} needs a folder of weights, and none was given.")
    index = _read_index(name, path)
    kind = _pipeline_kind(name, index, pipelines)
    variant = _variant(name, path, index, parts)
    weight_files.check(path)
    advice = "take a smaller model, or half precision (bfloat16)"
    with guard_memory(advice), errors_only(diffusers):
        try:
            opens = pipeline_class(kind)
            # Stable Diffusion 3 must be told of the text encoder that a folder leaves out.
            expected = inspect.signature(opens.__init__).parameters
            absent = {part: None for part in expected if index.get(part) == [None, None]}
            pipe = opens.from_pretrained(
                str(path),
                dtype=getattr(torch, runtime.dtype),
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                **{**absent, **without.get(kind, {})},
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise ModelError(f"{name} can't be read from {path}: {error}") from error
        pipe.to(runtime.device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _try_parts(pipe: Any, path: Path) -> None:
    """What the pipeline would stumble over at the first picture.

    Raises:
        ModelError: with the file.
    """
    for name in [part for part in pipe.components if part.startswith("tokenizer")]:
        if (tokenizer := getattr(pipe, name)) is not None:
            encoder = getattr(pipe, name.replace("tokenizer", "text_encoder"), None)
            room = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
            try_tokenizer(tokenizer, path / name, room=room if isinstance(room, int) else None)
    if getattr(pipe, "scheduler", None) is not None:
        try_scheduler(pipe.scheduler, path / "scheduler")


class Channels(int):
    """Input channels of a U-Net, equal to their number and to the one that diffusers knows."""

    usual: int

    def __eq__(self, other: object) -> bool:
        return other in (int(self), self.usual)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()


def _tell_role(name: str, pipe: Any) -> None:
    """Have the pipeline see what its U-Net was made for, whatever the width of its latents.

    diffusers asks whether it has 4 or 9 input channels, which is right for latents of 4 channels
    only (``__call__`` of pipeline_stable_diffusion_inpaint.py).

    Raises:
        ModelError: a U-Net made for something else.
    """
    latents, channels = pipe.vae.config.latent_channels, pipe.unet.config.in_channels
    roles = {latents: "text to image", 2 * latents + 1: "inpainting"}
    if channels not in roles:
        known = " or ".join(f"{count} ({role})" for count, role in roles.items())
        raise ModelError(
            f"{name} has a U-Net of {channels} input channels; with latents of {latents} channels "
            f"limner paints with {known}."
        )
    count_and_role = Channels(channels)
    count_and_role.usual = USUAL[roles[channels]]
    if count_and_role.usual != channels:
        pipe.unet.register_to_config(in_channels=count_and_role)


def _read_index(name: str, path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path / "model_index.json")
    except FileMissing as error:
        raise WeightsMissing(f"{name} can't be read: {path} has no model_index.json.") from error
    except FileError as error:
        raise ModelError(str(error)) from error


def _pipeline_kind(name: str, index: Mapping[str, Any], pipelines: Mapping[str, str]) -> str:
    kind = index.get("_class_name")
    if not isinstance(kind, str) or kind not in pipelines:
        raise ModelError(f"{name} is a {kind}; this family opens {', '.join(pipelines)}.")
    return pipelines[kind]


def _variant(name: str, path: Path, index: Mapping[str, Any], parts: Iterable[str]) -> str | None:
    """``fp16`` where a part was fetched only in half precision, after a look at each part."""
    variant = None
    for part in parts:
        if index.get(part, [None, None])[1] is None:
            continue
        files = [file.name for file in sorted((path / part).glob("*")) if file.is_file()]
        weights = [file for file in files if file.endswith(".safetensors")]
        if not weights:
            if any(file.endswith((".bin", ".ckpt", ".pt", ".pth")) for file in files):
                raise UnsafeWeights(
                    f"{name}: no safetensors found in {path / part}, only a pickle, which can run "
                    "code when it is opened. Save the model again with safe_serialization=True."
                )
            raise WeightsMissing(f"{name}: there are no weights (*.safetensors) in {path / part}.")
        if all(".fp16" in file for file in weights):
            variant = "fp16"
    return variant


def _prepared(pipe: Any, runtime: Runtime) -> Any:
    if runtime.dtype != "float16" and pipe.vae.config.force_upcast:
        # SDXL's autoencoder overflows in float16 only. Upcasting it in each call rewrites the
        # weights of a model that others may be using, and costs bfloat16 its speed.
        pipe.vae.register_to_config(force_upcast=False)
    if runtime.dtype == "bfloat16" and runtime.device == "cpu":
        # 2.2 times as fast at 512 pixels: 8.5 s to 3.8 s encoding (Zen 4, two cores).
        pipe.vae.to(memory_format=torch.channels_last)
    return pipe


def pipeline_class(kind: str) -> Any:
    """Its import says, for each image processor, that torchvision is missing; none is used."""
    with errors_only(transformers):
        return getattr(diffusers, kind)


@contextmanager
def errors_only(library: Any) -> Iterator[None]:
    """Of what a library logs. diffusers remarks on an ``AutoencoderTiny`` in a pipeline that takes
    it, and on the settings which that class itself writes."""
    log = library.utils.logging
    level = log.get_verbosity()
    log.set_verbosity_error()
    try:
        yield
    finally:
        log.set_verbosity(level)


@contextmanager
def own_deprecations_unheard() -> Iterator[None]:
    """Of diffusers' code towards numpy and itself: nothing a caller could mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array", DeprecationWarning)  # tensors as numpy arrays
        warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")
        yield
