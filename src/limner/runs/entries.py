"""Runs as values: what is known when one starts, what when it ends, what is read back.

Nothing here knows a database, so that a session can speak of runs without loading one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

RUNNING, DONE, FAILED, DIED = "running", "done", "failed", "died"
STATUSES = (RUNNING, DONE, FAILED, DIED)
"""``died`` is never stored, because a dead process can't say so: it is seen when a run is
read whose process is gone."""

VERSIONS = ("0001", "0002", "0003")
"""Every version that a store ever had, oldest first; the last one is what this limner writes."""

INPUT, EXEMPLAR, BACKDROP = "input", "exemplar", "backdrop"
PICTURE, MASK, COCO = "picture", "mask", "coco"
"""Roles of a run's files: the first three went in, the others came out."""
OUTPUTS = (PICTURE, MASK, COCO)

RATINGS = range(1, 6)


@dataclass(frozen=True)
class KeptFile:
    """A file of a run, kept under the hash of its content."""

    role: str
    name: str
    """SHA-256 and suffix: the file's name in the store's folder."""
    size: int
    """Bytes."""
    position: int = 0
    """Which of several with one role, such as the pictures of one edit."""

    @property
    def digest(self) -> str:
        return self.name.partition(".")[0]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Labels:
    """What a run belongs to: words of the user's, and the run, sweep or suite that caused it."""

    tags: tuple[str, ...] = ()
    parent: str | None = None
    sweep: str | None = None
    suite: str | None = None
    cell: str | None = None
    """The key of the sweep's or suite's cell that the run answers: a cell has one run."""


@dataclass(frozen=True)
class RunStart:
    """What is known when a run starts.

    ``asked`` holds the whole call as JSON values (``session.call_json``); ``words`` what was asked
    for, in a few words, for lists; ``models`` names by task.
    """

    verb: str
    job: str
    words: str
    asked: Mapping[str, Any]
    models: Mapping[str, str]
    input_digest: str
    input_path: str | None = None
    files: tuple[KeptFile, ...] = ()
    labels: Labels = field(default_factory=Labels)


@dataclass(frozen=True)
class RunEnd:
    """What is known when a run is done. ``record`` is ``RunRecord.to_dict()``."""

    record: Mapping[str, Any]
    seconds: float
    """Wall seconds of the whole verb."""
    peak_bytes: int | None
    """Most resident memory of the process while the run went on."""
    device_peak_bytes: int | None = None
    """Most memory of the GPU, where one was used."""
    seed: int | None = None
    files: tuple[KeptFile, ...] = ()

    @property
    def models(self) -> dict[str, None]:
        """Names of the models that answered, in order, each once."""
        return dict.fromkeys(str(model["name"]) for model in self.record["models"])


@dataclass(frozen=True)
class Row:
    """A run as a list shows it."""

    id: str
    started: str
    verb: str
    status: str
    words: str
    input_path: str | None
    seconds: float | None
    seed: int | None
    rating: int | None
    models: tuple[str, ...]
    tags: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "models": list(self.models), "tags": list(self.tags)}


@dataclass(frozen=True)
class Note:
    written: str
    text: str


@dataclass(frozen=True)
class RunEntry:
    """Everything that is known of one run. ``record`` is empty until the run is done."""

    row: Row
    job: str
    asked: Mapping[str, Any]
    record: Mapping[str, Any]
    input_digest: str
    finished: str | None
    error: str | None
    host: str
    pid: int
    peak_bytes: int | None
    device_peak_bytes: int | None
    labels: Labels
    files: tuple[KeptFile, ...]
    places: tuple[str, ...]
    """Where the command line wrote the results."""
    notes: tuple[Note, ...]
    tracked: Mapping[str, Any] = field(default_factory=dict)
    """``names`` of the trackers that were told of it, and their ``folder``."""

    @property
    def id(self) -> str:
        return self.row.id

    def of_role(self, role: str) -> tuple[KeptFile, ...]:
        """The files of one role, in order."""
        return tuple(file for file in self.files if file.role == role)

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for ``--json`` and exports."""
        labels = asdict(self.labels)
        return {
            **self.row.to_dict(),
            "job": self.job,
            "input_digest": self.input_digest,
            "finished": self.finished,
            "error": self.error,
            "host": self.host,
            "pid": self.pid,
            "peak_bytes": self.peak_bytes,
            "device_peak_bytes": self.device_peak_bytes,
            **{name: labels[name] for name in ("parent", "sweep", "suite", "cell")},
            "asked": dict(self.asked),
            "record": dict(self.record),
            "files": [file.to_dict() for file in self.files],
            "places": list(self.places),
            "notes": [asdict(note) for note in self.notes],
            "tracked": dict(self.tracked),
        }


@dataclass(frozen=True)
class Wanted:
    """Which runs a list shows; what is None doesn't narrow it. Newest first, at most ``limit``."""

    verb: str | None = None
    status: str | None = None
    model: str | None = None
    tag: str | None = None
    since: str | None = None
    """An instant as stored: UTC, ISO 8601 with microseconds."""
    limit: int | None = 20
    sweep: str | None = None
    """The beginning of a sweep's id."""
    suite: str | None = None
    """The beginning of an eval's id."""
