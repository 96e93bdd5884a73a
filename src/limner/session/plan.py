"""Which models a verb asks, and how often: known before any of them is loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from limner.ops import transforms
from limner.options import DetectOptions, EditOptions, RedactOptions
from limner.pipeline import needs_detector
from limner.pipeline.look import TILE
from limner.pipeline.rotate import ANGLES, SCALES
from limner.pipeline.zoom import ROUNDS
from limner.prompts import PromptKind, Text
from limner.session.model_slots import READ, Models
from limner.verbs import VERBS

BOXED = (frozenset({PromptKind.BOX}), frozenset({PromptKind.MASK}))
"""Kinds of a prompt that is its own region."""


class Described(Protocol):
    """A prompt, or one whose files aren't opened yet."""

    @property
    def text(self) -> Text | None: ...

    @property
    def kinds(self) -> Collection[PromptKind]: ...

    @property
    def says_what(self) -> bool: ...


def tasks_of(
    verb: str, prompts: Sequence[Described], settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """The tasks whose models decide the answer, whether or not each is asked."""
    looked_for = (*prompts, *(settings.get("verify") or ()))
    return VERBS[verb].tasks(
        by_words=any(prompt.says_what for prompt in looked_for),
        captioned=bool(settings.get("what_is_here")),
        from_words=paints_words(verb, settings),
        prompted=bool(prompts),
    )


def slots_of(
    models: Models, verb: str, prompts: Sequence[Described], settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """The same as slots of a session: without words, what removes may be another than what
    paints."""
    painting = models.painting_slot(words=paints_words(verb, settings))
    tasks = tasks_of(verb, prompts, settings)
    return tuple(painting if task == "inpaint" else task for task in tasks)


def paints_words(verb: str, settings: Mapping[str, Any]) -> bool:
    """Whether words say what is to be painted."""
    return isinstance(settings.get(VERBS[verb].paints), Text)


def slots_asked(
    models: Models, verb: str, prompts: Sequence[Described], settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """Slots whose models will be asked, ``READ`` among them.

    A caption's phrases, which nobody knows yet, count as phrases.
    """
    slots = [*slots_of(models, verb, prompts, settings)]
    if "segment" in slots and not settings.get("everything"):
        words = bool(settings.get("what_is_here"))
        if not _asks_segmenter(models, verb, prompts, settings, words=words):
            slots.remove("segment")
        elif not VERBS[verb].looks_again:
            _read_by_segmenter(models, prompts, slots, words=words)
    if "inpaint" in slots and "refine" in models.names:
        slots.append("refine")
    return tuple(slots)


def _asks_segmenter(
    models: Models,
    verb: str,
    prompts: Sequence[Described],
    settings: Mapping[str, Any],
    *,
    words: bool,
) -> bool:
    row = VERBS[verb]
    if row.looks_again:  # a redaction
        redact: RedactOptions = settings.get("redact") or RedactOptions()
        if region_of(prompts, redact) == "box":
            return False
    edit: EditOptions | None = settings.get("edit")
    if edit and edit.region == "box":
        return False
    if row.mask_as_drawn and are_masks(prompts) and not words:
        return False
    says_what = all(prompt.says_what for prompt in prompts)
    return not (says_what and detector_outlines(models))


def _read_by_segmenter(
    models: Models, prompts: Sequence[Described], slots: list[str], *, words: bool
) -> None:
    """Leave out the detector where the segmenter understands every prompt itself, and name what
    reads the phrases for it."""
    family = models.family("segment")
    if "detect" not in slots or family is None:
        return
    if any(needs_detector(prompt, family) for prompt in prompts):
        return
    if words and PromptKind.TEXT not in family.accepts:
        return
    slots.remove("detect")
    if family.text_encoder:
        slots.append(READ)


def are_masks(prompts: Sequence[Described]) -> bool:
    """Whether every prompt is a mask and nothing else."""
    return all(prompt.kinds == {PromptKind.MASK} for prompt in prompts)


def has_boxes(prompts: Sequence[Described]) -> bool:
    """Whether every prompt has or finds a box, or is a mask beside one that has."""
    boxed = all(prompt.says_what or prompt.kinds in BOXED for prompt in prompts)
    return boxed and not are_masks(prompts)


def region_of(prompts: Sequence[Described], redact: RedactOptions) -> str:
    """What a redaction covers where nobody says: "box" or "outline"."""
    return redact.region or ("box" if has_boxes(prompts) else "outline")


def detector_outlines(models: Models) -> bool:
    """Whether the detector's boxes come with masks."""
    if "detect" not in models.names or len(models.chosen("detect")) > 1:
        return False  # a fused box is nobody's outline
    family = models.family("detect")
    return family is not None and family.outlines


def looks_at(
    size_wh: tuple[int, int], options: DetectOptions, prompts: int, *, turned: bool = False
) -> int:
    """How often a detector is asked about one picture.

    Of a zoom, which costs ``ROUNDS`` looks a find, one find of each prompt is counted.

    Args:
        turned: where nobody says how to look, it looks turned as well.
    """
    how = options.look or ("turned" if turned else "whole")
    if how == "zoom":
        return 1 + ROUNDS * prompts
    if how not in ("tiles", "turned"):
        return 1
    side, overlap = options.tiling(TILE if how == "turned" else None)
    tiles = len(transforms.tiles(size_wh, (side, side), (overlap, overlap)))
    upright = 1 if tiles == 1 else 1 + tiles
    return upright + ((len(ANGLES) - 1) * len(SCALES) if how == "turned" else 0)
