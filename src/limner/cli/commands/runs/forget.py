"""``limner runs forget``: removes all that limner keeps of a picture on this machine."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from limner.cli.batch.output_paths import os_errors
from limner.cli.console import say
from limner.cli.help_page import HelpCommand
from limner.cli.options.run_store import opened_store, stage_cache, store_option
from limner.errors import ImageError, LimnerError, StoreError
from limner.home import WORKING_FOLDER

if TYPE_CHECKING:
    from limner.runs.entries import RunEntry
    from limner.runs.forget import Forgotten
    from limner.runs.store import Store


@dataclass
class Picture:
    """One that is to be forgotten: the digests of its file and pixels, or its path alone."""

    path: Path
    digests: set[str] = field(default_factory=set)
    pixels: set[str] = field(default_factory=set)

    @property
    def whole(self) -> str:
        return str(self.path.expanduser().absolute())


@click.command("forget", cls=HelpCommand)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--results",
    is_flag=True,
    help="Also remove what the verbs wrote outside the store, except redactions.",
)
@click.option(
    "--track-to",
    type=click.Path(path_type=Path),
    default=Path(WORKING_FOLDER),
    envvar="LIMNER_TRACK_TO",
    show_default=True,
    help="Folder of trackers that is looked through besides those that runs name.",
)
@store_option
def forget(files: tuple[Path, ...], results: bool, track_to: Path, store: str | None) -> None:
    """Remove every copy, result, mask, cached answer and tracker's file of a picture.

    \b
    limner runs forget cat.jpg
    limner runs forget cup.jpg --results

    FILE is the picture, a folder of them, or the path where one lay when runs were recorded. The
    cache of stages is emptied: its answers don't say which picture they are of. What lies outside
    the store or was sent to a server is named.
    """
    from limner.runs.forget import forget as forget_runs
    from limner.runs.forget import runs_of

    opened = opened_store(store)
    pictures = [picture for path in files for picture in _pictures(path)]
    missing_paths = {picture.whole for picture in pictures if not picture.digests}
    known_digests = {digest for picture in pictures for digest in picture.digests}
    pixels = {digest for picture in pictures for digest in picture.pixels}
    entries, digests = runs_of(opened, known_digests, missing_paths, pixels)
    if unknown := missing_paths - {entry.row.input_path for entry in entries}:
        raise StoreError(
            f"There is no {min(unknown)}, and no run in {opened.location.shown} recorded that path."
        )
    forgotten = forget_runs(opened, entries, digests)
    _say_done(opened, pictures, forgotten, _forget_around(store, forgotten, track_to))
    _say_left(entries, results)


def _pictures(path: Path) -> Iterator[Picture]:
    from limner.io.images import find_images

    with os_errors(path, ImageError):
        if path.is_dir():
            for file in find_images(path):
                yield _picture(file)
        else:
            yield _picture(path)


def _picture(path: Path) -> Picture:
    """A picture's digests; a file that is no picture still has that of its bytes."""
    from limner.io import images

    if not path.exists():
        return Picture(path)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImageError(f"{path} can't be read: {error.strerror or error}.") from None
    try:
        pixels = images.digest(images.open_image(path).image)
    except LimnerError:
        return Picture(path, {digest})
    return Picture(path, {digest, pixels}, {pixels})


def _forget_around(store: str | None, forgotten: Forgotten, track_to: Path) -> list[str]:
    """What lies beside the store, removed: the cache, trackers' files, journals of suites."""
    from limner.runs.forget import tracked_in
    from limner.trackers.local_copies import forget as forget_tracked

    removals = []
    cache = stage_cache({"store": store, "no_store": False, "no_cache": False})
    if cache is not None and (count := cache.clear()):
        removals.append(f"{count} cached answers (of all pictures)")
    tracked = tracked_in(forgotten.entries)
    for folder in dict.fromkeys([*tracked, track_to.absolute()]):
        removed = forget_tracked(folder, forgotten.needles)
        removals += [f"{path}" for path in removed]
        names = tracked.get(folder, frozenset())
        _say_online(names, removed)
    for journal in _journals(forgotten.needles):
        shutil.rmtree(journal)
        removals.append(str(journal))
    return removals


def _say_online(names: Collection[str], removed: Sequence[Path]) -> None:
    """What was told to a tracker and isn't in its folder may be on a server."""
    for name in sorted(names):
        if name != "tensorboard" and not any(name in path.parts for path in removed):
            say(
                f"limner: {name} was told of it, and nothing of that lies here: if it was sent to "
                "a server, remove it there.",
                err=True,
            )


def _journals(needles: Collection[bytes]) -> Iterator[Path]:
    """Folders of suites in the working folder whose results or reports name the picture."""
    for folder in sorted(Path(WORKING_FOLDER, "evals").glob("*")):
        files = [path for path in folder.rglob("*") if path.is_file()]
        if any(needle in path.read_bytes() for path in files for needle in needles):
            yield folder


def _say_done(
    opened: Store, pictures: Sequence[Picture], done: Forgotten, around: Sequence[str]
) -> None:
    parts = [f"{len(done.entries)} runs", f"{done.files} files", *around]
    name = str(pictures[0].path) if len(pictures) == 1 else f"{len(pictures)} pictures"
    say(f"{name}  forgotten: {', '.join(parts)}")
    if not done.compacted:
        say(
            f"limner: {opened.location.shown} couldn't be written anew: what was deleted may lie "
            "in its free pages or its log until nobody uses it; run this again then.",
            err=True,
        )
    if opened.location.database is None:
        say("limner: Logs and backups of the database server can't be reached from here.", err=True)


def _say_left(entries: Sequence[RunEntry], results: bool) -> None:
    """What the verbs wrote elsewhere, which shows the picture; redactions are left alone."""
    from limner.cli.batch.folder_listing import forget_inputs, listings_of
    from limner.runs import private

    places = {
        Path(place)
        for entry in entries
        if entry.row.verb not in private.VERBS
        for place in entry.places
    }
    results_left = sorted(path for path in places if path.is_file())
    inputs = {entry.row.input_path for entry in entries if entry.row.input_path}
    verbs = {entry.row.verb for entry in entries} - private.VERBS
    listings = [file for verb in sorted(verbs) for file in listings_of(places, verb, inputs)]
    if results:
        for path in results_left:
            path.unlink()
            say(f"{path}  removed")
        for file in listings:
            forget_inputs(file, inputs)
            say(f"{file}  names it no more")
    elif results_left := [*results_left, *listings]:
        say(
            f"limner: Results outside the store may still show it (--results removes them): "
            f"{', '.join(map(str, results_left))}",
            err=True,
        )
    for name, ids in (
        ("sweep", {entry.labels.sweep for entry in entries if entry.labels.sweep}),
        ("suite", {entry.labels.suite for entry in entries if entry.labels.suite}),
    ):
        if ids:
            say(
                f"limner: It was part of the {name} {', '.join(sorted(ids))}: what that wrote "
                "(pages, sheets, pictures) shows it.",
                err=True,
            )
