"""What a family's ``load(weights, runtime)`` is given: which model, its files, on what device."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.protocols import ModelRef


@dataclass(frozen=True)
class Weights:
    """A model that can be loaded.

    ``path`` is a folder in the format of ``from_pretrained`` (None for families without weights);
    ``defaults`` are the checkpoint's own settings from the catalog, such as ``{"threshold": 0.1}``.
    """

    ref: ModelRef
    path: Path | None = None
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Runtime:
    """Where and how a model computes. Chosen once (``runtime.choose``), passed in.

    ``device`` is a torch device string ("cpu", "cuda:0", "mps"); ``dtype`` is a torch dtype's name
    ("float32", "bfloat16", "float16").
    """

    device: str = "cpu"
    dtype: str = "float32"
