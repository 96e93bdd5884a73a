"""Checkpoints: whole or not there at all, and enough in each to go on to the same weights.

::

    checkpoints/000100/
    ├── trained.safetensors                what learns, in full precision
    ├── optimizer.pt                       the optimizer's state: tensors and numbers only
    ├── state.json                         the step, and the losses since the one before
    └── pytorch_lora_weights.safetensors   the adapter as diffusers reads it (LoRA)

Every draw is decided by the seed and the number of the step, so no state of a random generator is
kept.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from limner.errors import ModelError, OutputError
from limner.home import temporary_name
from limner.training.base_model import Base
from limner.training.trainable import TrainableModel

TRAINED, OPTIMIZER, STATE = "trained.safetensors", "optimizer.pt", "state.json"


def find(folder: Path) -> list[tuple[int, Path]]:
    """(step, folder) of each whole checkpoint, oldest first."""
    if not folder.is_dir():
        return []
    steps = [path for path in folder.iterdir() if path.name.isdigit() and (path / STATE).is_file()]
    return sorted((int(path.name), path) for path in steps)


def save(
    folder: Path,
    step: int,
    base: Base,
    trainable: TrainableModel,
    optimizer: torch.optim.Optimizer,
    *,
    keep: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint and then let go of the oldest.

    Args:
        folder: of all checkpoints.
        keep: how many stay; None: all.
        facts: JSON values for ``state.json``.

    Raises:
        OutputError: no room or no permission; which checkpoint is the last good one.
    """
    place = folder / f"{step:06}"

    def fill(temporary: Path) -> None:
        tensors = {name: tensor.cpu().contiguous() for name, tensor in trainable.state().items()}
        save_file(tensors, temporary / TRAINED)
        torch.save(optimizer.state_dict(), temporary / OPTIMIZER)
        if trainable.method == "lora":
            trainable.save_adapter(base, temporary)
        state = {"step": step, **(facts or {})}
        (temporary / STATE).write_text(json.dumps(state) + "\n", "utf-8")

    try:
        write_folder(place, fill)
    except OSError as error:
        good = find(folder)
        usable = f"the last whole one is {good[-1][1]}" if good else "there is none before it"
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise OutputError(
            f"The checkpoint of step {step} can't be written ({why}); {usable}. Make room and run "
            "the same command again: it goes on from there."
        ) from error
    for _, old in find(folder)[: -keep if keep else 0]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def load(path: Path, trainable: TrainableModel, optimizer: torch.optim.Optimizer) -> None:
    """Go on from a checkpoint.

    Raises:
        ModelError: files that are damaged, or of another architecture.
    """
    try:
        trained = load_file(path / TRAINED)
        state = torch.load(path / OPTIMIZER, weights_only=True, map_location="cpu")
    except Exception as error:  # safetensors, pickle and zip each have their own
        raise ModelError(
            f"The checkpoint {path} is damaged ({type(error).__name__}): delete it and run again."
        ) from error
    trainable.take(trained)
    optimizer.load_state_dict(state)


def check_room(folder: Path, trainable: TrainableModel, count: int) -> None:
    """Refuse to begin where the checkpoints wouldn't fit.

    Args:
        count: checkpoints that are kept at once.

    Raises:
        OutputError: with what is there and what is needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bytes_once = sum(p.numel() * p.element_size() for p in trainable.parameters)
    copies = 4 if trainable.method == "lora" else 3  # itself, two moments, the adapter
    needed, free = bytes_once * copies * (count + 1), shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"{folder} has room for {free / 1e9:.1f} GB, and {count} checkpoints take "
            f"{needed / 1e9:.1f} GB: make room, or lower checkpoints_total_limit."
        )


def write_folder(place: Path, fill: Callable[[Path], None]) -> None:
    """Make a folder that is there whole or not at all; one that is there is replaced.

    Args:
        fill: writes its files into the folder it is given.

    Raises:
        OSError: it can't be written; nothing is left.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.parent / temporary_name()
    try:
        temporary.mkdir()
        fill(temporary)
        for path in temporary.rglob("*"):
            _reach_disk(path)
        if place.exists():
            shutil.rmtree(place)
        os.replace(temporary, place)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _reach_disk(path: Path) -> None:
    if path.is_file():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
