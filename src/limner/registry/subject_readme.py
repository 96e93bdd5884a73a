"""A subject's card as people read it: Markdown, headed by what a model hub reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def readme(card: Mapping[str, Any]) -> str:
    """The text of ``README.md``.

    Args:
        card: what ``subject.json`` holds; with ``scores`` once it was scored.
    """
    base = card["base"]
    rows = {
        "base": f"{base['name']}, revision {base.get('revision') or 'not known'}",
        "taught as": card["instance_prompt"],
        "class": card["class_prompt"],
        "steps": f"{card['steps']} at {card['side']} px",
        "trained": f"LoRA of rank {card['rank']}" if card.get("rank") else "all weights",
        "licence": f"that of the base, {card['licence']}",
        "consent": card.get("consent") or "not asked for: the class is no person",
        "created": f"{card['created']} by limner {card.get('limner', '')}",
    }
    return (
        f"---\nbase_model: {json.dumps(base['name'])}\n"
        f"instance_prompt: {json.dumps(card['instance_prompt'])}\n"
        f"license: {json.dumps(card['licence'])}\ntags: [limner, dreambooth, diffusers, lora]\n"
        f"---\n\n# {card['name']}\n\n{_pictures(card.get('thumbnails', ()))}\n\n"
        f"{_table(('', ''), rows.items())}\n\n"
        f'`limner edit room.jpg --text "the sofa" --inpainter {base["name"]} '
        f'--subject {card["name"]} --paint "{card["called"]}"`\n'
        + (_scored(card["scores"]) if "scores" in card else "")
    )


def judged(scores: Mapping[str, Any]) -> str:
    """By how many pictures and by which models scores were had."""
    judges = ", ".join(dict.fromkeys(model["name"] for model in scores["models"]))
    counts = {"prompt": len(scores["prompts"]), "seed": scores["seeds"]}
    extent = ", ".join(f"{n} {thing}{'' if n == 1 else 's'}" for thing, n in counts.items())
    return f"{extent}, by {judges}"


def _scored(scores: Mapping[str, Any]) -> str:
    """Scores for people; cosines to three digits."""
    names = [key for key in scores["rows"][0] if key != "name"]
    table = _table(
        ("checkpoint", *names),
        [(row["name"], *(_digits(row.get(key)) for key in names)) for row in scores["rows"]],
    )
    ceiling, best = _digits(scores["ceiling"]["dino"]), scores["best"] or "none is good enough"
    return (
        f"\n## Scores\n\n{judged(scores)}. "
        f"Best: {best}. The photographs' own DINO: {ceiling}.\n\n{table}\n\n"
        f"{_pictures(scores['pictures'])}\n"
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * (lines[0].count("|") - 1), *lines[1:]])


def _pictures(paths: Iterable[str]) -> str:
    return " ".join(f"![]({path})" for path in paths)


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
