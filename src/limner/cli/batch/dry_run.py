"""``--dry-run``: which models, how much memory, about how long. Nothing is loaded or written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.console import say, say_json, say_note

if TYPE_CHECKING:
    from limner.cli.batch.settings import Settings
    from limner.prompts.syntax import Draft
    from limner.session import Session

STEPS = 50
"""Denoising steps when neither the command nor the catalog says: diffusers' own default."""


def print_plan(
    settings: Settings,
    session: Session,
    objects: tuple[Draft, ...],
    *,
    tasks: tuple[str, ...],
    prompts: int = 1,
    steps: int | None = None,
    pictures: int = 1,
) -> None:
    """Say what the command would do.

    Args:
        tasks: "detect", "segment", "inpaint", "remove": those whose models would answer.
        prompts: asked of the segmenter for each image.
        steps: denoising steps, if given.
        pictures: painted for each image.
    """
    from limner.cli.batch.output_paths import places
    from limner.registry.costs import COSTS, machine_speed

    if "inpaint" in tasks and "refine" in session.models.names:
        tasks = (*tasks, "refine")
    inputs = places(settings)
    speed = machine_speed()
    rows: list[dict[str, Any]] = []
    asked = [(task, name) for task in tasks for name in _answering(session, task, objects)]
    for task, name in asked:
        row = _row(session, task, name)
        cost = COSTS.get(row["model"])
        if cost:
            count = prompts if task == "segment" else max(len(objects), 1)
            paints = task in ("inpaint", "remove")
            denoising = (steps or _default_steps(session, task)) if paints else 0
            seconds = cost.seconds(count, denoising)
            if paints:
                seconds *= pictures
            row |= {
                "memory_gb": cost.memory_gb,
                "seconds_per_image": round(seconds / speed, 1),
                "estimated": not cost.measured,
            }
        rows.append(row)
    memory = _largest([path for path, _ in inputs], objects, settings.max_pixels)
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
    say(f"  in all about {_duration(total)} and {memory:g} GB on this machine's CPU")
    say(f"  first result: {inputs[0][1].main}")


def _largest(paths: Sequence[Path], objects: tuple[Draft, ...], max_pixels: int) -> float:
    """GB of the picture that takes most with its objects; what isn't readable counts nothing."""
    from PIL import Image

    from limner.session.footprint import bytes_needed
    from limner.session.prompt_files import Opener, resolve

    opener, most = Opener(max_pixels, say_note), 0
    for path in paths:
        try:
            with Image.open(path) as picture:
                size = picture.size
        except (OSError, ValueError, Image.DecompressionBombError):
            continue  # refused when its turn comes
        most = max(most, bytes_needed(size, resolve(objects, size, opener)))
    return round(most / 1e9, 2)


def _answering(session: Session, task: str, objects: tuple[Draft, ...]) -> tuple[str, ...]:
    """Names of the models that would answer: of two by phrase those that a phrase is for."""
    if task == "detect" and session.models.by_phrase():
        texts = [draft.text for draft in objects if draft.text]
        return session.models.asked_for(texts) or session.models.chosen(task)
    return session.models.chosen(task)


def _row(session: Session, task: str, name: str) -> dict[str, Any]:
    from limner.registry import store

    entry = session.models.entry(task, name)
    if entry is None:
        return {"task": task, "model": name, "here": True}
    return {
        "task": task,
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
        parts.append(f"{row['memory_gb']:g} GB, {about}{_duration(row['seconds_per_image'])}")
    if not row["here"]:
        parts.append(f"not here ({row['download']}): limner models pull {row['model']}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
