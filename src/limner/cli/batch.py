"""One file or a folder of them: where results go, what is done already, what is said meanwhile.

A result carries the digest of the job that made it. A run that was killed is resumed by running it
again: finished results of the same job are left alone, everything else is done.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from limner.errors import (
    ImageError,
    InputError,
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

if TYPE_CHECKING:
    from limner.protocols import OnStep
    from limner.runs.record import Job
    from limner.session import Run, Session, Source

Command = TypeVar("Command", bound=Callable[..., Any])

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
NOT_OF_THE_IMAGE = (LicenceRefused, MissingExtra, OptionError, UnknownModel, WeightsMissing)
"""Errors that every other image of the folder would meet too."""

BAR_AFTER = 1.0
"""Seconds after which work gets a progress bar."""


def batch_options(command: Command) -> Command:
    """Adds the input argument and the options that every verb shares."""
    for option in (
        click.option(
            "--max-pixels",
            type=int,
            default=100_000_000,
            show_default=True,
            help="Refuse larger images (decompression bombs).",
        ),
        click.option("--dtype", help="float32, bfloat16 or float16 (default: the fastest here)."),
        click.option("--device", help="cpu, cuda, cuda:1, mps (default: the fastest here)."),
        click.option(
            "--commercial-safe",
            is_flag=True,
            help="Refuse models whose licence bars commercial use.",
        ),
        click.option(
            "--profile",
            default="classical",
            show_default=True,
            help="Which models by default: classical needs no weights; small, base, large.",
        ),
        click.option("--fail-if-empty", is_flag=True, help="Exit with 1 when nothing is found."),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Say which models, how much memory and about how long; do nothing.",
        ),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a result on stdout."),
        click.option("--overwrite", is_flag=True, help="Replace results that exist."),
        click.option(
            "--out",
            "-o",
            type=click.Path(path_type=Path),
            help="A picture, or a folder (default: beside you, named after the input).",
        ),
        click.argument("image", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Place:
    """Where one input's results go: ``folder/stem + suffix``, companions beside it."""

    folder: Path
    stem: str
    suffix: str = ".png"

    @property
    def main(self) -> Path:
        return self.folder / (self.stem + self.suffix)

    def beside(self, ending: str) -> Path:
        return self.folder / (self.stem + ending)


@dataclass(frozen=True)
class Settings:
    """What ``batch_options`` read, for one verb."""

    verb: str
    image: Path
    out: Path | None
    overwrite: bool
    as_json: bool
    dry_run: bool
    fail_if_empty: bool
    max_pixels: int

    @classmethod
    def of(cls, verb: str, given: dict[str, Any]) -> Settings:
        names = [name for name in cls.__dataclass_fields__ if name != "verb"]
        return cls(verb, **{name: given[name] for name in names})


def places(settings: Settings, suffix: str = ".png") -> list[tuple[Path, Place]]:
    """Each input with the place of its results, in order.

    Raises:
        ImageError: no such file, or a folder without images.
        OutputError: one picture's name for a whole folder, or the input folder itself.
    """
    from limner.images import SUFFIXES, find_images

    image, out, verb = settings.image, settings.out, settings.verb
    is_picture = out is not None and out.suffix.lower() in PICTURES and not out.is_dir()
    if out is not None and not is_picture and out.suffix.lower() in SUFFIXES:
        raise OutputError(
            f"{out} ends in {out.suffix}: pictures are saved as {', '.join(PICTURES)}."
        )
    if not image.is_dir():
        if not image.exists():
            raise ImageError(f"There is no {image}: expected an image file or a folder of images.")
        if out is not None and is_picture:
            return [(image, Place(out.parent, out.stem, out.suffix))]
        return [(image, Place(out or Path(), f"{image.stem}-{verb}", suffix))]
    if is_picture:
        raise OutputError(f"{image} is a folder of images: --out must be a folder, got {out}.")
    folder = out or image.with_name(f"{image.resolve().name}-{verb}")
    if folder.resolve() == image.resolve():
        raise OutputError("--out must be another folder than the one the images are in.")
    files = find_images(image)
    stems = [file.stem for file in files]
    # photo.jpg and photo.png in one folder must not overwrite each other.
    names = [f.stem if stems.count(f.stem) == 1 else f"{f.stem}-{f.suffix[1:]}" for f in files]
    return [(f, Place(folder, f"{n}-{verb}", suffix)) for f, n in zip(files, names, strict=True)]


@dataclass
class Tally:
    """What happened over a batch."""

    made: int = 0
    kept: int = 0
    empty: int = 0
    failed: int = 0
    code: int = 0


Work = Callable[["Source", "OnStep"], "Run"]
Write = Callable[["Run", Place, dict[str, Any]], Sequence[Path]]


def run_batch(
    settings: Settings,
    session: Session,
    ask: Callable[[Source], tuple[Job, Work]],
    write: Write,
    *,
    suffix: str = ".png",
    marker: str | None = None,
) -> None:
    """Do a verb on every input.

    Args:
        ask: for an opened input, the job and the work that does it.
        write: saves a run's results at a place, with the record to put in them; returns the paths.
            What is written last is the marker.
        marker: ending of the file that says "finished"; None: the place's main picture.

    Raises:
        LimnerError: of the only input, or one that all would meet; of several, failures are said as
            they come and the largest exit code is the batch's.
    """
    inputs = places(settings, suffix)
    _clear_remains({place.folder for _, place in inputs})
    tally = Tally()
    for path, place in inputs:
        try:
            _one(settings, session, path, place, ask, write, marker, tally)
        except LimnerError as error:
            if len(inputs) == 1 or isinstance(error, NOT_OF_THE_IMAGE):
                raise
            tally.failed += 1
            tally.code = max(tally.code, error.exit_code)
            click.echo(f"limner: {path}: {error}", err=True)
    if len(inputs) > 1 and not settings.as_json:
        click.echo(_summary(len(inputs), tally))
    if settings.fail_if_empty and tally.empty:
        raise NothingFound(
            f"Nothing was found in {tally.empty} of {len(inputs)} images."
            if len(inputs) > 1
            else "Nothing was found."
        )
    if tally.code:
        raise click.exceptions.Exit(tally.code)


def _one(
    settings: Settings,
    session: Session,
    path: Path,
    place: Place,
    ask: Callable[[Source], tuple[Job, Work]],
    write: Write,
    marker: str | None,
    tally: Tally,
) -> None:
    from limner.session import Source

    source = Source.open(path, max_pixels=settings.max_pixels)
    job, work = ask(source)
    digest = job.digest(source.digest)
    finished = place.beside(marker) if marker else place.main
    if not settings.overwrite and finished.exists():
        if job_of(finished) != digest:
            raise OutputError(
                f"{finished} exists and was made otherwise: pass --overwrite or another --out."
            )
        tally.kept += 1
        if not settings.as_json:
            click.echo(f"{finished}  done already")
        return
    for note in source.notes:
        click.echo(f"limner: {path}: {note}", err=True)
    started = time.perf_counter()
    with progress(f"{settings.verb} {path.name}") as on_step:
        run = work(source, on_step)
    record = run.record.to_dict()
    outputs: Sequence[Path] = ()
    failure: ResultError | None = None
    empty = not len(run.grounding)
    tally.empty += empty
    if marker or not empty:  # a list of nothing is a list; a picture in which nothing changed isn't
        try:
            outputs = write(run, place, record)
        except ResultError as error:
            failure = error
    tally.made += 1
    _say(settings, run, path, outputs, time.perf_counter() - started, record)
    if failure:
        raise failure


def job_of(path: Path) -> str | None:
    """The job that a result on disk answers; None when it isn't one of ours."""
    from limner.saving import read_record

    try:
        if path.suffix == ".json":
            return str(json.loads(path.read_bytes())["info"]["limner"]["job"])
        record = read_record(path)
        return str(record["job"]) if record else None
    except (ValueError, KeyError, TypeError, OSError, InputError):
        return None


def check_free(settings: Settings, paths: Sequence[Path], job: str) -> None:
    """Refuse to replace files that this job didn't write.

    Raises:
        OutputError: one of them exists, and neither --overwrite nor an unfinished run explains it.
    """
    for path in paths:
        if path.exists() and not settings.overwrite and job_of(path) != job:
            raise OutputError(f"{path} exists: pass --overwrite or another --out.")


def _clear_remains(folders: set[Path]) -> None:
    """Remove half-written temporary files that a killed run left."""
    for folder in folders:
        for remains in folder.glob(".limner-*.tmp"):
            try:
                if time.time() - remains.stat().st_mtime > 60:  # younger: another run's, at work
                    remains.unlink(missing_ok=True)
            except OSError:
                continue  # not ours to remove: results don't depend on it


def _say(
    settings: Settings,
    run: Run,
    path: Path,
    outputs: Sequence[Path],
    seconds: float,
    record: dict[str, Any],
) -> None:
    from limner import export

    if settings.as_json:
        rows = export.coco([(path.name, run.source.image.size, run.grounding.detections)])
        answer = {
            **record,
            "outputs": [str(output) for output in outputs],
            "annotations": rows["annotations"],
            "categories": rows["categories"],
        }
        click.echo(json.dumps(answer))
        return
    count = len(run.grounding)
    models = ", ".join(model["name"] for model in record["models"])
    found = "nothing found" if not count else f"{count} object{'s' if count > 1 else ''}"
    facts = [found]
    if run.edits:
        edit = run.edits[0]
        facts.append(f"{edit.outside_changed_pixels} pixels changed outside the mask")
        if settings.verb in ("edit", "remove"):  # elsewhere a border is wanted
            facts.append(f"seam {edit.seam:.3f}")
    if run.redaction and run.redaction.verified is not None:
        facts.append("not found again" if run.redaction.verified else "STILL FOUND")
    facts.append(f"{seconds:.1f} s")
    where = str(outputs[-1]) if outputs else str(path)
    click.echo(f"{where}  {', '.join(facts)}  ({models})")


def _summary(count: int, tally: Tally) -> str:
    parts = [f"{count} images: {tally.made} done"]
    if tally.kept:
        parts.append(f"{tally.kept} done already")
    if tally.empty:
        parts.append(f"{tally.empty} with nothing found")
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    return ", ".join(parts)


@contextmanager
def progress(label: str) -> Iterator[OnStep]:
    """An ``on_step`` for work that may take long.

    On a terminal a bar appears after ``BAR_AFTER`` seconds: at first one that only moves, then, as
    soon as the work reports steps, one that fills.
    """
    import sys

    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None)
    timer = threading.Timer(BAR_AFTER, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        timer.cancel()
        bar.stop()
