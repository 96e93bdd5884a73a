"""The folders of what limner keeps: for a user, and for what is worked on."""

from __future__ import annotations

import os
from pathlib import Path

WORKING_FOLDER = ".limner"
"""What limner keeps beside a user's pictures, below the folder that a command runs in: the store of
runs, what trackers write, the answers of suites."""


def home() -> Path:
    """``LIMNER_HOME``, else the user's cache folder."""
    if named := os.environ.get("LIMNER_HOME"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("limner", appauthor=False)
