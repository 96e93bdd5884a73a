"""LaMa fills a hole from the whole picture, without words (Suvorov et al. 2022, arXiv:2109.07161).

The weights are read from safetensors into limner's own network (``network.py``): what LaMa's
authors and most packages load is TorchScript or a pickle, both of which run code.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image as pil
from safetensors import SafetensorError
from safetensors.torch import load_file

from limner.errors import ModelError, WeightsMissing
from limner.models.blocks.oom import guard_memory
from limner.models.blocks.overflow import check_finite
from limner.models.blocks.paint_checks import check_picture, check_surroundings, refuse_words
from limner.models.lama.network import Generator, shape_of
from limner.options import SEEDS, InpaintOptions, check_honoured
from limner.prompts import Text
from limner.protocols import ModelRef, OnStep
from limner.registry.weights import Runtime, Weights
from limner.rle import BoolMask

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "big-lama.safetensors"
PREFIX = "generator."
"""Of the names in files that hold what was trained with the generator too."""


def load(weights: Weights, runtime: Runtime) -> Lama:
    """Open ``big-lama.safetensors`` in a folder, always in float32: its Fourier transforms need it.

    Raises:
        WeightsMissing: no folder.
        ModelError: a damaged file, or another network.
    """
    if weights.path is None:
        raise WeightsMissing(f"{weights.ref.name} needs a folder of weights, and none was given.")
    path = weights.path / FILE
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights.ref.name} can't be read from {path}: {error}") from error
    if any(name.startswith(PREFIX) for name in tensors):
        tensors = {n.removeprefix(PREFIX): v for n, v in tensors.items() if n.startswith(PREFIX)}
    try:
        network = Generator(**shape_of(tensors))
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, RuntimeError) as error:
        reason = next(iter(str(error).strip().splitlines()))
        raise ModelError(f"{path} doesn't hold LaMa's generator: {reason}") from error
    return Lama(weights.ref, network.eval().to(runtime.device))


class Lama:
    """Continues a hole's surroundings; can't paint anything new."""

    takes_text = False
    grid = 16
    """px: the deepest layers see a picture 8 times smaller and mirror its border, which one pixel
    can't."""
    native_size = 512
    """px: it was trained with crops of 256 and holds up to about twice that; beyond, large holes
    fill with repeated texture (the paper's figure 5)."""

    def __init__(self, ref: ModelRef, network: Generator) -> None:
        self.ref = ref
        self._network = network

    def resolve(self, options: InpaintOptions) -> InpaintOptions:
        """The seed, for records; it decides nothing, for LaMa draws no random numbers.

        Raises:
            OptionError: a setting with no effect.
        """
        check_honoured(
            options, frozenset({"seed"}), self.ref.name, "it fills a hole in one step, in one way"
        )
        seed = secrets.randbelow(SEEDS) if options.seed is None else options.seed
        return replace(options, seed=seed)

    def check(self, paint: Text | None, options: InpaintOptions) -> None:
        """Whether it can do this; raises as ``inpaint`` does."""
        self.resolve(options)
        refuse_words(self.ref.name, paint)

    def inpaint(
        self,
        image: Image,
        mask: BoolMask,
        paint: Text | None,
        options: InpaintOptions,
        on_step: OnStep | None = None,
    ) -> list[Image]:
        """One picture.

        Raises:
            OptionError: words, a setting with no effect, or a size off the grid.
            PromptError: an empty mask, or one that leaves nothing to continue.
            ResultError: the numbers overflowed.
        """
        self.check(paint, options)
        check_picture(self.ref.name, image, mask, self.grid, 1)
        check_surroundings(mask)
        device = next(self._network.parameters()).device
        pixels = torch.from_numpy(np.asarray(image, np.float32) / 255).permute(2, 0, 1)[None]
        hole = torch.from_numpy(mask.astype(np.float32))[None, None]
        pixels, hole = pixels.to(device), hole.to(device)
        with guard_memory("fill a smaller hole, or take opencv-inpaint"), torch.inference_mode():
            painted = self._network(torch.cat([pixels * (1 - hole), hole], dim=1))
            filled = hole * painted + (1 - hole) * pixels
        check_finite(self.ref.name, filled, "in its only step")
        if on_step:
            on_step(1, 1)
        array = (filled[0].permute(1, 2, 0).cpu().numpy() * 255).clip(0, 255).round()
        return [pil.fromarray(array.astype(np.uint8))]
