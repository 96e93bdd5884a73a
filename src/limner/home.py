"""The folders of what limner keeps: for a user, and for what is worked on."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

WORKING_FOLDER = ".limner"
"""What limner keeps beside a user's pictures, below the folder that a command runs in: the store of
runs, what trackers write, the answers of suites."""


HIDDEN = ".limner-"
"""How the names of files begin that lie beside a result while it is made: claims of a worker, and
what becomes the result in one step."""
TEMPORARIES = f"{HIDDEN}*.tmp"
"""Pattern of ``temporary_name``: what matches it was left by a writer that was killed, or is being
written."""


def temporary_name() -> str:
    """A name that no other writer has."""
    return f"{HIDDEN}{secrets.token_hex(6)}.tmp"


def home() -> Path:
    """``LIMNER_HOME``, else the user's cache folder."""
    if named := os.environ.get("LIMNER_HOME"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("limner", appauthor=False)


def configuration_file() -> Path | None:
    """A user's settings: ``LIMNER_CONFIG``, else ``config.toml`` in ``LIMNER_HOME``, else in the
    user's folder of settings (``XDG_CONFIG_HOME``); None: ``LIMNER_CONFIG`` is ``off``."""
    named = os.environ.get("LIMNER_CONFIG") or ""
    if named.lower() == "off":
        return None
    if named:
        return Path(named).expanduser().absolute()
    if os.environ.get("LIMNER_HOME"):
        return home() / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("limner", appauthor=False) / "config.toml"
