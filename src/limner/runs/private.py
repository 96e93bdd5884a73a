"""Records that may be published: they name neither the picture from before nor anything like it.

A redaction's result is handed to others. Its record holds no path, no SHA-256 and no outline of
what was hidden. What says "this very result is there already" is keyed by a secret of the user's
(HMAC-SHA-256): without it nobody can try whether a picture of theirs is the original.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.home import home
from limner.verbs import VERBS as TABLE

VERBS = frozenset(verb.name for verb in TABLE.values() if verb.is_private)
"""Verbs whose records may be published while their inputs may not."""

KEY = "secret.key"
"""The file with the secret, below ``home()``; without it redactions are done anew."""
_BYTES = 32

_TRACES = frozenset({"digest", "path", "file", "mask"})
"""Keys of prompts, and of options that hold prompts, which lead back to a picture."""


def keyed(digest: str) -> str:
    """The HMAC of a digest, as 64 hexadecimal digits."""
    return hmac.new(_secret(home() / KEY), digest.encode(), hashlib.sha256).hexdigest()


def without_traces(value: Any) -> Any:
    """Nested JSON without what names a picture or shows what was hidden in it."""
    if isinstance(value, Mapping):
        return {key: without_traces(item) for key, item in value.items() if key not in _TRACES}
    if isinstance(value, list | tuple):
        return [without_traces(item) for item in value]
    return value


@functools.cache
def _secret(path: Path) -> bytes:
    """The secret in a file, made where there is none; where none can be kept, one of this
    process's."""
    fresh = secrets.token_bytes(_BYTES)
    temporary = path.with_name(f".{KEY}.{secrets.token_hex(6)}")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(fresh)
            try:
                os.link(temporary, path)  # whole, and only by the first who makes one
            except FileExistsError:
                pass
            finally:
                temporary.unlink(missing_ok=True)
        stored = path.read_bytes()
    except OSError:
        return fresh
    return stored if len(stored) == _BYTES else fresh
