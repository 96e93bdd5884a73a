"""What the profiles are made of, what they cost on this machine, and what they can't do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from limner.cli.batch.dry_run import STEPS
from limner.prompts import PromptKind
from limner.registry import catalog, store
from limner.registry.catalog import ModelEntry
from limner.registry.costs import COSTS, machine_speed

WITHOUT: Mapping[str, str] = {
    "generate": "make pictures from words (generate)",
    "encode": "score pictures against words (CLIP-T)",
    "caption": "say what is in a picture (caption, --what-is-here)",
}
"""What a profile can't do that has no model for a task."""


@dataclass(frozen=True)
class ProfileRow:
    """One model of a profile."""

    profile: str
    task: str
    entry: ModelEntry
    memory_gb: float
    seconds: float
    """Of one picture and one prompt, or phrase, on this machine's CPU."""
    measured: bool
    here: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "task": self.task,
            "model": self.entry.name,
            "licence": self.entry.licence,
            "download_mb": 0 if self.entry.shipped else self.entry.size_mb,
            "memory_gb": self.memory_gb,
            "seconds": round(self.seconds, 2),
            "measured": self.measured,
            "here": self.here,
        }


def profile_rows() -> list[ProfileRow]:
    """Every model of every profile, with its cost on a machine as fast as this one."""
    speed = machine_speed()
    return [
        _row(profile, task, catalog.catalog()[name], speed)
        for profile, models in catalog.profiles().items()
        for task, name in models.items()
    ]


def _row(profile: str, task: str, entry: ModelEntry, speed: float) -> ProfileRow:
    cost = COSTS[entry.name]
    steps = int(entry.defaults.get("num_inference_steps", STEPS)) if cost.step else 0
    seconds = cost.seconds(1, steps) / speed
    here = store.is_here(entry)
    return ProfileRow(profile, task, entry, cost.memory_gb, seconds, cost.measured, here)


def cannot(profile: str) -> list[str]:
    """What a profile has no model for, or none that takes such a prompt."""
    return list(_lacks(catalog.profile(profile)))


def _lacks(models: Mapping[str, str]) -> Iterator[str]:
    entries = {task: catalog.catalog()[name] for task, name in models.items()}
    detector, painter = entries["detect"], entries["inpaint"]
    if detector.family == "haar":
        yield "find other words than faces, eyes, bodies and plates"
    if PromptKind.EXEMPLAR not in catalog.takes(detector, "detect"):
        yield "find by an example (--exemplar, --like)"
    if entries["segment"].weightless:
        yield "outline without a prompt (--everything)"
    if PromptKind.TEXT not in catalog.takes(painter, "inpaint"):
        yield "paint what words say (edit, --paint)"
    for task, sentence in WITHOUT.items():
        if task not in entries:
            yield sentence
    if detector.family not in ("vlm", "qwen_vl"):
        yield "follow whole sentences (--detector qwen3-vl-4b does)"
    if detector.shipped:
        yield "see much in photographs: its models know drawn things"
