"""What databases say when they fail, as a person is told it."""

from __future__ import annotations

_REASONS = {
    "database is locked": "another program has locked it; try again when that has finished",
    "readonly database": "it is read-only",
    "disk is full": "the disk is full",
    "disk I/O error": "the disk is full, or can't be read",
    "unable to open database file": "the file or its folder can't be opened",
    "not a database": "it is a file of another kind",
    "malformed": "the file is damaged",
}
"""What SQLite says -> what a person is told."""


def reason_of(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    message = getattr(original, "strerror", None) or str(original)
    for sign, reason in _REASONS.items():
        if sign in message:
            return reason
    first = message.strip().splitlines()[0] if message.strip() else type(original).__name__
    return first.rstrip(".")


def is_of_the_disk(error: BaseException) -> bool:
    """Whether SQLite failed at a file of its own, as on a full disk."""
    text = str(getattr(error, "orig", None) or error)
    return any(sign in text for sign in ("disk I/O", "disk is full", "unable to open"))
