"""What a session is told of its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Union

from limner.protocols import Say

if TYPE_CHECKING:
    from limner.runs.entries import Labels
    from limner.runs.store import Store
    from limner.session.cache.disk import StageCache

AnyStore: TypeAlias = Union["Store", str, Path, Callable[[], "Store"]]
"""What a session takes as its store: an open one, a name that ``Store.open`` takes, or what opens
it."""


class SessionChoices(TypedDict, total=False):
    """The keyword arguments of ``Session``, which explains them."""

    profile: str
    models: Mapping[str, str] | None
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
            TypeError: an argument that no session takes.
        """
        others = ("say", "store", "labels", "cache")
        own: dict[str, Any] = {name: value for name, value in choices.items() if name not in others}
        return cls(**own)
