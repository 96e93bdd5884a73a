"""A name becomes a model of the catalog or a folder."""

from __future__ import annotations

import difflib

from limner.errors import UnknownModel
from limner.registry.catalog import ModelEntry, catalog


def resolve(name: str) -> tuple[ModelEntry, str | None]:
    """The model meant by a name, a hub id, or an id that has died; and what to tell the user.

    A name that begins with ``vlm:`` is a user's own endpoint (``endpoints.entry``).

    Returns:
        ``(entry, said)``: ``said`` is None when the name was the model's own.

    Raises:
        UnknownModel: with the nearest names.
    """
    if name.startswith("vlm:"):
        from limner.registry import endpoints

        return endpoints.entry(name), None
    wanted = name.strip().removeprefix("https://huggingface.co/").strip("/").lower()
    for entry in catalog().values():
        if wanted == entry.name or (entry.repo and wanted == entry.repo.lower()):
            return entry, None
        if wanted in map(str.lower, entry.fallbacks):
            return entry, f"{name} holds the weights of {entry.name}; limner fetches {entry.repo}."
        if wanted in map(str.lower, entry.former):
            return (
                entry,
                f"{name} is gone from the hub; its successor is {entry.repo} ({entry.name}).",
            )
    raise UnknownModel(f"There is no model {name!r}. {_nearest(wanted)}")


def _nearest(wanted: str) -> str:
    """A sentence with the names most like ``wanted``: whole ids are compared with ids."""
    names: dict[str, str] = {}
    for entry in catalog().values():
        for known in (entry.name, entry.repo, *entry.former):
            if known:
                names[known.lower()] = entry.name
    close = difflib.get_close_matches(wanted, names, n=6, cutoff=0.5)
    close += [known for known in names if wanted and wanted in known]
    if nearest := list(dict.fromkeys(names[known] for known in close))[:3]:
        return f"Did you mean {' or '.join(nearest)}? (limner models list shows all.)"
    return "`limner models list` shows the names; a folder is written with a slash: ./my-model."
