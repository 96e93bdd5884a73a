"""What a family's ``load(weights, runtime)`` is given: which model, its files, on what device."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.protocols import ModelRef

OWN_FOLDER = "unknown (local folder)"
"""The licence of a model that a user named by its folder: limner knows nothing of its files."""


def is_path(name: str) -> bool:
    """Whether a model or a LoRA was named by its path: ``./sam``, ``/models/sam``, ``~/sam``."""
    return name.startswith((".", "/", "~")) or "\\" in name


def as_path(task: str, name: str) -> str:
    """A model's name, in which ``mymodels/sam`` is written ``./mymodels/sam`` where that folder is.

    A repository of the hub is written in the same way; the folder that is here comes first.
    """
    mark = between(task, name)
    if mark:
        return mark.join(as_path("", part) for part in members_of(task, name))
    is_folder = not is_path(name) and "/" in name and os.path.isdir(name)
    return f"./{name}" if is_folder else name


def between(task: str, name: str) -> str:
    """What stands between the members of a model's name: "+" in a consensus, "|" where the first
    answers the phrases that it knows and the second all others; "" where it is one model."""
    if task != "detect" or os.path.isdir(os.path.expanduser(name)):
        return ""
    return next((mark for mark in "|+" if mark in name), "")


def members_of(task: str, name: str) -> tuple[str, ...]:
    """The detectors of a consensus, which is written ``owlvit-base-patch32+./my-owlvit``, or the
    two of ``centerface|haar``; any other model is itself, and so is a folder with a + in its
    name."""
    mark = between(task, name)
    return tuple(part.strip() for part in name.split(mark)) if mark else (name,)


@dataclass(frozen=True)
class Adapter:
    """What a taught subject adds to a model's weights: a LoRA file."""

    name: str
    path: Path
    weight: float
    """1 is as it was taught, 0 nothing."""
    sha256: str
    base: str = ""
    """The model it was taught on; empty: not known."""
    accelerates: bool = False
    """It lets the model paint in a few steps, and is no subject."""

    @property
    def identity(self) -> str:
        return f"{self.name}={self.weight:g}:{self.sha256}"


@dataclass(frozen=True)
class Weights:
    """A model that can be loaded.

    ``path`` is a folder in the format of ``from_pretrained`` (None for families without weights);
    ``defaults`` are the checkpoint's own settings from the catalog, such as ``{"threshold": 0.1}``;
    ``adapters`` are the subjects it is to know and what lets it paint in fewer steps;
    ``refiner`` is the model that does its last steps.
    """

    ref: ModelRef
    path: Path | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    adapters: tuple[Adapter, ...] = ()
    refiner: Weights | None = None


@dataclass(frozen=True)
class Runtime:
    """Where and how a model computes. Chosen once (``device.choose``), passed in.

    ``device`` is a torch device string ("cpu", "cuda:0", "mps"); ``dtype`` is a torch dtype's name
    ("float32", "bfloat16", "float16").
    """

    device: str = "cpu"
    dtype: str = "float32"
