"""Tensors that are computed once: kept on disk under all that decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from limner.io.save import write_atomic
from limner.registry.store import home

Tensors = Mapping[str, torch.Tensor]


def folder() -> Path:
    """Where what was computed for teaching is kept; safe to delete."""
    return home() / "teaching"


def key_of(*decides: Any) -> str:
    """SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def once(kind: str, key: str, compute: Callable[[], Tensors]) -> dict[str, torch.Tensor]:
    """The tensors under a key, computed now if they were not before.

    A file that can't be read is computed anew.

    Raises:
        OutputError: there is no room, or no permission, to keep them.
    """
    path = folder() / kind / f"{key}.safetensors"
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError):
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in compute().items()}
        write_atomic(path, save(tensors), overwrite=True)
        return tensors
