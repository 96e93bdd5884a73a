"""The folder of all that limner keeps for a user."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """``LIMNER_HOME``, else the user's cache folder."""
    if named := os.environ.get("LIMNER_HOME"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("limner", appauthor=False)
