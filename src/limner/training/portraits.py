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


def open_at(model: str, checkpoint: Path | None, runtime: Runtime) -> Base:
    """The base as a checkpoint left it; None: as it was before.

    Raises:
        ModelError: a checkpoint that doesn't fit.
    """
    weights = find_base(model)
    base = open_base(weights, runtime)
    if checkpoint is None:
        return base
    if (checkpoint / ADAPTER).is_file():
        adapter = Adapter(checkpoint.name, checkpoint / ADAPTER, 1.0, "", weights.ref.name)
        add_adapters(base.pipe, Weights(weights.ref, weights.path, adapters=(adapter,)))
        return base
    trained = load_file(checkpoint / TRAINED)
    for part in ("unet", "text_encoder"):
        own = {
            k.removeprefix(f"{part}."): v for k, v in trained.items() if k.startswith(f"{part}.")
        }
        if own:
            module: Any = getattr(base.pipe, part)
            module.load_state_dict(own, strict=False)
    return base


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
