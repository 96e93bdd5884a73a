"""What would fail for every picture, asked before the first is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from limner.prompts import Text, VisualPrompt
from limner.protocols import ClosedVocabulary
from limner.registry import catalog
from limner.session.model_slots import READ, Models
from limner.session.plan import Described, slots_asked


def check_models(
    models: Models, verb: str, prompts: Sequence[Described], settings: Mapping[str, Any]
) -> None:
    """Refuse what no picture can change: who would answer must be here, and know the phrases.

    Args:
        prompts: as typed; files that they name needn't be opened.
        settings: the verb's own arguments, as ``Session.request`` takes them.

    Raises:
        UnknownModel, LicenceRefused, WeightsMissing, UnsafeWeights: of a model that is asked.
        PromptError: a phrase that a detector of few phrases doesn't know.
    """
    texts = [prompt.text for prompt in prompts if prompt.text]
    for slot in slots_asked(models, verb, prompts, settings):
        if slot == READ:
            continue  # found where a phrase is read
        names = models.chosen(slot)
        if slot == "detect":
            looked_for = [*texts, *_texts_of(settings.get("verify"))]
            names = models.asked_for(looked_for) if models.by_phrase() else names
            _check_phrases(models, names, looked_for)
        for name in names:
            models.weights(slot, name)


def _texts_of(prompts: Sequence[Described] | None) -> list[Text]:
    return [prompt.text for prompt in prompts or () if prompt.text]


def _check_phrases(models: Models, names: Sequence[str], texts: Sequence[Text]) -> None:
    """Ask the detectors that load in no time; each for the phrases that it would be asked for."""
    several = len(models.chosen("detect")) > 1
    for name in names:
        entry = models.entry("detect", name)
        if entry is None or not (entry.weightless or catalog.families()[entry.family].torchless):
            continue
        detector = models.member(name) if several else models.detector
        if isinstance(detector, ClosedVocabulary):
            asked = [text for text in texts if name in models.asked_for([text])]
            detector.check_phrases([VisualPrompt(text=text) for text in asked])
