"""What is here? The captioner says it in a sentence, and each thing that it names is looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from limner import pipeline
from limner.ops import detections
from limner.prompts import Text, VisualPrompt
from limner.prompts.noun_phrases import noun_phrases
from limner.protocols import Captioner
from limner.session.finder import Found
from limner.session.results import Source


def look_by_caption(
    source: Source,
    prompts: Sequence[VisualPrompt],
    captioner: Captioner,
    look: Callable[[Sequence[VisualPrompt]], Found],
) -> tuple[Found, dict[str, Any]]:
    """Look for the prompts, and after them for what the captioner says is there.

    A phrase that is among the prompts already, with or without more to it, isn't asked for twice.
    A caption that names nothing is an answer: without prompts, ``look`` isn't called then.

    Returns:
        What was found, and for the record the ``caption`` and its ``phrases``.
    """
    watch = pipeline.Stopwatch()
    with watch.stage("caption"):
        (caption,) = captioner.caption([source.image])
    phrases = noun_phrases(caption)
    known = {prompt.text.phrase.lower() for prompt in prompts if prompt.text}
    named = [VisualPrompt(text=Text(phrase)) for phrase in phrases if phrase not in known]
    grounding = pipeline.Grounding(source.image.size, (), detections.empty())
    tasks: tuple[str, ...] = ()
    if prompts or named:
        grounding, tasks = look([*prompts, *named])
    grounding = replace(grounding, seconds={**watch.seconds, **grounding.seconds})
    return (grounding, ("caption", *tasks)), {"caption": caption, "phrases": list(phrases)}
