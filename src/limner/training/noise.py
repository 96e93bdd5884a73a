"""What is drawn at a step: decided by the seed and the step's number alone.

Hence a run that was killed draws what it would have drawn, whatever happened before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from limner.training.latents import HOLES, LatentDataset

ORDER, NOISE = 0, 1
"""What a generator is for: no two share a stream."""


@dataclass(frozen=True)
class StepPosition:
    """Where in a run something is drawn."""

    seed: int
    step: int
    """From 0: steps of the optimizer."""
    micro: int = 0
    """Which batch of the step."""
    process: int = 0
    processes: int = 1
    micros: int = 1


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of B pictures, as equation (1) names them."""

    x: torch.Tensor
    """(B, C, h, w)."""
    eps: torch.Tensor
    t: torch.Tensor
    """(B,) int64."""
    beside: torch.Tensor | None
    """(B, 1 + C, h, w)."""
    which: torch.Tensor
    """(B,) int64: the row of words."""
    seen: torch.Tensor | None = None
    """(B, 1, h, w) from 0 to 1: how much of each latent counts; None: all."""


def draw(lessons: LatentDataset, size: int, times: int, place: StepPosition, stream: int) -> Batch:
    """A batch of one term.

    Args:
        times: of the noise schedule, 0 to ``times`` - 1.
        stream: 0 for the subject, 1 for its class.
    """
    batch = place.step * place.micros + place.micro
    start = (batch * place.processes + place.process) * size
    rows = torch.tensor([row_at(len(lessons), start + k, place.seed, stream) for k in range(size)])
    entropy = [place.seed, NOISE, stream, place.step, place.micro, place.process]
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence(entropy).generate_state(1)[0])
    )
    x = lessons.mean[rows]
    if lessons.spread is not None:
        x = x + lessons.spread[rows] * torch.randn(x.shape, generator=generator)
    eps = torch.randn(x.shape, generator=generator)
    t = torch.randint(0, times, (size,), generator=generator)
    beside = None
    if lessons.beside is not None:
        beside = lessons.beside[rows, torch.randint(0, HOLES, (size,), generator=generator)]
    seen = None if lessons.seen is None else lessons.seen[rows]
    return Batch(x, eps, t, beside, lessons.which[rows], seen)


def row_at(count: int, position: int, seed: int, stream: int) -> int:
    """The picture at a position of an endless row of shuffles: all come equally often."""
    epoch, within = divmod(position, count)
    shuffled = np.random.default_rng([seed, ORDER, stream, epoch]).permutation(count)
    return int(shuffled[within])
