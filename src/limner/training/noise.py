"""Random draws of a step: decided by the seed and the step's number alone.

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
    """The step, batch and process for which something is drawn."""

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
    rows: torch.Tensor
    """(B,) int64: the row of ``TextEmbeddings`` for each."""
    coverage: torch.Tensor | None = None
    """(B, 1, h, w) from 0 to 1: how much of each latent counts; None: all."""


def draw(
    dataset: LatentDataset, size: int, times: int, position: StepPosition, stream: int
) -> Batch:
    """A batch of one term.

    Args:
        times: of the noise schedule, 0 to ``times`` - 1.
        stream: 0 for the subject, 1 for its class.
    """
    batch = position.step * position.micros + position.micro
    start = (batch * position.processes + position.process) * size
    rows = torch.tensor(
        [row_at(len(dataset), start + k, position.seed, stream) for k in range(size)]
    )
    entropy = [position.seed, NOISE, stream, position.step, position.micro, position.process]
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence(entropy).generate_state(1)[0])
    )
    x = dataset.mean[rows]
    if dataset.spread is not None:
        x = x + dataset.spread[rows] * torch.randn(x.shape, generator=generator)
    eps = torch.randn(x.shape, generator=generator)
    t = torch.randint(0, times, (size,), generator=generator)
    beside = None
    if dataset.beside is not None:
        beside = dataset.beside[rows, torch.randint(0, HOLES, (size,), generator=generator)]
    coverage = None if dataset.coverage is None else dataset.coverage[rows]
    return Batch(x, eps, t, beside, dataset.rows[rows], coverage)


def row_at(count: int, position: int, seed: int, stream: int) -> int:
    """The picture at a position of an endless row of shuffles: all come equally often."""
    epoch, within = divmod(position, count)
    shuffled = np.random.default_rng([seed, ORDER, stream, epoch]).permutation(count)
    return int(shuffled[within])
