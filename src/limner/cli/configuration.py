"""What a user settles once: profile, store, models and trackers, in a file of their own.

What is typed comes before the environment, that before the file, and the file before what limner
takes by itself. Who names a profile means all of it: models that a later place names don't count
then, so that ``--profile classical`` is classical.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import FileError, FileMissing, OptionError
from limner.home import WORKING_FOLDER, configuration_file

Value = str | tuple[str, ...]

MOST_BYTES = 100_000
"""Of the file: a person writes a dozen lines."""


@dataclass(frozen=True)
class Key:
    """A setting of the file."""

    name: str
    """As it is written: ``models.detector`` is ``detector`` in the table ``[models]``."""
    variable: str
    """Of the environment; set to nothing it isn't set."""
    flag: str
    default: str
    """What limner takes by itself, for people."""
    is_list: bool = False


ROLES: Mapping[str, str] = {
    "detector": "--detector",
    "segmenter": "--segmenter",
    "inpainter": "--inpainter",
    "generator": "--model",
    "encoder": "--encoder",
    "captioner": "--captioner",
}
"""Models by what they do, and their flags. A refiner isn't one: it belongs to its painter."""

KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key("profile", "LIMNER_PROFILE", "--profile", "classical"),
        Key("store", "LIMNER_STORE", "--store", WORKING_FOLDER),
        Key("trackers", "LIMNER_TRACK", "--track", "none", is_list=True),
        *(
            Key(f"models.{role}", f"LIMNER_{role.upper()}", flag, "the profile's")
            for role, flag in ROLES.items()
        ),
    )
}
"""Every setting by name."""


@dataclass(frozen=True)
class Setting:
    """What counts for one key when nothing is typed, and where it is from."""

    value: Value | None
    source: str
    """A variable, the file's path, or "limner" for what it takes by itself."""
    idle: str = ""
    """Why it doesn't count after all."""


def read() -> dict[str, Value]:
    """The file's settings by name; none where there is no file.

    Raises:
        FileError: it can't be read, or holds what is no setting.
    """
    from limner.untrusted.json_toml import read_toml

    path = configuration_file()
    if path is None:
        return {}
    try:
        return checked(read_toml(path, limit=MOST_BYTES, what="configuration"), path)
    except FileMissing:
        return {}


def checked(table: Mapping[str, Any], path: Path) -> dict[str, Value]:
    """Parsed TOML as settings by name.

    Raises:
        FileError: a key that isn't one, with the nearest name, or a value of another kind.
    """
    models = table.get("models", {})
    if not isinstance(models, dict):
        raise FileError(f"{path}: [models] is a table: [models], and below it detector = NAME.")
    flat = {name: value for name, value in table.items() if name != "models"}
    flat |= {f"models.{role}": name for role, name in models.items()}
    values: dict[str, Value] = {}
    for name, value in flat.items():
        try:
            key = key_of(name)
        except OptionError as error:
            raise FileError(f"{path}: {error}") from None
        items = value if key.is_list and isinstance(value, list) else [value]
        if not all(isinstance(item, str) and item.strip() for item in items) or (
            key.is_list is not isinstance(value, list)
        ):
            kind = "a list of texts" if key.is_list else "a text"
            raise FileError(f"{path}: {name} is {kind}, got {value!r:.80}.")
        values[name] = tuple(items) if key.is_list else items[0]
    return values


def key_of(name: str) -> Key:
    """A setting by its name.

    Raises:
        OptionError: there is none; the nearest name is in the message.
    """
    if name in KEYS:
        return KEYS[name]
    short = {key.rpartition(".")[2]: key for key in KEYS}
    near = difflib.get_close_matches(name, KEYS, n=1) or [
        short[each] for each in difflib.get_close_matches(name.rpartition(".")[2], short, n=1)
    ]
    meant = f"did you mean {near[0]}?" if near else f"there is {', '.join(KEYS)}."
    raise OptionError(f"There is no setting {name!r:.80}: {meant}")


def settings() -> dict[str, Setting]:
    """What counts for every key where no flag is typed.

    Raises:
        FileError: as ``read``.
    """
    file, path = read(), str(configuration_file())
    resolved: dict[str, Setting] = {}
    for name, key in KEYS.items():
        if value := os.environ.get(key.variable):
            resolved[name] = Setting(_items(value) if key.is_list else value, key.variable)
        elif name in file:
            resolved[name] = Setting(file[name], path)
        else:
            resolved[name] = Setting(None, "limner")
    profile = resolved["profile"].source
    if profile == KEYS["profile"].variable:
        for name, setting in resolved.items():
            if name.startswith("models.") and setting.source == path:
                resolved[name] = Setting(None, "limner", f"{profile} names another profile")
    return resolved


def setting(name: str) -> Setting:
    """One of ``settings``."""
    return settings()[name]


def text_of(name: str) -> str | None:
    """The value of a key that holds one text; None: not set anywhere."""
    value = setting(name).value
    return value if isinstance(value, str) else None


def default_profile() -> str:
    """The profile where none is typed."""
    return text_of("profile") or KEYS["profile"].default


def default_trackers() -> str:
    """The trackers where none are typed, as ``--track`` takes them."""
    return ",".join(setting("trackers").value or ())


def models() -> dict[str, Setting]:
    """The models that are set, by role, for a command whose profile wasn't typed."""
    chosen = settings()
    pairs = ((role, chosen[f"models.{role}"]) for role in ROLES)
    return {role: setting for role, setting in pairs if setting.value}


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
