"""Pictures by a model at a checkpoint, always with the same seeds: to be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file

from limner.models.adapters import add_adapters
from limner.models.source import Adapter, Runtime, Weights
from limner.models.subjects import ADAPTER
from limner.training import sampling
from limner.training.base import Base, find_base, open_base
from limner.training.checkpoints import TRAINED

if TYPE_CHECKING:
    from PIL.Image import Image


def open_at(model: str, learned: Path | Adapter | None, runtime: Runtime) -> Base:
    """The base with what was learned.

    Args:
        learned: the folder of a checkpoint, or an adapter; None: nothing.

    Raises:
        ModelError: what doesn't fit.
    """
    weights = find_base(model)
    base = open_base(weights, runtime)
    if isinstance(learned, Path):
        if not (learned / ADAPTER).is_file():
            _take_weights(base, learned / TRAINED)
            return base
        learned = Adapter(learned.name, learned / ADAPTER, 1.0, "", weights.ref.name)
    if learned is not None:
        add_adapters(base.pipe, Weights(weights.ref, weights.path, adapters=(learned,)))
    return base


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


def can_read(base: Base, prompt: str) -> bool:
    """Whether the model sees all of a prompt, whose end it would otherwise ignore."""
    tokenizer = base.pipe.tokenizer
    return len(tokenizer(prompt, verbose=False).input_ids) <= tokenizer.model_max_length


def paint(
    base: Base, prompts: Sequence[str], seeds: Sequence[int], side: int, batch: int
) -> Iterator[Image]:
    """A picture for each prompt with its seed. Only the seed draws (DDIM), so that what differs
    between checkpoints is what was learned."""
    for start in range(0, len(prompts), batch):
        chosen = slice(start, start + batch)
        yield from sampling.paint(
            base.pipe,
            prompts[chosen],
            seeds[chosen],
            side,
            base.guidance,
            steps=sampling.STEPS,
            ancestral=False,
        )
