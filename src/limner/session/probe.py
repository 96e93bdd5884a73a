"""How far a session's answer hangs on how exactly it was asked: varied prompts, or varied seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limner.errors import OptionError, PromptError
from limner.evaluation import clip_t, prompt_sensitivity
from limner.evaluation.prompt_sensitivity import Sensitivity, Trial
from limner.ops import masks
from limner.ops.overlay import overlay
from limner.options import InpaintOptions
from limner.pipeline.crops import crop_around
from limner.prompts import BoolMask, Text, VisualPrompt
from limner.session.results import FindOptions, Source

if TYPE_CHECKING:
    from PIL.Image import Image

    from limner.protocols import OnStep
    from limner.session.verb_session import VerbSession


@dataclass(frozen=True)
class Variation:
    """What is varied, and how much."""

    times: int = 8
    """How often points and boxes are moved, or seeds drawn."""
    jitter: float = 0.05
    """How far they are moved at most, in parts of the object's longer side."""
    templates: Sequence[str] = ()
    """Ways to say the phrase, with ``{thing}`` in them; none: those of ``prompt_sensitivity``."""
    seed: int = 0


def probe_outline(
    session: VerbSession,
    source: Source,
    prompt: VisualPrompt,
    finding: FindOptions,
    variation: Variation,
    *,
    truth: BoolMask | None = None,
    on_step: OnStep | None = None,
) -> tuple[Sensitivity, Image]:
    """Outlines of varied prompts, and the worst case drawn on the picture.

    Args:
        truth: the true outline, (H, W); None: answers are held against that to the prompt as given.

    Raises:
        PromptError: a true outline of another size.
        OptionError: templates for a prompt without a phrase.
    """
    size_wh = source.image.size
    if truth is not None and truth.shape != size_wh[::-1]:
        raise PromptError(
            f"The true mask is {truth.shape[1]}x{truth.shape[0]} pixels and the image "
            f"{size_wh[0]}x{size_wh[1]}: a mask covers the whole image, pixel for pixel."
        )

    def outline(variant: VisualPrompt) -> BoolMask:
        return session.segment(source, [variant], finding=finding).grounding.mask

    first = outline(prompt)
    box = masks.box_of(first if truth is None else truth)
    side = max(box[2] - box[0], box[3] - box[1]) if box else max(size_wh)
    pixels, templates = variation.jitter * side, variation.templates
    variants = [
        *prompt_sensitivity.jittered(prompt, size_wh, pixels, variation.times, variation.seed),
        *prompt_sensitivity.reworded(prompt, templates or prompt_sensitivity.TEMPLATES),
    ]
    if templates and prompt.text is None:
        raise OptionError("--template has no effect without --text.")
    known, done = iter([first]), iter(range(len(variants) + 1))

    def outline_once(variant: VisualPrompt) -> BoolMask:
        if on_step is not None:
            on_step(next(done), len(variants))
        answer = next(known, None) if variant is prompt else None
        return outline(variant) if answer is None else answer

    sensitivity = prompt_sensitivity.probe(outline_once, prompt, variants, truth)
    worst = sensitivity.worst.prompt or prompt
    run = session.segment(source, [worst], finding=finding)
    return sensitivity, overlay(source.image, run.grounding.detections, [worst])


def probe_painting(
    session: VerbSession,
    source: Source,
    prompt: VisualPrompt,
    paint: str,
    finding: FindOptions,
    variation: Variation,
    *,
    on_step: OnStep | None = None,
) -> tuple[Sensitivity, Image]:
    """What is painted with different seeds, by CLIP-T where the session has an encoder and by the
    seam otherwise; and the worst painting.

    Raises:
        OptionError: nothing is found, so there is no place to paint.
    """
    encoder = session.models.encoder if "encode" in session.models.names else None
    trials: list[Trial] = []
    for seed in range(variation.seed, variation.seed + variation.times):
        run = session.edit(
            source, [prompt], Text(paint), finding=finding, inpaint=InpaintOptions(seed=seed)
        )
        if not run.edits:
            raise OptionError("Nothing was found by the prompt: there is no place to paint.")
        edit, value = run.edits[0], run.edits[0].seam
        if encoder is not None:
            crop = edit.image.crop(crop_around(edit.mask, context=0.1, grid=1))
            value = clip_t(encoder, [crop], [paint])
        trials.append(Trial(f"seed {seed}", value, edit.image))
        if on_step is not None:
            on_step(len(trials), variation.times)
    by_words = encoder is not None
    sensitivity = Sensitivity(
        "clip_t" if by_words else "seam",
        f"“{paint}”" if by_words else "its surroundings",
        None,
        tuple(trials),
        higher_is_better=by_words,
    )
    return sensitivity, sensitivity.worst.answer
