"""What a session is told of its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Union

from limner.errors import OptionError
from limner.protocols import Say
from limner.registry import catalog, face_choice, matting_choice
from limner.registry.weights import as_path

if TYPE_CHECKING:
    from limner.runs.entries import Labels
    from limner.runs.store import Store
    from limner.session.cache.disk import StageCache

AnyStore: TypeAlias = Union["Store", str, Path, Callable[[], "Store"]]
"""What a session takes as its store: an open one, a name that ``Store.open`` takes, or what opens
it."""


MODEL_TASKS = tuple(slot for slot in catalog.SLOTS if slot != "refine")
"""What ``models`` maps from, which may as well be given by name: ``Session(detect="haar")``."""


class SessionChoices(TypedDict, total=False):
    """The keyword arguments of ``Session``, which explains them."""

    profile: str
    models: Mapping[str, str] | None
    detect: str
    segment: str
    inpaint: str
    remove: str
    generate: str
    encode: str
    caption: str
    matte: str
    commercial_safe: bool
    device: str | None
    dtype: str | None
    memory_budget: int | None
    subjects: Mapping[str, float] | None
    fast: bool
    say: Say | None
    store: AnyStore | None
    labels: Labels | None
    cache: StageCache | None


@dataclass(frozen=True)
class ModelChoices:
    """Those that decide which models answer, and how they compute; see ``Session``."""

    profile: str = "classical"
    models: Mapping[str, str] | None = None
    commercial_safe: bool = False
    device: str | None = None
    dtype: str | None = None
    memory_budget: int | None = None
    subjects: Mapping[str, float] | None = None
    fast: bool = False

    @classmethod
    def of(cls, choices: SessionChoices) -> ModelChoices:
        """Those among a session's arguments.

        Raises:
            OptionError: an argument that no session takes, with the nearest that it does.
        """
        others = ("say", "store", "labels", "cache")
        own: dict[str, Any] = {name: value for name, value in choices.items() if name not in others}
        named = {task: own.pop(task) for task in MODEL_TASKS if task in own}
        if named:
            own["models"] = {**(own.get("models") or {}), **named}
        known = [field.name for field in fields(cls)]
        for name in own:
            if name not in known:
                near = get_close_matches(name, [*known, *MODEL_TASKS, *others], n=1)
                hint = f": did you mean {near[0]}?" if near else "."
                raise OptionError(f"Session has no argument {name!r}{hint}")
        if isinstance(own.get("models"), Mapping):
            own["models"] = {task: as_path(task, name) for task, name in own["models"].items()}
        return cls(**own)


def models_of(profile: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """A profile's models by task, beside those that a session names."""
    models = dict(catalog.profile(profile))
    if "inpaint" in overrides:  # who names a painter means it for all that is painted
        models.pop("remove", None)
    # What is here and better is also for replays: it is in the session's names then.
    if models.get("detect") == face_choice.LAST and "detect" not in overrides:
        better = face_choice.best_here()
        if better:
            models["detect"] = f"{better}|{face_choice.LAST}"
    if models.get("matte") == matting_choice.GUESS and "matte" not in overrides:
        models["matte"] = matting_choice.best_here() or matting_choice.GUESS
    return models
