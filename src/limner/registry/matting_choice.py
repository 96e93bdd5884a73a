"""Which model takes the main thing where nobody named one; reading it imports no model code."""

from __future__ import annotations

from limner.registry import catalog, store

BEST_FIRST = ("birefnet", "birefnet-lite")
GUESS = "grabcut-middle"
"""What needs no weights, and guesses."""
GUESSED = (
    "Which thing is the main one is guessed: {guess} outlines what lies in the middle. Say which "
    "with --box, --point or --text, or `limner models pull birefnet-lite` (MIT, limner[matting]) "
    "fetches a model that looks for it, with soft edges."
)


def best_here() -> str | None:
    """The best matting model on this machine; None: there is only ``GUESS``."""
    return next((name for name in BEST_FIRST if store.is_here(catalog.catalog()[name])), None)


def sentence(name: str) -> str | None:
    """What is to be known of who takes the main thing; None: nothing."""
    return GUESSED.format(guess=GUESS) if name == GUESS else None
