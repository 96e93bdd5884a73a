"""The U-Net's inputs, computed once: latents of pictures, and embeddings of their captions.

After this neither the autoencoder nor (unless it is trained) the text encoder is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from limner.io import images
from limner.models.blocks.oom import guard_memory
from limner.rle import BoolMask
from limner.training import tensor_cache
from limner.training.base_model import Base

if TYPE_CHECKING:
    from PIL.Image import Image

HOLES = 8
"""Different holes of one picture, for U-Nets that inpaint."""
WHOLE = 0.25
"""Part of the holes that cover everything, as Stable Diffusion's own inpainting was trained."""
ADVICE = "lower resolution"


@dataclass(frozen=True, eq=False)
class TextEmbeddings:
    """T different captions, in float32 on the CPU."""

    captions: tuple[str, ...]
    states: torch.Tensor
    """(T, L, D): what the text encoder says of them."""
    pooled: torch.Tensor | None
    """(T, P) for SDXL."""
    tokens: torch.Tensor
    """(T, L) int64, for a text encoder that is trained."""

    def rows(self, captions: Iterable[str]) -> list[int]:
        """Where captions stand, each of which is one of these."""
        return [self.captions.index(caption) for caption in captions]


@dataclass(frozen=True, eq=False)
class LatentDataset:
    """N pictures and their captions' rows, on the CPU. h and w are latents; C their channels."""

    mean: torch.Tensor
    """(N, C, h, w) float32, scaled as the U-Net sees latents."""
    spread: torch.Tensor | None
    """(N, C, h, w): the standard deviation of each; None: the autoencoder doesn't sample."""
    beside: torch.Tensor | None
    """(N, HOLES, 1 + C, h, w): a hole (1 inside), and latents of the picture with it grey."""
    rows: torch.Tensor
    """(N,) int64: the row of ``TextEmbeddings`` for each."""
    coverage: torch.Tensor | None = None
    """(N, 1, h, w) from 0 to 1: how much of each latent counts; None: all."""

    def __len__(self) -> int:
        return len(self.mean)


def encode(
    base: Base,
    pictures: Sequence[Image],
    rows: Sequence[int],
    subjects: Sequence[BoolMask | None] | None = None,
) -> LatentDataset:
    """The latents of pictures.

    Args:
        pictures: RGB, all of one size, a multiple of the grid.
        rows: the row of ``TextEmbeddings`` for each.
        subjects: (side, side), what counts of each, None for all of it; None: all of all.
    """
    encoded = [_latents(base, picture) for picture in pictures]

    def column(name: str) -> torch.Tensor | None:
        return torch.stack([row[name] for row in encoded]) if name in encoded[0] else None

    mean = column("mean")
    assert mean is not None
    coverage = None
    if subjects is not None:
        whole = np.ones(pictures[0].size[::-1], dtype=bool)
        drawn = np.stack([whole if mask is None else mask for mask in subjects])
        wide = torch.from_numpy(drawn)[:, None].float()
        coverage = F.interpolate(wide, size=mean.shape[-2:], mode="area")
    spread, beside = column("spread"), column("beside")
    return LatentDataset(mean, spread, beside, torch.tensor(list(rows)), coverage)


def read(base: Base, captions: Sequence[str]) -> TextEmbeddings:
    """The text encoder's answers to captions; one that comes twice is read once."""
    different = tuple(dict.fromkeys(captions))
    encoded = [_text(base, caption) for caption in different]
    pooled = [row["pooled"] for row in encoded] if "pooled" in encoded[0] else None
    return TextEmbeddings(
        different,
        torch.stack([row["states"] for row in encoded]),
        torch.stack(pooled) if pooled else None,
        torch.stack([row["tokens"] for row in encoded]),
    )


def _latents(base: Base, picture: Image) -> dict[str, torch.Tensor]:
    digest = images.digest(picture)
    key = tensor_cache.key_of(
        "latents 1", base.digest, str(base.pipe.vae.dtype), digest, base.inpaints
    )
    return tensor_cache.once("latents", key, lambda: _encoded(base, picture, digest))


@torch.no_grad()
def _encoded(base: Base, picture: Image, digest: str) -> dict[str, torch.Tensor]:
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    mean, spread = _moments(base, pixels)
    latents = {"mean": mean[0]}
    if spread is not None:
        latents["spread"] = spread[0]
    if base.inpaints:
        rng = np.random.default_rng(int(digest[:16], 16))
        holes = np.stack([hole_of(rng, picture.height) for _ in range(HOLES)])
        wide = torch.from_numpy(holes)[:, None].float()
        masked = torch.cat([_moments(base, pixels * (1 - hole[None]))[0] for hole in wide])
        small = F.interpolate(wide, size=mean.shape[-2:])  # as diffusers shrinks a mask
        latents["beside"] = torch.cat([small, masked], dim=1)
    return latents


def _moments(base: Base, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(1, C, h, w) mean and standard deviation of the latents, as the U-Net sees them."""
    vae: Any = base.pipe.vae
    with guard_memory(ADVICE):
        answer = vae.encode(pixels.to(vae.device, vae.dtype))
    scale = float(vae.config.scaling_factor)
    shift = float(getattr(vae.config, "shift_factor", None) or 0.0)
    if hasattr(answer, "latent_dist"):
        spread = answer.latent_dist
        return (spread.mean.float().cpu() - shift) * scale, spread.std.float().cpu() * scale
    return (answer.latents.float().cpu() - shift) * scale, None


@torch.no_grad()
def _text(base: Base, caption: str) -> dict[str, torch.Tensor]:
    def compute() -> dict[str, torch.Tensor]:
        answer = base.pipe.encode_prompt(
            prompt=caption,
            device=base.pipe.unet.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        embedding = {"states": answer[0][0].float(), "tokens": _tokens(base, caption)}
        if len(answer) == 4:
            embedding["pooled"] = answer[2][0].float()
        return embedding

    key = tensor_cache.key_of("text 1", base.digest, str(base.pipe.text_encoder.dtype), caption)
    return tensor_cache.once("words", key, compute)


def _tokens(base: Base, caption: str) -> torch.Tensor:
    tokenizer = base.pipe.tokenizer
    ids: torch.Tensor = tokenizer(
        caption,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids[0]
    return ids


def hole_of(rng: np.random.Generator, side: int) -> npt.NDArray[np.bool_]:
    """A hole (side, side): around the middle, where limner's crops have theirs; or everything."""
    if rng.random() < WHOLE:
        return np.ones((side, side), dtype=bool)
    size = side * rng.uniform(0.42, 0.95)
    aspect = float(np.exp(rng.uniform(-0.45, 0.45)))
    half = np.minimum(0.5 * size * np.array([min(1, aspect), min(1, 1 / aspect)]), side / 2)
    centre = side / 2 + rng.uniform(-1, 1, 2) * (side / 2 - half) * 0.35
    y, x = np.mgrid[:side, :side] + 0.5
    power = float(rng.choice([2, 3, 5, 40]))  # from an ellipse to a box
    far = np.abs((x - centre[0]) / half[0]) ** power + np.abs((y - centre[1]) / half[1]) ** power
    hole: npt.NDArray[np.bool_] = far <= 1
    return hole
