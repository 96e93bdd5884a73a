"""Which settings matter to which verb: one that was set and can't matter is refused."""

from __future__ import annotations

from dataclasses import replace

from limner.options import EditOptions, InpaintOptions, check_honoured
from limner.pipeline import background
from limner.prompts import Text

REMOVING = ("remove", "extend")
"""Verbs that need no words: then what is around is continued."""
CUTOUT_OBEYS = frozenset({"dilate", "feather", "keep_metadata"})
_BACKDROP_OBEYS = frozenset({"feather", "keep_metadata"})
_PAINTED_BACKGROUND_OBEYS = frozenset({"feather", "context", "keep_metadata"})


def check_background(
    behind: Text | background.Backdrop, inpaint: InpaintOptions | None, edit: EditOptions | None
) -> None:
    """Refuse what can't matter to a background."""
    painted = isinstance(behind, Text)
    if not painted:
        check_honoured(
            inpaint or InpaintOptions(), frozenset(), "this background", "no model paints it"
        )
    edit = edit or EditOptions()
    check_honoured(
        replace(edit, dilate=edit.dilate or None),
        _PAINTED_BACKGROUND_OBEYS if painted else _BACKDROP_OBEYS,
        "this background",
        "growing it would eat the subject" if painted else "it is laid behind the subject as it is",
    )
