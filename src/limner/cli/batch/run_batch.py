"""One file or a folder of them: each is done, or found done already, counted and said.

A result carries the digest of the job that made it. A run that was killed is resumed by running it
again: results of the same job that are whole, with every map that is asked for, are left alone and
counted like new ones; everything else is done. Of several processes at one folder each does what no
other has claimed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.cli.batch.claims import claimed, clear_dead, named
from limner.cli.batch.output_paths import (
    Place,
    check_writable,
    clear_remains,
    left_out,
    os_errors,
    places,
)
from limner.cli.batch.resume import is_whole, remove_old, remove_stale, stored
from limner.cli.batch.settings import Settings, Tally
from limner.cli.batch.streamed import OutPath, streamed
from limner.cli.batch.tries import own_place
from limner.cli.console import say, summary
from limner.cli.options.flags import profile_option, runtime_options
from limner.cli.options.run_store import caching_option, keeping_options, no_record_option
from limner.cli.options.tracking import tracking, tracking_options
from limner.cli.progress import BatchProgress
from limner.cli.result_lines import say_kept, say_nothing_again, say_run
from limner.errors import (
    ImageError,
    LicenceRefused,
    LimnerError,
    MissingExtra,
    NothingFound,
    OptionError,
    OutputError,
    ResultError,
    UnknownModel,
    WeightsMissing,
)
from limner.io.limits import MAX_PIXELS

if TYPE_CHECKING:
    from limner.cli.batch.ledger import Ledger
    from limner.session import Run, Session, Source
    from limner.session.request import Request
    from limner.trackers.protocol import Tracker

Command = TypeVar("Command", bound=Callable[..., Any])

NOT_OF_THE_IMAGE = (LicenceRefused, MissingExtra, OptionError, UnknownModel, WeightsMissing)
"""Errors that every other image of the folder would meet too."""


def _given_paths(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> tuple[Path, ...]:
    """An empty argument, as an unset variable makes, must not become the working folder."""
    for value in values:
        if not value.strip():
            raise ImageError("Expected an image file or a folder of images, got nothing.")
        if re.match(r"(https?|ftp|s3|gs)://", value):
            raise ImageError(
                f"{value} is an address: download the picture first, and give its file."
            )
    return tuple(map(Path, values))


def batch_options(command: Command) -> Command:
    """Adds the inputs and the options that every verb shares."""
    for option in (
        tracking_options,
        keeping_options,
        caching_option,
        click.option(
            "--max-pixels",
            type=click.IntRange(min=1),
            default=MAX_PIXELS,
            show_default=True,
            help="Refuse larger images (decompression bombs).",
        ),
        runtime_options,
        profile_option,
        click.option("--fail-if-empty", is_flag=True, help="Exit with 1 when nothing is found."),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Say which models, how much memory and about how long; do nothing.",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a result on stdout."),
        click.option(
            "--recursive",
            is_flag=True,
            help="Of a folder its subfolders too; results lie in subfolders of the same names.",
        ),
        no_record_option,
        click.option("--overwrite", is_flag=True, help="Replace results that exist."),
        click.option(
            "--out",
            "-o",
            type=OutPath(),
            help="A picture, or a folder (default: beside you, named after the input; another "
            "prompt's result gets a name of its own); - is stdout, for one picture.",
        ),
        click.argument(
            "images", type=str, nargs=-1, required=True, metavar="IMAGE...", callback=_given_paths
        ),
    ):
        command = option(command)
    return command


Write = Callable[["Run", Place, dict[str, Any]], Sequence[Path]]


@dataclass(frozen=True)
class Work:
    """A verb over inputs: what it asks of each, and what it writes.

    Args:
        ask: what is asked about an opened input.
        write: saves a run's results at a place, with the record to put in them, to which it adds
            the names of the files; returns the paths. What is written last is the marker.
        marker: ending of the file that says "finished"; None: the place's main picture.
        maps: names of what is to be written besides; a result without them isn't finished.
        losses: sentences on what the file asked for can't hold, said before the work.
        after: called once with the markers of all finished results, old and new, in order.
        ledger: told of every picture.
    """

    ask: Callable[[Source], Request]
    write: Write
    marker: str | None = None
    maps: Sequence[str] = ()
    losses: Callable[[Source, Place], Sequence[str]] = lambda source, place: ()
    after: Callable[[Sequence[Path]], None] = lambda markers: None
    ledger: Ledger | None = None


def run_batch(settings: Settings, session: Session, work: Work) -> None:
    """Do a verb on every input.

    Raises:
        LimnerError: of the only input, or one that all would meet; of several, failures are said as
            they come and the largest exit code is the batch's.
    """
    with tracking(settings.track, settings.track_to) as trackers, streamed(settings) as settings:
        _run(_Batch(settings, session, work, trackers))


def _run(batch: _Batch) -> None:
    settings, work = batch.settings, batch.work
    inputs = places(settings)
    folders = {place.folder for _, place in inputs}
    clear_remains(folders)
    clear_dead(folders)
    for sentence in left_out(settings, [path for path, _ in inputs]):
        say(f"limner: Left out: {sentence}", err=True)
    tally = batch.tally
    try:
        with BatchProgress(settings.verb, len(inputs)) as batch.progress:
            batch.all(inputs)
    finally:
        if work.ledger:
            work.ledger.write()
    markers = [place.beside(work.marker or place.suffix) for _, place in inputs]
    work.after([marker for marker in markers if marker in batch.finished])
    if len(inputs) > 1 and not (settings.as_json or settings.json_objects):
        say(summary(len(inputs), tally))
    if settings.fail_if_empty and tally.empty:
        sentence = (
            f"Nothing was found in {tally.empty} of {len(inputs)} images."
            if len(inputs) > 1
            else "Nothing was found."
        )
        if tally.code <= NothingFound.exit_code:
            raise NothingFound(sentence)
        say(f"limner: {sentence}", err=True)
    if tally.code:
        raise click.exceptions.Exit(tally.code)


@dataclass
class _Batch:
    """What ``run_batch`` was given, and what has come of it so far."""

    settings: Settings
    session: Session
    work: Work
    trackers: Sequence[Tracker]
    tally: Tally = field(default_factory=Tally)
    writable: set[Path] = field(default_factory=set)
    """Folders of which it is known that results can be written there."""
    finished: set[Path] = field(default_factory=set)
    """Markers of results that are there whole."""
    holder: str = "another process"
    """Who does the picture that was last found claimed."""
    started: float = field(default_factory=time.time)
    progress: BatchProgress = field(default_factory=lambda: BatchProgress("", 0))

    def all(self, inputs: Sequence[tuple[Path, Place]]) -> None:
        """Do every picture; last those that another process had begun."""
        alone = len(inputs) == 1
        elsewhere = [
            (path, place) for path, place in inputs if not self.one(path, place, alone=alone)
        ]
        for path, place in elsewhere:  # by now another process has done it, or died over it
            if not self.one(path, place, alone=alone, again=True):
                self.tally.elsewhere += 1
                say(
                    f"limner: {path} is being done by {self.holder}: it isn't done twice.", err=True
                )

    def one(self, path: Path, place: Place, *, alone: bool, again: bool = False) -> bool:
        """Do a picture, and say what goes wrong; False: another process is at it.

        Args:
            alone: it is the only one, so that its errors are the command's.
            again: another process was at it before.

        Raises:
            LimnerError: of the only input, or one that all would meet.
        """
        try:
            is_ours = self._one(path, place, again=again)
            self.progress.advance()
            return is_ours
        except LimnerError as error:
            if alone or isinstance(error, NOT_OF_THE_IMAGE):
                raise
            if self.work.ledger:
                self.work.ledger.fail(path, error)
            self.tally.failed += 1
            self.tally.code = max(self.tally.code, error.exit_code)
            about = "" if str(error).startswith(str(path)) else f"{path}: "
            say(f"limner: {about}{error}", err=True)
            self.progress.advance()
            return True

    def _one(self, path: Path, place: Place, *, again: bool) -> bool:
        from limner.session import Source

        settings = self.settings
        source = Source.open(path, max_pixels=settings.max_pixels)
        request = self.work.ask(source)
        marker = self.work.marker
        digest = request.job.digest(source.digest)
        if settings.out is None and not settings.overwrite and not settings.only_folder:
            place = own_place(place, marker, digest)
        finished = place.beside(marker) if marker else place.main

        def is_kept() -> bool:
            overwrite = settings.overwrite and not (again and self._is_new(finished))
            return not overwrite and self._is_kept(path, finished, place, digest)

        if is_kept() or self._found_nothing(path, digest):
            return True
        if place.folder not in self.writable:  # said now, before a model is loaded
            check_writable(place.folder)
            self.writable.add(place.folder)
        with claimed(finished) as holder:
            if holder:
                self.holder = named(holder)
                return False
            if is_kept():  # done since, before it was claimed
                return True
            for note in (*source.notes, *self.work.losses(source, place)):
                say(f"limner: {path}: {note}", err=True)
            started = time.perf_counter()
            with self.progress.picture(path.name) as on_step:
                run = self.session.answer(request, source, on_step)
            self._finish(run, path, place, started)
            return True

    def _is_new(self, finished: Path) -> bool:
        """Whether a result was made since this command began."""
        try:
            return finished.stat().st_mtime >= self.started
        except OSError:
            return False

    def _found_nothing(self, path: Path, digest: str) -> bool:
        """Whether it is known that nothing is found in a picture, of which no file tells."""
        if self.work.ledger is None or not self.work.ledger.found_nothing(path, digest):
            return False
        self.tally.done_before += 1
        self.tally.empty += 1
        say_nothing_again(self.settings, path, digest)
        return True

    def _is_kept(self, path: Path, finished: Path, place: Place, digest: str) -> bool:
        """Whether this very result lies there whole; then it is said and counted as if made now.

        Raises:
            OutputError: another result, or a file of somebody else's, has the name.
        """
        with os_errors(finished, OutputError):
            if not finished.exists():
                return False
        result = stored(finished)
        if result is None or result.job != digest:
            raise OutputError(
                f"{finished} exists and was made otherwise: pass --overwrite or another --out."
            )
        if not is_whole(result, place, self.work.maps):
            return False
        self.tally.done_before += 1
        self.finished.add(finished)
        self.tally.empty += not result.objects
        if self.work.ledger:
            self.work.ledger.add(path, result.record, result.files(finished))
        say_kept(self.settings, path, finished, result)
        return True

    def _finish(self, run: Run, path: Path, place: Place, started: float) -> None:
        """Write a run's results, say them, count them."""
        settings = self.settings
        record = run.record.to_dict()
        if not run.record.job.is_private:  # a stem is mostly the input's
            record["stem"] = place.stem
        if run.id:
            record["run"] = run.id
        outputs: Sequence[Path] = ()
        failure: ResultError | None = None
        empty = not len(run.grounding)
        # A list of nothing is a list; a picture in which nothing changed isn't a result.
        if self.work.marker or not empty or settings.copy_unchanged:
            try:
                outputs = self.work.write(run, place, record)
            except ResultError as error:
                failure = error
            if outputs and self.settings.overwrite:
                remove_stale(place, record["job"])
            if run.id and outputs and not settings.is_streamed:
                self.session.recording.place(run.id, outputs)
        elif self.settings.overwrite:
            self._no_result(place)
        if self.work.ledger and not failure:
            self.work.ledger.add(path, record, outputs)
        say_run(self.settings, run, path, outputs, time.perf_counter() - started, record)
        if self.trackers:
            from limner.session.track import record_run

            record_run(self.trackers, run, self.tally.tracked)
            if run.id:
                self.session.recording.track(run.id, settings.track, settings.track_to)
            self.tally.tracked += 1
        if failure:
            raise failure
        self.tally.done += 1
        self.finished.add(place.beside(self.work.marker or place.suffix))
        self.tally.empty += empty

    def _no_result(self, place: Place) -> None:
        """An old picture must not pass for the result of a run that made none."""
        with os_errors(place.main, OutputError):
            if not place.main.exists():
                return
        removed = remove_old(place)
        outcome = "was removed, as nothing was found now" if removed else "isn't limner's and stays"
        say(f"limner: The old {place.main} {outcome}.", err=True)
