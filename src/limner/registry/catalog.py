"""The table of checkpoints (``catalog.toml``): names, licences, sizes, and which family loads them.

Reading it imports no model code: what a family accepts is data, so "which model can take a box?"
is answered without torch.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from limner.errors import LicenceRefused, ModelError, UnknownModel
from limner.prompts import PromptKind
from limner.registry import bundled
from limner.registry.wheels import Wheel

TASKS = (
    "segment", "detect", "inpaint", "generate", "refine",
    "accelerate", "encode", "caption", "matte",
)  # fmt: skip
"""What checkpoints are there for."""
ANSWERING = ("detect", "segment", "inpaint")
"""Tasks whose models answer a verb; the others help, or judge what came of it."""
SLOTS = (*ANSWERING, "remove", "generate", "refine", "encode", "caption", "matte")
"""Where a session has a model. ``remove`` is a second one for the task to inpaint: what removes
where no words say what is to be painted. ``generate`` makes whole pictures from words. ``refine``
does the last steps of what inpaints; what accelerates is part of what it accelerates. ``matte``
takes the main thing of a picture, which no prompt says."""
COMMERCIAL = ("yes", "no", "restricted")
WHERE = frozenset({PromptKind.POINT, PromptKind.BACKGROUND_POINT, PromptKind.BOX, PromptKind.MASK})
"""Kinds that say where a thing is, which whoever is to find it doesn't take."""

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "sam": "limner.models.sam.sam:load",
        "sam_hq": "limner.models.sam.sam:load_hq",
        "sam2": "limner.models.sam.sam2:load",
        "edgetam": "limner.models.sam.sam2:load_edgetam",
        "sam3": "limner.models.sam.sam3:load",
        "owlvit": "limner.models.owlvit:load",
        "stable_diffusion": "limner.models.diffusion.stable_diffusion:load",
        "diffusion_fill": "limner.models.diffusion.other_pipelines:load",
        "lama": "limner.models.lama.lama:load",
        "grabcut": "limner.models.classical.adapters:load_grabcut",
        "opencv_inpaint": "limner.models.classical.adapters:load_opencv_inpaint",
        "haar": "limner.models.classical.adapters:load_haar",
        "middle": "limner.models.classical.middle:load",
        "birefnet": "limner.models.birefnet:load",
        "faces": "limner.models.faces.faces:load",
        "clip": "limner.models.clip:load",
        "dino": "limner.models.dino:load",
        "blip": "limner.models.blip:load",
        "fastsam": "limner.models.fastsam.fastsam:load",
        "grounding_dino": "limner.models.grounding_dino:load",
        "florence": "limner.models.florence.florence:load",
        "vlm": "limner.models.vlm.openai_client:load",
        "qwen_vl": "limner.models.vlm.qwen:load",
    }
)
"""``module:function`` of each family's ``load(weights, runtime)``; imported only when used."""


@dataclass(frozen=True)
class Family:
    """What all checkpoints of one architecture share."""

    name: str
    accepts: frozenset[PromptKind]
    types: tuple[str, ...] = ()
    """``model_type`` (transformers) or ``_class_name`` (diffusers) of a folder of this family;
    "onnx " and the task that an ONNX file names; the name of the weights' file where they come
    without any of these."""
    allow: tuple[str, ...] = ()
    """Patterns of the files that a checkpoint needs."""
    weights: str = ".safetensors"
    """How the names of its weight files end."""
    text_encoder: str = ""
    """The model that reads phrases for it; found in the store when the first phrase comes."""
    extra: str = ""
    """The extra of limner that it needs: ``fastsam`` for ``limner[fastsam]``."""
    outlines: bool = False
    """A detector whose boxes come with masks: no segmenter is asked about them."""
    torchless: bool = False
    """It runs on the CPU by itself: no device is chosen for it, and torch isn't loaded."""


@dataclass(frozen=True)
class ModelEntry:
    """One checkpoint. The fields are explained at the head of ``catalog.toml``."""

    name: str
    description: str
    task: str
    family: str
    licence: str
    commercial: str
    size_mb: float
    size_from: str
    repo: str | None = None
    revision: str | None = None
    shipped: bool = False
    limits: str = ""
    gated: bool = False
    former: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    how: str = ""
    wheel: Wheel | None = None
    accelerates: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """All that it can do; the first is what it is there for."""
        return (self.task, *self.also)

    @property
    def purpose(self) -> str:
        """Its tasks, for people: "detect and caption"."""
        *earlier, last = self.tasks
        return f"{', '.join(earlier)} and {last}" if earlier else last

    @property
    def weightless(self) -> bool:
        """An algorithm: it has no weights at all."""
        return self.repo is None and not self.shipped and not self.how and self.wheel is None

    @property
    def size(self) -> str:
        """The approximate download, for people."""
        if self.shipped:
            return "ships with limner"
        if self.weightless:
            return "no download"
        return (
            f"≈ {self.size_mb:.0f} MB" if self.size_mb < 1000 else f"≈ {self.size_mb / 1e3:.1f} GB"
        )

    def to_dict(self) -> dict[str, Any]:
        data = {spec.name: getattr(self, spec.name) for spec in dataclasses.fields(self)}
        data |= {key: list(value) for key, value in data.items() if isinstance(value, tuple)}
        if self.wheel:
            data["wheel"] = dataclasses.asdict(self.wheel)
        return data | {"defaults": dict(self.defaults)}


@dataclass(frozen=True)
class _Tables:
    models: Mapping[str, ModelEntry]
    families: Mapping[str, Family]
    profiles: Mapping[str, Mapping[str, str]]


def parse(text: str) -> _Tables:
    """The tables in a catalog's text.

    Raises:
        ModelError: a key, task, family or model that isn't known.
    """
    data = tomllib.loads(text)
    _known("the catalog", data, {"models", "families", "profiles"})
    families = {name: _family(name, table) for name, table in data["families"].items()}
    models = {name: _model(name, table, families) for name, table in data["models"].items()}
    for name, chosen in data["profiles"].items():
        _known(f"profile {name}", chosen, {*TASKS, *SLOTS})
        _known(f"profile {name}", chosen.values(), set(models))
    return _Tables(
        MappingProxyType(models),
        MappingProxyType(families),
        MappingProxyType({k: MappingProxyType(v) for k, v in data["profiles"].items()}),
    )


def _family(name: str, table: dict[str, Any]) -> Family:
    _known("the families", {name}, set(FAMILIES))
    _known(f"family {name}", table, {spec.name for spec in dataclasses.fields(Family)} - {"name"})
    accepts = frozenset(PromptKind(kind) for kind in table["accepts"])
    values = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return Family(name=name, **{**table, **values, "accepts": accepts})


def _model(name: str, table: dict[str, Any], families: Mapping[str, Family]) -> ModelEntry:
    specs = {spec.name: spec for spec in dataclasses.fields(ModelEntry)}
    _known(f"model {name}", table, set(specs) - {"name"})
    needed = {"description", "task", "family", "licence", "commercial", "size_mb", "size_from"}
    if table.get("shipped"):
        if "repo" in table:
            raise ModelError(
                f"The catalog's model {name} ships and has a repo: it has one or none."
            )
        table = {"size_mb": bundled.megabytes(name), "size_from": "its files", **table}
    if "how" in table and ("repo" in table or table.get("shipped")):
        raise ModelError(
            f"The catalog's model {name} says how to get it by hand, and limner can get it itself."
        )
    if "wheel" in table:
        if {"repo", "how"} & set(table):
            raise ModelError(f"The catalog's model {name} comes in a wheel and from elsewhere.")
        keys = [spec.name for spec in dataclasses.fields(Wheel)]
        if set(table["wheel"]) != set(keys):
            raise ModelError(f"The wheel of {name} has the keys {', '.join(keys)}.")
        table = {**table, "wheel": Wheel(**table["wheel"])}
    if missing := sorted(needed - set(table)):
        raise ModelError(f"The catalog's model {name} lacks {', '.join(missing)}.")
    _known(f"the tasks of {name}", {table["task"], *table.get("also", ())}, set(TASKS))
    _known(f"the family of {name}", {table["family"]}, set(families))
    _known(f"commercial of {name}", {table["commercial"]}, set(COMMERCIAL))
    values: dict[str, Any] = {"allow": families[table["family"]].allow, **table}
    values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    values["defaults"] = MappingProxyType(table.get("defaults", {}))
    return ModelEntry(name=name, **values)


def _known(where: str, keys: Any, known: set[str]) -> None:
    if unknown := sorted(set(keys) - known):
        raise ModelError(
            f"In catalog.toml, {where} has {', '.join(unknown)}; "
            f"known are {', '.join(sorted(known))}."
        )


@cache
def _tables() -> _Tables:
    return parse(resources.files("limner.registry").joinpath("catalog.toml").read_text("utf-8"))


def catalog() -> Mapping[str, ModelEntry]:
    """Every checkpoint by name, in the table's order."""
    return _tables().models


def families() -> Mapping[str, Family]:
    """Every family by name."""
    return _tables().families


def profiles() -> Mapping[str, Mapping[str, str]]:
    """Every profile: task -> model name."""
    return _tables().profiles


def profile(name: str) -> Mapping[str, str]:
    """The models of a profile by task.

    Raises:
        UnknownModel: no such profile.
    """
    if name not in profiles():
        raise UnknownModel(f"There is no profile {name!r}; there are {', '.join(profiles())}.")
    return profiles()[name]


def takes(entry: ModelEntry, task: str) -> frozenset[PromptKind]:
    """The kinds of prompt that a model takes for one of its tasks: what a model finds by words it
    may outline by boxes, and describe without being asked anything."""
    accepts = families()[entry.family].accepts
    if task == "caption":
        return frozenset()
    return accepts - WHERE if task == "detect" else accepts


def able(kind: PromptKind | None = None, *, task: str | None = None) -> tuple[str, ...]:
    """Names of the models that take this kind of prompt, or do this task, or both."""
    return tuple(
        entry.name
        for entry in catalog().values()
        if any(
            task in (None, own_task) and (kind is None or kind in takes(entry, own_task))
            for own_task in entry.tasks
        )
    )


def names(task: str) -> tuple[str, ...]:
    """Names of the models that do this task."""
    return able(task=task)


def weightless(task: str) -> tuple[str, ...]:
    """Names of the models that do this task without weights."""
    return tuple(e.name for e in catalog().values() if task in e.tasks and e.weightless)


def offline(task: str) -> tuple[str, ...]:
    """Names of the models that do this task with nothing to fetch."""
    entries = [e for e in catalog().values() if e.weightless or e.shipped]
    return tuple(e.name for e in entries if task in e.tasks)


def commercial(task: str) -> tuple[str, ...]:
    """Names of the models that do this task and may be used commercially without limits."""
    return tuple(e.name for e in catalog().values() if task in e.tasks and e.commercial == "yes")


def require_commercial(entry: ModelEntry) -> None:
    """Refuse a model whose licence limits commercial use (``--commercial-safe``).

    Raises:
        LicenceRefused: with the models of the same task that may be used.
    """
    if entry.commercial == "yes":
        return
    free = commercial(entry.task)
    reason = entry.limits or "commercial use is not allowed"
    raise LicenceRefused(
        f"--commercial-safe refuses {entry.name} ({entry.licence}): {reason}. "
        f"To {entry.task} without such limits: {', '.join(free) or 'no model in the catalog'}."
    )
