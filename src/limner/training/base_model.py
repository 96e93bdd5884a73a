"""The model that is taught, before anything of it is changed."""

from __future__ import annotations

import gc
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from limner.errors import ModelError, OptionError
from limner.models.blocks.oom import guard_memory
from limner.models.diffusion.loading import open_pipeline
from limner.options import InpaintOptions, from_dict
from limner.protocols import ModelRef
from limner.registry import catalog, store
from limner.registry.pool import explaining
from limner.registry.resolve import resolve
from limner.registry.subjects import TEACHABLE
from limner.registry.weights import Runtime, Weights, as_path, is_path
from limner.training.losses import PREDICTIONS


@dataclass(eq=False)
class Base:
    """A diffusion model, taken apart. Parts that are done with are let go of: ``pipe`` changes."""

    ref: ModelRef
    pipe: Any
    """An inpaint pipeline of diffusers, also around a U-Net for text to image."""
    inpaints: bool
    """The U-Net sees a hole and what is around it, beside the noised latents."""
    prediction: str
    """One of ``losses.PREDICTIONS``."""
    guidance: float = 7.5
    """Classifier-free guidance that its pictures are made with: the checkpoint's own, else that of
    diffusers. Too much makes garish class images, and teaching them makes the class garish."""

    @property
    def digest(self) -> str:
        """SHA-256 over the weight files' hashes: another revision is another base."""
        return digest_of(self.ref)

    @property
    def is_xl(self) -> bool:
        """Two text encoders, and sizes that go in beside the words."""
        return (
            getattr(self.pipe, "text_encoder_2", None) is not None
            or "XL" in type(self.pipe).__name__
        )

    @property
    def grid(self) -> int:
        """Pixels of one latent."""
        return int(self.pipe.vae_scale_factor)

    def let_go(self, *parts: str) -> None:
        """Free the memory of parts that aren't needed any more."""
        for part in parts:
            setattr(self.pipe, part, None)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def digest_of(ref: ModelRef) -> str:
    """SHA-256 over the weight files of a model."""
    return hashlib.sha256(json.dumps(ref.files).encode()).hexdigest()


def find_base(name: str) -> Weights:
    """The files of a model by name or folder; nothing is loaded.

    Raises:
        ModelError: no diffusion model.
        WeightsMissing, UnknownModel, UnsafeWeights: as ``models.store`` does.
    """
    name = as_path("", name)
    if is_path(name):
        weights = store.from_folder(name)
        _check_teachable(weights.ref.name, weights.ref.family)
        return weights
    entry, _ = resolve(name)
    _check_teachable(entry.name, entry.family)  # before anybody is told to fetch it
    return store.find(entry)


def _check_teachable(name: str, family: str) -> None:
    entries = [entry for entry in catalog.catalog().values() if entry.family == TEACHABLE]
    helping = [entry.name for entry in entries if entry.task in ("refine", "accelerate")]
    if family != TEACHABLE or name in helping:
        known = [entry.name for entry in entries if entry.name not in helping]
        raise ModelError(
            f"{name} ({family}) can't be taught a subject: take a diffusion model, "
            f"{', '.join(known)}, or a folder of one."
        )


def open_base(weights: Weights, runtime: Runtime) -> Base:
    """Load a model as it is.

    Raises:
        ModelError: a folder or a kind of model that can't be taught.
        OutOfMemory: with what to lower.
    """
    with explaining(weights, runtime), guard_memory("take a smaller model"):
        pipe = open_pipeline(weights, runtime)
    prediction = str(pipe.scheduler.config.prediction_type)
    if prediction not in PREDICTIONS:
        raise ModelError(
            f"{weights.ref.name} predicts {prediction!r}; taught are models that predict "
            f"{', '.join(PREDICTIONS)}."
        )
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        if (module := getattr(pipe, part, None)) is not None:
            module.requires_grad_(False).eval()
    inpaints = int(pipe.unet.config.in_channels) > pipe.vae.config.latent_channels
    guidance = _guidance(weights)
    return Base(weights.ref, pipe, inpaints, prediction, guidance)


def _guidance(weights: Weights) -> float:
    """The checkpoint's own.

    Raises:
        ModelError: a folder's settings that can't be meant.
    """
    try:
        defaults = from_dict(InpaintOptions, weights.defaults)
    except OptionError as error:
        raise ModelError(f"The settings in {weights.path} are damaged: {error}") from error
    return Base.guidance if defaults.guidance_scale is None else defaults.guidance_scale


def resolution_of(base: Base, resolution: int | None) -> int:
    """The side in pixels to teach at.

    Raises:
        OptionError: not a multiple of the latents' grid.
    """
    side = resolution or int(base.pipe.unet.config.sample_size * base.grid)
    if side % base.grid:
        near = round(side / base.grid) * base.grid
        raise OptionError(f"resolution must be a multiple of {base.grid}, got {side}: take {near}.")
    return side
