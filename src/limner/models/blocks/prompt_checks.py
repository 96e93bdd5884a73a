"""Prompts that detectors of several families refuse alike."""

from __future__ import annotations

from limner.errors import UnsupportedPrompt
from limner.prompts import VisualPrompt

ASK_APART = (
    "ask for that as a prompt of its own and take its boxes away, as limner's grounding does."
)
"""What a person does where a model has no negatives."""


def check_no_negative(name: str, prompt: VisualPrompt, advice: str = ASK_APART) -> None:
    """Refuse a phrase that also says what it doesn't mean.

    Raises:
        UnsupportedPrompt: with the advice.
    """
    if prompt.text is not None and prompt.text.negative:
        raise UnsupportedPrompt(f'{name} has no negatives ("{prompt.text.negative}"): {advice}')
