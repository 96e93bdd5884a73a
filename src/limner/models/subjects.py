"""Subjects that models were taught: where they lie, and which weights they add to a painter.

::

    $LIMNER_HOME/subjects/mydog/
    ├── pytorch_lora_weights.safetensors   the adapter, in diffusers' layout (LoRA)
    ├── model/                             the whole model (full fine-tuning)
    ├── subject.json                       the card, for programs
    ├── README.md                          the card, for people
    ├── thumbnails/                        of the photographs
    └── run/                               job, log, checkpoints: what a stopped run goes on from
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import ModelError, OptionError, UnknownModel, WeightsMissing
from limner.models.source import Adapter, is_path
from limner.models.store import home

ADAPTER = "pytorch_lora_weights.safetensors"
"""The file that diffusers' ``load_lora_weights`` looks for in a folder."""
TEACHABLE = "stable_diffusion"
"""The family whose models can be taught a subject."""
CARD, WHOLE, RUN = "subject.json", "model", "run"


@dataclass(frozen=True)
class Subject:
    """A taught subject."""

    name: str
    folder: Path
    card: Mapping[str, Any]
    """What ``subject.json`` holds."""

    @property
    def adapter(self) -> Path:
        return self.folder / ADAPTER

    @property
    def run(self) -> Path:
        return self.folder / RUN


def root() -> Path:
    """The folder of all subjects."""
    return home() / "subjects"


def folder_of(name: str) -> Path:
    """Where a subject lies, or would.

    Raises:
        OptionError: a name that is no folder's.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise OptionError(
            f"A subject's name has letters, digits, - and _, got {name!r}: such as mydog."
        )
    return root() / name


def found() -> list[Subject]:
    """All finished subjects, by name."""
    if not root().is_dir():
        return []
    names = sorted(path.name for path in root().iterdir() if (path / CARD).is_file())
    return [find(name) for name in names]


def find(name: str) -> Subject:
    """A finished subject.

    Raises:
        UnknownModel: no such subject; which there are.
        ModelError: its card is damaged.
    """
    folder = folder_of(name)
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
    except OSError:
        known = ", ".join(one.name for one in found()) or "none yet"
        begun = " It was begun, and not finished: run its `limner teach` again."
        raise UnknownModel(
            f"There is no subject {name!r}; there {'is' if known == 'none yet' else 'are'} {known}."
            + (begun if (folder / RUN).is_dir() else "")
        ) from None
    except ValueError as error:
        raise ModelError(f"{folder / CARD} is damaged ({error}): teach {name} again.") from error
    return Subject(name, folder, card)


def adapter_of(named: str, weight: float = 1.0) -> Adapter:
    """The weights that a subject adds.

    Args:
        named: a subject's name, or the path of a LoRA file or of a folder that has one.

    Raises:
        UnknownModel, WeightsMissing: there is none.
        ModelError: a subject that is a model of its own.
    """
    if is_path(named):
        path = Path(named).expanduser().absolute()
        path = path / ADAPTER if path.is_dir() else path
        if path.suffix != ".safetensors" or not path.is_file():
            raise WeightsMissing(f"There is no LoRA at {named}: expected {ADAPTER} in a folder.")
        return Adapter(path.parent.name, path, weight, _sha256(path))
    subject = find(named)
    if not subject.adapter.is_file():
        raise ModelError(
            f"{named} was taught by full fine-tuning, so it is a model of its own: "
            f"--inpainter {subject.folder / WHOLE}."
        )
    base = (subject.card.get("base") or {}).get("name", "")
    return Adapter(named, subject.adapter, weight, _sha256(subject.adapter), base)


def parse(text: str) -> tuple[str, float]:
    """``mydog`` or ``mydog=0.8`` as name and weight.

    Raises:
        OptionError: a weight that is no number from -2 to 2.
    """
    name, equals, said = text.partition("=")
    try:
        weight = float(said) if equals else 1.0
    except ValueError:
        weight = float("nan")
    if not name or not -2 <= weight <= 2:
        raise OptionError(f"--subject takes NAME or NAME=WEIGHT, up to 2; got {text!r}.")
    return name, weight


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
