"""Where limner keeps things here, and how large they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from limner.errors import LimnerError
from limner.home import configuration_file, home
from limner.registry.remove import folder_bytes


def home_facts(problems: list[str]) -> dict[str, Any]:
    """limner's own folder: models, subjects, unfinished downloads, and the room that is left."""
    folder = home()
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        problems.append(f"{folder} can't be written: LIMNER_HOME moves it elsewhere.")
    unfinished = folder_bytes(folder / "models" / ".pulling")
    return {
        "path": str(folder),
        "models_bytes": folder_bytes(folder / "models") - unfinished,
        "unfinished_bytes": unfinished,
        "subjects_bytes": folder_bytes(folder / "subjects"),
        "free_bytes": shutil.disk_usage(above).free,
    }


def store_facts(problems: list[str]) -> dict[str, Any]:
    """The store of runs that a command would record in, from this folder."""
    from limner.cli.configuration import text_of
    from limner.cli.options.run_store import OFF, is_there, listed_rows
    from limner.runs.entries import Wanted
    from limner.runs.location import locate

    place = text_of("store")
    if place and place.lower() in OFF:
        return {"path": None, "bytes": 0, "there": False}
    location = locate(place, os.environ.get("LIMNER_STORE_FILES") or None)
    facts: dict[str, Any] = {"path": location.shown, "bytes": 0, "there": False}
    if location.database is None:
        return facts | {"there": None}  # a server's: it isn't asked
    if is_there(location):
        facts["there"] = True
        facts["bytes"] = location.database.stat().st_size
        if "://" not in location.files:
            facts["bytes"] += folder_bytes(Path(location.files))
        try:
            listed_rows(place, Wanted(limit=1))
        except LimnerError as error:
            problems.append(f"The store can't be read: {error}")
    return facts


def cache_facts(problems: list[str]) -> dict[str, Any]:
    """The answers of stages, and how much is kept of them at most."""
    from limner.cli.options.run_store import stage_cache

    cache = stage_cache({"store": None, "no_store": False, "no_cache": False})
    if cache is None:
        return {"path": None, "bytes": 0, "most_bytes": 0}
    size = folder_bytes(cache.folder)
    return {"path": str(cache.folder), "bytes": size, "most_bytes": cache.most_bytes}


def configuration_facts(problems: list[str]) -> dict[str, Any]:
    """The user's file, and variables of the environment by name: values may be passwords."""
    from limner.cli.configuration import read

    path, values = configuration_file(), {}
    try:
        values = read()
    except LimnerError as error:
        problems.append(str(error))
    return {
        "path": path and str(path),
        "there": bool(path and path.is_file()),
        "sets": sorted(values),
        "environment": sorted(name for name in os.environ if name.startswith("LIMNER_")),
    }
