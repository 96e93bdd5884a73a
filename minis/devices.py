"""Where a recipe computes: this machine's CPU, or an accelerator that other cores render for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

DEVICE = "--device"
"""Option of a recipe: ``cpu``, or ``cuda`` with bfloat16 and pictures from the other cores."""
LEAST_MEMORY = 8e9
"""Bytes that an accelerator should have: four recipes share it (``on_accelerator.sh``)."""

Render = Callable[[np.random.Generator], Any]
"""Makes what a step is shown, on a CPU: tensors, and plain things that stay where they are."""


def option(name: str) -> str | None:
    """The word after ``name`` on the recipe's command line."""
    words = sys.argv[1:]
    return words[words.index(name) + 1] if name in words[:-1] else None


def chosen() -> torch.device:
    """The device of ``--device``; where it can't be had, a sentence and exit code 2."""
    name = option(DEVICE) or "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name != "cuda":
        _refuse(f"{DEVICE} {name}: expected cpu or cuda.")
    if not torch.cuda.is_available():
        _refuse(
            f"{DEVICE} cuda: torch sees no CUDA device here. Leave {DEVICE} out to use the CPU."
        )
    memory = torch.cuda.get_device_properties(0).total_memory
    if memory < LEAST_MEMORY:
        _refuse(
            f"{DEVICE} cuda: the device has {memory / 1e9:.0f} GB, and at least "
            f"{LEAST_MEMORY / 1e9:.0f} are needed. Leave {DEVICE} out to use the CPU."
        )
    return torch.device("cuda")


def _refuse(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def rendered(
    render: Render, seed: int, first: int, workers: int
) -> Iterator[tuple[Any, np.random.Generator]]:
    """What the steps from ``first`` on are shown, with a generator for the rest of each.

    A step's pictures depend on the seed and the step alone, whoever renders them. Without workers
    the generator is the one that rendered, where that left off.
    """
    if not workers:
        for step in count(first):
            rng = np.random.default_rng([seed, step])
            yield render(rng), rng
    loader = DataLoader(
        _Steps(render, seed),
        sampler=count(first),  # type: ignore[arg-type]  # endless; DataLoader only iterates it
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="fork",
        worker_init_fn=_one_thread,
    )
    for step, shown in zip(count(first), loader, strict=False):
        yield shown, np.random.default_rng([seed, step, 1])


def spare_cores() -> int:
    """Processes that may render: all cores but one."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class _Steps(Dataset[Any]):
    """What each step is shown, by its number."""

    def __init__(self, render: Render, seed: int) -> None:
        self._render, self._seed = render, seed

    def __getitem__(self, step: int) -> Any:
        return self._render(np.random.default_rng([self._seed, step]))


def _as_it_is(shown: Any) -> Any:
    return shown


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)


def moved(shown: Any, device: torch.device) -> Any:
    """Tensors in tuples, lists and dictionaries brought to a device; all else as it is."""
    if isinstance(shown, torch.Tensor):
        return shown.to(device, non_blocking=True)
    if isinstance(shown, tuple | list):
        return type(shown)(moved(part, device) for part in shown)
    if isinstance(shown, dict):
        return {key: moved(part, device) for key, part in shown.items()}
    return shown
