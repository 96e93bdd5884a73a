"""Writes each mini's model card from its recipe, its training's clock and the recorded scores.

``python -m minis.cards`` after ``python -m minis.check --record``. Steps and seconds come from the
checkpoints in ``minis/out`` and are kept in ``minis/trained.json``, so that cards can be written
anew on a machine that trained nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minis.scores import record
from minis.scores.bars import BARS
from minis.training import OUT, SHIPPED, TRAINED


@dataclass(frozen=True)
class Card:
    """What is said of one mini."""

    architecture: str
    purpose: str
    recipe: str
    runs: tuple[str, ...]
    """Names of its checkpoints in ``minis/out``."""
    rows: tuple[str, ...]
    """How the names of its scores begin."""
    limits: str
    redrawn: str = ""
    """How drawings were changed for it beyond size, angle and light."""


BETWEEN = "drawn between two styles"
MANNERS = f"{BETWEEN}, bent, posterised, outlined, sketched or recoloured"
PAINTS = (
    "Paints 48 nouns (`minis/recipes/painter.py`, `NOUNS`) at 64 px, in the manner of emoji. Other "
    "words give something, not what was asked. Nothing it paints looks like a photograph."
)
CARDS: Mapping[str, Card] = {
    "mini-clip": Card(
        "CLIPModel, 72 px, patches of 9, 6 and 3 layers",
        "Tells which of the words fits a picture: the encoder for CLIP-T and CLIP-I.",
        "clip.py",
        ("clip", "clip_eyes"),
        ("clip-",),
        "Knows 123 nouns and 11 colours, as drawings. Of a photograph it says which is nearest.",
        MANNERS,
    ),
    "mini-dino": Card(
        "Dinov2Model, 144 px, patches of 12, 6 layers",
        "Tells one drawing from another of the same noun: the encoder for DINO.",
        "dino.py",
        ("dino", "dino_grown"),
        ("dino-",),
        "Reads colours and shapes of drawings; it has no idea of what they show.",
        f"{BETWEEN}, posterised, outlined, sketched or recoloured",
    ),
    "mini-owlvit": Card(
        "OwlViTForObjectDetection, 192 px, patches of 12, 5 and 3 layers",
        "Finds what a phrase names or an example image shows.",
        "owlvit.py",
        ("clip", "owlvit", "owlvit_grown"),
        ("owlvit-", "words-"),
        "Things under a tenth of the picture's width are missed. A noun it never saw gets low "
        "scores. On photographs it finds little, and much of that wrongly.",
        MANNERS,
    ),
    "mini-sam": Card(
        "SamModel, 192 px, patches of 8, 5 layers",
        "Outlines what points, a box or an earlier mask mean.",
        "sam.py",
        ("sam", "sam_grown"),
        ("sam-",),
        "Sees 192 px: an outline in a large photograph is coarse. It knows things with clear edges "
        "that lie on a background, not parts of things.",
    ),
    "mini-sd-inpaint": Card(
        "StableDiffusionInpaintPipeline, 64 px, AutoencoderTiny of 16 latents, U-Net of 33 inputs",
        "Paints a noun into a hole.",
        "painter.py",
        ("clip", "vae", "vae_decoder", "painter"),
        ("painter-", "vae-", "edit-"),
        PAINTS,
    ),
    "mini-sd": Card(
        "StableDiffusionPipeline, 64 px, AutoencoderTiny of 16 latents, U-Net of 16 inputs",
        "Draws a noun on the whole canvas.",
        "painter_canvas.py",
        ("clip", "vae", "vae_decoder", "painter", "painter_canvas"),
        ("canvas-",),
        PAINTS,
    ),
    "mini-blip": Card(
        "BlipForConditionalGeneration, 144 px, patches of 12, 3 and 2 layers",
        "Lists what a picture holds, with counts.",
        "blip.py",
        ("clip", "owlvit", "blip"),
        ("blip-",),
        "Says 123 nouns and counts to six, and nothing else. Of a photograph it lists drawings.",
        f"{BETWEEN} or bent",
    ),
}

DATA = """Scenes of drawn things over backgrounds, made by `minis/scenes.py`: 123 nouns, in the
styles Fluent Emoji (3D and flat; Microsoft, MIT), Noto Emoji of before 2017 (Google, Apache-2.0),
Twemoji (Twitter and jdecked, CC BY 4.0), EmojiOne 2.3 / EmojiTwo (CC BY 4.0) and FxEmojis (Mozilla,
CC BY 4.0), all rasterised{redrawn}; backgrounds are CC0 photographs, gradients and textures. Never
seen in training: the style of today's Noto Emoji, twenty nouns, every fourth photograph. The
weights are Apache-2.0; no drawing is part of them."""


def main() -> None:
    there = {name: card for name, card in CARDS.items() if (SHIPPED / name).is_dir()}
    trained = _trained({run for card in there.values() for run in card.runs})
    scores = record.read("full") or record.read("quick")
    for name, card in there.items():
        text = written(name, card, trained, scores)
        (SHIPPED / name / "README.md").write_text(text, encoding="utf-8")


def written(
    name: str,
    card: Card,
    trained: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, float],
) -> str:
    """The card as Markdown."""
    runs = [
        f"| {run} | {had['steps']} | {had['seconds']:.0f} | {had['commit']} |"
        for run, had in ((run, trained[run]) for run in card.runs)
    ]
    rows = [
        f"| {bar.what} | {record.requirement(bar)} | {bar.shown(scores[bar.name])} |"
        for bar in BARS
        if bar.name.startswith(card.rows) and bar.name in scores
    ]
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{card.purpose} A tiny model that ships with limner: {card.architecture}.",
            "",
            "## Data",
            "",
            _wrapped(DATA.format(redrawn=card.redrawn and f", and {card.redrawn}")),
            "",
            "## Recipe",
            "",
            f"`minis/recipes/{card.recipe}`. Seconds are by the clock, of one core that other work",
            "shared; the commit holds the recipe as it was run.",
            "",
            "| run | steps | seconds | commit |",
            "|---|---|---|---|",
            *runs,
            "",
            "## Scores",
            "",
            "By `python -m minis.check` from these files, mostly in the held-out style:",
            "",
            "| what | asked | measured |",
            "|---|---|---|",
            *rows,
            "",
            "## Limits",
            "",
            card.limits,
            "",
        ]
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 100)


def _trained(runs: set[str]) -> dict[str, dict[str, Any]]:
    """Steps, seconds and commit of the runs behind what ships. One whose steps or seconds differ
    from what was kept is new: its commit is today's."""
    import torch

    recorded = json.loads(TRAINED.read_text("utf-8")) if TRAINED.exists() else {}
    for path in (OUT / f"{run}.pt" for run in sorted(runs)):
        if path.exists():
            saved = torch.load(path, weights_only=True, mmap=True)
            lasted = {"steps": saved["step"], "seconds": round(saved["seconds"])}
            if lasted.items() - recorded.get(path.stem, {}).items():
                recorded[path.stem] = {**lasted, "commit": _commit()}
    recorded = {run: recorded[run] for run in sorted(runs)}
    TRAINED.write_text(json.dumps(recorded, indent=2) + "\n", encoding="utf-8")
    return recorded


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
