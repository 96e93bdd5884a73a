"""``redact``: hide what is found, then look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from limner import pipeline
from limner.options import RedactOptions
from limner.prompts import VisualPrompt
from limner.protocols import Detector, OnStep
from limner.session.finder import Finder
from limner.session.request import Request, run_of
from limner.session.results import AnyImage, Outcome, Run, Source


def redact(finder: Finder, request: Request, image: AnyImage, on_step: OnStep | None) -> Run:
    source = Source.open(image)
    prompts = pipeline.separate_prompts(request.prompts)
    options: RedactOptions = request.setting("redact") or RedactOptions()
    verify: Sequence[VisualPrompt] = request.setting("verify", ())
    # An example in the picture itself is hidden with the rest: nothing can be like it then.
    words = [replace(p, likes=()) for p in prompts if p.text or p.exemplar]
    looked_for = [*words, *verify]
    redaction = None
    # What is to be hidden must not lie in a second place, in whatever form.
    with finder.stages.memory_only():
        if looked_for:
            finder.models.load_detectors(looked_for)  # now: the second look's time is its own
        detector = finder.thorough_detector if looked_for else None
        grounding, slots = finder.regions(source, prompts, request.finding, options)
        if grounding.mask.any():
            look = _look(finder, request, grounding, words, detector) if detector else None
            redaction = pipeline.redact(source.image, grounding.mask, options, look)
    return run_of(
        finder.models,
        request,
        source,
        Outcome(
            grounding,
            tuple(dict.fromkeys((*slots, *(("detect",) if looked_for else ())))),
            edits=(redaction.edit,) if redaction else (),
            redaction=redaction,
        ),
    )


def _look(
    finder: Finder,
    request: Request,
    grounding: pipeline.Grounding,
    words: Sequence[VisualPrompt],
    detector: Detector,
) -> pipeline.SecondLook:
    """How the result is looked at.

    Args:
        words: what says what the things are, of the prompts that found them.
    """
    verify: Sequence[VisualPrompt] = request.setting("verify", ())
    points = any(prompt.points for prompt in words)
    others = finder.other_detectors(words)
    questions = pipeline.questions_about(
        grounding, words, verify, everywhere=request.finding.takes_all and not points
    )
    first = finder.models.asked([*words, *verify])
    names = (*first, *(other.ref.name for other in others))
    return pipeline.SecondLook(detector, questions, request.finding.detect, others, names)
