"""A cell: one case, asked of one model with one setting."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from limner.errors import FileError
from limner.io.images import MOST_BYTES
from limner.prompts import Text
from limner.prompts.syntax import Draft
from limner.untrusted.regular_files import read_bytes
from limner.verbs import VERBS

OWN = "its own"
"""The column of cases that bring their own verb."""


Pairs = tuple[tuple[str, Any], ...]
"""A mapping that can be hashed and sent to another process."""


@dataclass(frozen=True)
class Assertion:
    """One thing that must hold of a cell's outcome."""

    type: str
    """A key of ``assertions.TYPES``, without ``not-``."""
    negated: bool = False
    value: Any = None
    """As its type reads it: a bar, a phrase, a count, ``(file, function)``."""
    threshold: float | None = None
    """For types whose value is no number: the least score that passes, 0..1."""
    weight: float = 1.0
    """In the case's score; 0 measures without judging."""
    text: str | None = None
    """The words that a picture is compared with (clip_t); None: what was painted or looked for."""
    reference: Path | None = None
    """The picture that a picture is compared with (clip_i, dino)."""
    said: str = ""
    """The value as it stands in the suite."""

    @property
    def name(self) -> str:
        """The type as it stands in the suite."""
        return ("not-" if self.negated else "") + self.type


@dataclass(frozen=True)
class Case:
    """One picture, and what must hold of every answer about it."""

    name: str
    """Its description, else its picture's name and its variables; no two cases share one."""
    image: Path
    mask: Path | None = None
    """The true outline: a picture of the image's size, bright where the object is."""
    box: tuple[float, float, float, float] | None = None
    """The true box: XYXY in pixels of the upright original."""
    variables: Pairs = ()
    assertions: tuple[Assertion, ...] = ()
    threshold: float | None = None
    """Least weighted mean of the assertions' scores that passes; None: every one must hold."""


@dataclass(frozen=True)
class Ask:
    """A verb with its prompts, for one case: variables are filled in."""

    verb: str
    find: tuple[Draft, ...]
    paint: Text | None = None
    label: str = ""
    column: str = OWN
    """The label before the variables were filled in: what all cases have in common."""

    @property
    def outlines(self) -> bool:
        """Whether the answer has outlines, and not boxes alone."""
        return VERBS[self.verb].outlines

    @property
    def detects(self) -> bool:
        """Whether the detector is asked."""
        return VERBS[self.verb].detects or any(draft.says_what for draft in self.find)

    @property
    def repaints(self) -> bool:
        """Whether a model fills what was found."""
        return VERBS[self.verb].repaints


@dataclass(frozen=True)
class ModelChoice:
    """Which models answer: a profile, and models by task that take its place."""

    label: str
    profile: str = "classical"
    models: Pairs = ()


@dataclass(frozen=True)
class Setting:
    """Fields of ``limner.options`` by name, and ``select``; none: the models' own."""

    label: str = ""
    values: Pairs = ()


@dataclass(frozen=True)
class Cell:
    """One try."""

    case: Case
    ask: Ask
    models: ModelChoice
    setting: Setting = field(default_factory=Setting)
    repeat: int = 0
    content: str = ""
    """Digest of the files that it reads: pictures, masks, Python assertions."""

    @property
    def name(self) -> str:
        """For reports and for comparing two of them; no two cells of a suite share one."""
        parts = [self.case.name, self.ask.column, self.models.label, self.setting.label]
        again = f" #{self.repeat + 1}" if self.repeat else ""
        return " | ".join(part for part in parts if part) + again

    @property
    def column(self) -> tuple[str, str, str]:
        """``(prompt, models, settings)``: where it stands in the matrix."""
        return self.ask.column, self.models.label, self.setting.label

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that decides its result: cells with equal keys need one try only."""
        values = asdict(self)
        for part in ("case", "ask", "models", "setting"):  # labels decide nothing
            for label in ("name", "label", "column"):
                values[part].pop(label, None)
        for draft in values["ask"]["find"]:  # of the keys before things could carry one
            if draft["label"] is None:
                del draft["label"]
        text = json.dumps(values, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def digest_of_files(paths: list[Path], known: dict[Path, str]) -> str:
    """SHA-256 over the contents of files; one that can't be read counts as missing.

    Args:
        known: digests by path, which is added to: a picture is read once for all its cells.
    """
    for path in paths:
        if path not in known:
            try:
                content = read_bytes(path, limit=MOST_BYTES)
                known[path] = hashlib.sha256(content).hexdigest()
            except FileError:
                known[path] = "missing"
    return hashlib.sha256(" ".join(known[path] for path in paths).encode()).hexdigest()
