"""``--dry-run``: which models, how much memory, about how long. Nothing is loaded or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.console import say, say_json, say_note
from limner.options import InpaintOptions
from limner.session.model_slots import READ
from limner.session.plan import looks_at, slots_asked
from limner.verbs import VERBS

if TYPE_CHECKING:
    from limner.cli.batch.settings import Settings
    from limner.prompts.syntax import Draft
    from limner.registry.costs import Cost
    from limner.session import Session

STEPS = 50
"""Denoising steps when neither the command nor the catalog says: diffusers' own default."""


def print_plan(
    settings: Settings, session: Session, objects: tuple[Draft, ...], arguments: Mapping[str, Any]
) -> None:
    """Say what the command would do.

    Args:
        arguments: the verb's own arguments, as ``Session.request`` takes them.
    """
    from limner.cli.batch.output_paths import places

    inputs = places(settings)
    sizes = _sizes([path for path, _ in inputs])
    rows = _rows(_Plan(settings.verb, session, objects, arguments, sizes))
    memory = _largest(sizes, objects, settings.max_pixels)
    if settings.as_json:
        heavy = {"picture_memory_gb": memory}
        say_json({"verb": settings.verb, "images": len(inputs), **heavy, "models": rows})
        return
    say(f"{settings.verb}: {len(inputs)} image{'s' if len(inputs) > 1 else ''}")
    for row in rows:
        say("  " + _line(row))
    say(f"  the largest picture and its objects: up to {memory:g} GB")
    total = sum(row.get("seconds_per_image", 0.0) for row in rows) * len(inputs)
    memory = round(memory + sum(row.get("memory_gb", 0.0) for row in rows), 1)  # all stay loaded
    say(f"  in all about {duration(total)} and {memory:g} GB on this machine's CPU")
    say(f"  first result: {inputs[0][1].main}")


@dataclass(frozen=True)
class _Plan:
    """What a command would ask, of pictures of these sizes."""

    verb: str
    session: Session
    objects: tuple[Draft, ...]
    arguments: Mapping[str, Any]
    sizes: Sequence[tuple[int, int]]

    def names(self, slot: str) -> tuple[str, ...]:
        """Of the models that would answer: of two by phrase those that a phrase is for."""
        models = self.session.models
        if slot == READ:
            family = models.family("segment")
            return (family.text_encoder,) if family else ()
        if slot == "detect" and models.by_phrase():
            texts = [draft.text for draft in self.objects if draft.text]
            return models.asked_for(texts) or models.chosen(slot)
        return models.chosen(slot)

    def looks(self, name: str) -> float:
        """How often a detector is asked about a picture, on the mean."""
        finding = self.arguments.get("finding")
        if finding is None or not self.sizes:
            return 1.0
        entry = self.session.models.entry("detect", name)
        is_faces = entry is not None and entry.family == "faces"
        turned = VERBS[self.verb].looks_again and is_faces
        prompts = max(len(self.objects), 1)
        counts = [looks_at(size, finding.detect, prompts, turned=turned) for size in self.sizes]
        return sum(counts) / len(counts)

    def seconds(self, slot: str, name: str, cost: Cost) -> float:
        """One image's on the machine of the table of costs."""
        objects = max(len(self.objects), 1)
        if slot in ("inpaint", "remove"):
            inpaint = self.arguments.get("inpaint") or InpaintOptions()
            steps = inpaint.num_inference_steps or _default_steps(self.session, slot)
            return cost.seconds(objects, steps) * (inpaint.num_images_per_prompt or 1)
        if slot == "segment":
            everything = self.arguments.get("everything")
            prompts = everything.points_per_side**2 if everything else len(self.objects)
            return cost.seconds(prompts)
        return cost.seconds(objects) * (self.looks(name) if slot == "detect" else 1)


def _rows(plan: _Plan) -> list[dict[str, Any]]:
    from limner.registry.costs import COSTS, machine_speed

    speed = machine_speed()
    slots = slots_asked(plan.session.models, plan.verb, plan.objects, plan.arguments)
    rows: list[dict[str, Any]] = []
    answering = [(slot, name) for slot in slots for name in plan.names(slot)]
    for slot, name in answering:
        row = _row(plan.session, slot, name)
        if slot == "detect" and (looks := plan.looks(name)) > 1:
            row["looks_per_image"] = round(looks, 1)
        if cost := COSTS.get(row["model"]):
            row |= {
                "memory_gb": cost.memory_gb,
                "seconds_per_image": round(plan.seconds(slot, name, cost) / speed, 1),
                "estimated": not cost.measured,
            }
        rows.append(row)
    return rows


def _sizes(paths: Sequence[Path]) -> list[tuple[int, int]]:
    """Width and height of the pictures that can be read: the others are refused in their turn."""
    from PIL import Image

    sizes = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                sizes.append(picture.size)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
    return sizes


def _largest(
    sizes: Sequence[tuple[int, int]], objects: tuple[Draft, ...], max_pixels: int
) -> float:
    """GB of the picture that takes most with its objects."""
    from limner.session.footprint import bytes_needed
    from limner.session.prompt_files import Opener, resolve

    opener = Opener(max_pixels, say_note)
    needed = [bytes_needed(size, resolve(objects, size, opener)) for size in sizes]
    return round(max(needed, default=0) / 1e9, 2)


def _row(session: Session, slot: str, name: str) -> dict[str, Any]:
    from limner.registry import catalog, store

    entry = catalog.catalog()[name] if slot == READ else session.models.entry(slot, name)
    if entry is None:
        return {"task": slot, "model": name, "here": True}
    return {
        "task": slot,
        "model": entry.name,
        "licence": entry.licence,
        "download": entry.size,
        "here": entry.weightless or store.is_here(entry),
    }


def _default_steps(session: Session, slot: str) -> int:
    models = session.models
    fast = slot == "inpaint" and models.fast
    entry = models.accelerator() if fast else models.entry(slot)
    return int(entry.defaults.get("num_inference_steps", STEPS)) if entry else STEPS


def _line(row: dict[str, Any]) -> str:
    parts = [f"{row['task']}: {row['model']}"]
    if "licence" in row:
        parts.append(str(row["licence"]))
    if "memory_gb" in row:
        about = "estimated " if row["estimated"] else ""
        parts.append(f"{row['memory_gb']:g} GB, {about}{duration(row['seconds_per_image'])}")
    if "looks_per_image" in row:
        parts.append(f"{row['looks_per_image']:g} looks an image")
    if not row["here"]:
        parts.append(f"not here ({row['download']}): limner models pull {row['model']}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """For people: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
