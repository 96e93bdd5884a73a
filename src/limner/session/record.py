"""Every verb's run is recorded, where the session has a store; what the store can't do is said once
and fails nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from limner.errors import LimnerError
from limner.runs import peak_memory
from limner.runs.entries import INPUT, KeptFile, Labels, RunEnd, RunStart
from limner.session.artifacts import Output, input_of, outputs_of
from limner.session.call_json import Call, words_of
from limner.session.choices import AnyStore
from limner.session.results import AnyImage, Run, Source
from limner.verbs import VERBS

if TYPE_CHECKING:
    from limner.runs.store import Store
    from limner.session.model_slots import Models
    from limner.session.request import Request

FAILURES = 3
"""After so many runs in a row that the store wouldn't take, no more are offered to it: each may
have waited for a lock."""


@dataclass(frozen=True)
class ActiveRun:
    """A run that has begun."""

    id: str
    started: float


class Recorded(Protocol):
    """What of a session its runs say."""

    recording: RunRecorder
    models: Models

    def to_dict(self) -> dict[str, Any]: ...


class RunRecorder:
    """Where a session writes its runs. No method raises what a store can raise.

    Args:
        store: an open one, or its name or what opens it, which happens when the first run starts;
            None: runs aren't recorded.
        labels: what the runs belong to.
        say: told once that, and why, runs are lost.
    """

    def __init__(self, store: AnyStore | None, labels: Labels, say: Callable[[str], None]) -> None:
        self._place = store
        self._open: Store | None = None
        self.labels = labels
        self._say = say
        self._is_told = False
        self._failures = 0

    @property
    def is_on(self) -> bool:
        return self._place is not None and self._failures < FAILURES

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done meanwhile isn't recorded: it serves another run and is none itself."""
        place, self._place = self._place, None
        try:
            yield
        finally:
            self._place = place

    @contextmanager
    def answering(self, cell: str) -> Iterator[None]:
        """What is done meanwhile answers a cell, and takes the place of what answered it before:
        a killed sweep may have recorded the run, and not yet written down that the cell is done."""
        labels, self.labels = self.labels, replace(self.labels, cell=cell)
        try:
            yield
        finally:
            self.labels = labels

    def begin(self, session: Recorded, request: Request, source: Source) -> ActiveRun | None:
        """A verb's run starts; None where it can't be recorded. The input of a private one isn't
        copied: what is to be hidden must not lie in a second place, and replay reads it from where
        it lay."""
        return self.start(lambda store: _start_of(store, session, request, source, self.labels))

    def start(self, start_of: Callable[[Store], RunStart]) -> ActiveRun | None:
        """A run starts; None where it can't be recorded."""
        run_id = self._tried(lambda store: store.begin(start_of(store)))
        peak_memory.forget_peak()  # the store isn't the run's
        return ActiveRun(run_id, time.perf_counter()) if run_id else None

    def finish(self, active: ActiveRun, run: Run) -> None:
        """A verb's run is done: its files are kept, then its row says so."""
        seed = run.edits[0].seed if run.edits else None
        self.end(active, run.record.to_dict(), lambda: outputs_of(run), seed, run.peak_bytes)

    def end(
        self,
        active: ActiveRun,
        record: Mapping[str, Any],
        outputs: Callable[[], Iterable[Output]],
        seed: int | None,
        most: int | None,
    ) -> None:
        """A run is done.

        Args:
            most: resident bytes while it went on; None: those of the whole process.
        """
        seconds = time.perf_counter() - active.started
        device = peak_memory.device_peak_bytes()
        if most is None:
            most = peak_memory.lifetime_peak_bytes()

        def write(store: Store) -> bool:
            files = [
                store.keep(file.role, file.data, file.suffix, file.position) for file in outputs()
            ]
            ending = RunEnd(record, seconds, most, device, seed, tuple(files))
            return store.finish(active.id, ending)

        self._tried(write)

    def fail(self, active: ActiveRun, error: BaseException) -> None:
        seconds = time.perf_counter() - active.started
        reason = str(error) or type(error).__name__
        self._tried(lambda store: store.fail(active.id, reason, seconds))

    def place(self, run_id: str, paths: Sequence[Path]) -> None:
        """Where a run's results were written."""
        self._tried(lambda store: store.place(run_id, paths))

    def track(self, run_id: str, names: Sequence[str], folder: Path) -> None:
        """Which trackers were told of a run."""
        self._tried(lambda store: store.track(run_id, names, folder))

    def _tried(self, write: Callable[[Store], Any]) -> Any:
        try:
            result = write(self._store())
        except Exception as error:  # a bug here would be a loss too, but never that of the result
            self._failures += 1
            if not self._is_told:
                known = isinstance(error, LimnerError)
                reason = str(error) if known else f"{type(error).__name__}: {error}."
                self._say(f"This run isn't recorded, the rest of it is unharmed: {reason}")
                self._is_told = True
            return None
        self._failures = 0
        return result

    def _store(self) -> Store:
        from limner.runs.store import Store  # loads sqlalchemy

        if self._open is None:
            place = self._place
            if isinstance(place, Store):
                self._open = place
            else:
                self._open = place() if callable(place) else Store.open(place)
        return self._open


def recorded(
    session: Recorded, request: Request, image: AnyImage, perform: Callable[[AnyImage], Run]
) -> Run:
    """Perform a request, and record its run.

    The image is opened before the run begins: what can't be opened makes no run.
    """
    if not session.recording.is_on:
        return perform(image)
    source = Source.open(image)
    active = session.recording.begin(session, request, source)
    try:
        run = perform(source)
    except BaseException as error:
        if active:
            session.recording.fail(active, error)
        raise
    run = replace(run, peak_bytes=peak_memory.peak_bytes())  # before its files are made
    if active is None:
        return run
    session.recording.finish(active, run)
    return replace(run, id=active.id)


def _start_of(
    store: Store, session: Recorded, request: Request, source: Source, labels: Labels
) -> RunStart:
    files: dict[str, KeptFile] = {}

    def keep(role: str, data: bytes) -> str:
        file = store.keep(role, data, ".png", len(files))
        files.setdefault(file.name, file)
        return file.name

    job = request.job
    call = Call(request.prompts, request.finding, request.settings)
    request_json = {**call.to_dict(keep), "session": session.to_dict(), "notes": list(source.notes)}
    if not VERBS[job.verb].is_private and store.largest_input:
        data, suffix = input_of(source)
        if len(data) <= store.largest_input:
            files[""] = store.keep(INPUT, data, suffix)
    names: Mapping[str, str] = session.models.names
    return RunStart(
        verb=job.verb,
        job=job.digest(source.digest),
        words=words_of(call) or ("the main thing" if VERBS[job.verb].takes_main_thing else ""),
        asked=request_json,
        models={task: names[task] for task in job.models},
        input_digest=source.digest,
        input_path=str(Path(source.path).absolute()) if source.path else None,
        files=tuple(files.values()),
        labels=labels,
    )
