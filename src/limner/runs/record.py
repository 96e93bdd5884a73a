"""How a result was made: the record that is saved inside it.

``Job`` is what was asked, before any model ran; its digest says whether a result that lies on disk
already answers it. ``RunRecord`` adds what happened.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

from limner.prompts import VisualPrompt
from limner.runs import private
from limner.version import __version__

FORMAT = 1
"""Raised when a key changes its meaning; readers refuse what is newer."""

_PACKAGES = (
    "diffusers",
    "numpy",
    "opencv-contrib-python-headless",
    "pillow",
    "supervision",
    "torch",
    "transformers",
)


def describe(prompt: VisualPrompt) -> dict[str, Any]:
    """A prompt as JSON, with an example image by its digest instead of its pixels."""
    description = prompt.to_dict()
    if prompt.exemplar is not None:
        box = prompt.exemplar.box
        description["exemplar"] = {
            "digest": prompt.exemplar.digest,
            "box": box.to_dict() if box else None,
        }
    return description


@dataclass(frozen=True)
class Job:
    """What was asked: verb, prompts, settings, and which models were to answer."""

    verb: str
    prompts: tuple[dict[str, Any], ...]
    options: Mapping[str, Any]
    models: Mapping[str, str]
    """Task -> which model answers: its name, and what else could change its answer."""

    def digest(self, input_digest: str) -> str:
        """SHA-256 over the job and one input: equal digests ask for the same result.

        Keyed where the result is published without its input (``private``).
        """
        request = {**asdict(self), "input": input_digest, "format": FORMAT}
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        return private.keyed(digest) if self.is_private else digest

    @property
    def is_private(self) -> bool:
        """Whether no record of it may lead back to its input."""
        return self.verb in private.VERBS


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    ``input`` holds path, digest and size; ``models`` each model's name, licence, revision and file
    hashes; ``result`` the numbers; ``seconds`` wall seconds by stage.
    """

    job: Job
    input: Mapping[str, Any]
    models: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_dict(self) -> dict[str, Any]:
        """JSON values. Of a private job the input has its size alone, and the prompts no picture's
        digest and no mask."""
        bare = private.without_traces if self.job.is_private else _as_it_is
        return {
            "format": FORMAT,
            "limner": __version__,
            "created": self.created,
            "job": self.job.digest(self.input["digest"]),
            "verb": self.job.verb,
            "input": bare(dict(self.input)),
            "prompts": bare(list(self.job.prompts)),
            "options": bare(dict(self.job.options)),
            "models": [dict(model) for model in self.models],
            "licences": sorted({model["licence"] for model in self.models}),
            "result": dict(self.result),
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "notes": list(self.notes),
            "versions": versions(),
            "machine": f"{platform.system()} {platform.machine()}, Python "
            f"{platform.python_version()}",
        }


def _as_it_is(value: Any) -> Any:
    return value


@cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result, read without importing them."""
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed
