"""Which model looks for faces when nobody named one; reading it imports no model code."""

from __future__ import annotations

from limner.registry import catalog, store

FACE_PHRASES = (
    "face",
    "faces",
    "human face",
    "human faces",
    "person's face",
    "people's faces",
)
"""Phrases that mean people's faces, in lower case and without an article."""

BEST_FIRST = ("centerface", "yunet")
"""Face models, the one that finds most first."""
LAST = "haar"
"""What needs no weights, and finds few: see docs/faces.md."""

MISSES_MOST = (
    "Faces are looked for by haar, which misses most of them (it found {haar} of {faces} in "
    "photographs): `limner models pull centerface` fetches a detector that found {centerface} of "
    "these {faces}."
)
HAAR_FOUND, CENTERFACE_FOUND, FACES = 13, 35, 38
"""docs/faces.md, the reported half."""
LOOKED_FOR_BY = "Faces are looked for by {name}."


def is_face(phrase: str) -> bool:
    """Whether a phrase means people's faces."""
    words = " ".join(phrase.lower().split())
    return words.removeprefix("a ").removeprefix("the ") in FACE_PHRASES


def best_here() -> str | None:
    """The best face model on this machine; None: there is only ``LAST``.

    That its files are whole is not asked: one that doesn't load is an error when it is used, never
    a reason to look with a worse one.
    """
    return next((name for name in BEST_FIRST if store.is_here(catalog.catalog()[name])), None)


def sentence(name: str) -> str:
    """Which model looks for faces, as a sentence."""
    if name == LAST:
        return MISSES_MOST.format(haar=HAAR_FOUND, centerface=CENTERFACE_FOUND, faces=FACES)
    return LOOKED_FOR_BY.format(name=name)
