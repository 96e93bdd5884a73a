"""Pictures by a taught model, always with the same seeds, so that they can be compared.

They are kept by all that decides them: scoring that was killed goes on where it stopped, and more
seeds, another judge or another adapter of the same model paint only what isn't there yet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from limner.io import images
from limner.io.save import save_image
from limner.models.diffusion.lora import add_adapters
from limner.registry.subjects import ADAPTER
from limner.registry.weights import Adapter, Runtime, Weights
from limner.training import generate, tensor_cache
from limner.training.base_model import Base, digest_of, find_base, open_base
from limner.training.checkpoints import TRAINED
from limner.training.class_images import is_picture

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Painter:
    """A model with what it learned."""

    model: str
    learned: Path | Adapter | None
    """The folder of a checkpoint, or an adapter; None: nothing."""
    runtime: Runtime

    def paint(
        self, prompts: Sequence[str], seeds: Sequence[int], side: int, batch: int
    ) -> list[Image]:
        """A picture for each prompt with its seed. Only the seed draws (DDIM), so that what differs
        between painters is what was learned.

        Raises:
            ModelError: what was learned doesn't fit.
            OutputError: pictures can't be kept.
            OutOfMemory: with what to lower.
        """
        folder = self._folder(side)
        paths = [
            folder / f"{tensor_cache.key_of(prompt)[:16]}-{seed}.png"
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        missing = [k for k, path in enumerate(paths) if not is_picture(path)]
        if missing:
            base = self.open()
            for start in range(0, len(missing), batch):
                chosen = missing[start : start + batch]
                pictures = generate.paint(
                    base.pipe,
                    [prompts[k] for k in chosen],
                    [seeds[k] for k in chosen],
                    side,
                    base.guidance,
                    ancestral=False,
                    steps=generate.STEPS,
                )
                for k, picture in zip(chosen, pictures, strict=True):
                    save_image(picture, paths[k], overwrite=True)
        return [images.open_image(path).image for path in paths]

    def open(self) -> Base:
        """The model, loaded.

        Raises:
            ModelError: what was learned doesn't fit.
        """
        weights, learned = find_base(self.model), self.learned
        base = open_base(weights, self.runtime)
        if isinstance(learned, Path):
            if not (learned / ADAPTER).is_file():
                _take_weights(base, learned / TRAINED)
                return base
            learned = Adapter(learned.name, learned / ADAPTER, 1.0, "", weights.ref.name)
        if learned is not None:
            add_adapters(base.pipe, Weights(weights.ref, weights.path, adapters=(learned,)))
        return base

    def _folder(self, side: int) -> Path:
        """Where its pictures lie."""
        weights = find_base(self.model)
        decides = [digest_of(weights.ref), weights.defaults, _digest(self.learned)]
        settings = [self.runtime.dtype, side, generate.STEPS]
        return (
            tensor_cache.folder()
            / "portraits"
            / tensor_cache.key_of("portraits", *decides, *settings)
        )


def can_read(base: Base, prompt: str) -> bool:
    """Whether the model sees all of a prompt, whose end it would otherwise ignore."""
    tokenizer = base.pipe.tokenizer
    return len(tokenizer(prompt, verbose=False).input_ids) <= tokenizer.model_max_length


def _digest(learned: Path | Adapter | None) -> list[Any]:
    """What decides the weights: the file's content, and how much it counts."""
    if learned is None:
        return []
    if isinstance(learned, Adapter):
        return [learned.sha256, learned.weight]
    adapter = learned / ADAPTER
    with open(adapter if adapter.is_file() else learned / TRAINED, "rb") as file:
        return [hashlib.file_digest(file, "sha256").hexdigest(), 1.0]


def _take_weights(base: Base, file: Path) -> None:
    """Of full fine-tuning: whole weights in place of the base's."""
    trained = load_file(file)
    for part in ("unet", "text_encoder"):
        own = {
            k.removeprefix(f"{part}."): v for k, v in trained.items() if k.startswith(f"{part}.")
        }
        if own:
            module: Any = getattr(base.pipe, part)
            module.load_state_dict(own, strict=False)
