"""Forgetting a picture: its runs and all their files are removed, to the last byte in the store."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from limner.errors import StoreError
from limner.home import HIDDEN, WORKING_FOLDER
from limner.runs import private
from limner.runs.entries import BACKDROP, EXEMPLAR, RUNNING, RunEntry
from limner.runs.files import Files
from limner.runs.garbage import neighbours
from limner.runs.schema import run_files, runs

if TYPE_CHECKING:
    from limner.runs.store import Store


@dataclass(frozen=True)
class Forgotten:
    """What was removed.

    ``digests`` are those by which the picture, or one made from it, was known; ``compacted`` says
    whether the database itself was written anew without it.
    """

    entries: tuple[RunEntry, ...]
    digests: frozenset[str]
    files: int
    compacted: bool

    @property
    def needles(self) -> frozenset[bytes]:
        """What only records of these pictures hold."""
        names = {*self.digests}
        for entry in self.entries:
            if entry.row.verb not in private.VERBS:
                names.add(entry.id)
            if entry.row.input_path:
                names |= {entry.row.input_path, json.dumps(entry.row.input_path)[1:-1]}
        return frozenset(name.encode("utf-8", "replace") for name in names)


def runs_of(
    store: Store, digests: Collection[str], paths: Collection[str], pixels: Collection[str] = ()
) -> tuple[list[RunEntry], frozenset[str]]:
    """The runs of a picture, and of what was made of it, oldest first; and all their digests.

    Args:
        digests: SHA-256 of files, or of pixels for pictures in memory.
        paths: where it lay.
        pixels: digests of decoded pixels, by which examples and backdrops are known again.
    """
    known_digests = set(digests)
    related: dict[str, RunEntry] = {}
    pictures_shown = _shown(store, pixels) if pixels else frozenset()
    everything = store.entries()
    count_before = -1
    while count_before != len(related):
        count_before = len(related)
        writers: dict[str, RunEntry] = {}  # place -> the run that wrote there last
        for entry in everything:
            path = entry.row.input_path or ""
            writer = writers.get(path)
            if entry.id not in related and (
                entry.input_digest in known_digests
                or path in paths
                or entry.labels.parent in related
                or (writer and writer.id in related and writer.row.verb not in private.VERBS)
                or any(
                    file.digest in known_digests or file.name in pictures_shown
                    for file in entry.files
                )
            ):
                related[entry.id] = entry
                if entry.input_digest in known_digests or path in paths:
                    known_digests.add(entry.input_digest)
            writers |= dict.fromkeys(entry.places, entry)
    return [entry for entry in everything if entry.id in related], frozenset(known_digests)


def _shown(store: Store, pixels: Collection[str]) -> frozenset[str]:
    """Names of files that show a picture as an example or behind something."""
    from PIL import Image

    from limner.io.images import digest

    with store.database.reading() as connection:
        query = sa.select(run_files.c.name).where(run_files.c.role.in_((EXEMPLAR, BACKDROP)))
        names = set(connection.scalars(query.distinct()))
    pictures = set()
    for name in names:
        with contextlib.suppress(StoreError, OSError, ValueError, SyntaxError):
            picture = Image.open(io.BytesIO(store.files.load(name)), formats=["PNG"])
            if digest(picture.convert("RGB")) in pixels:
                pictures.add(name)
    return frozenset(pictures)


def forget(store: Store, entries: Iterable[RunEntry], digests: frozenset[str]) -> Forgotten:
    """Remove runs, and every file that only they name or that is the picture itself.

    Raises:
        StoreError: one of them is still going on, or the store can't be written.
    """
    entries = tuple(entries)
    for entry in entries:
        if entry.row.status == RUNNING:
            raise StoreError(
                f"Run {entry.id} of this picture is still going on (process {entry.pid} on "
                f"{entry.host}): stop it first."
            )
    ids = [entry.id for entry in entries]
    compacted = True
    if ids:
        with store.database.writing(erasing=True) as connection:
            connection.execute(sa.delete(runs).where(runs.c.id.in_(ids)))
            names_in_use = set(connection.scalars(sa.select(run_files.c.name).distinct()))
        compacted = store.database.compact()
    else:
        names_in_use = {file.name for entry in store.entries() for file in entry.files}
    names = {file.name for entry in entries for file in entry.files} - names_in_use
    return Forgotten(entries, digests, _remove(store, names, digests), compacted)


def _remove(store: Store, names: Collection[str], digests: Collection[str]) -> int:
    """Take files away, from the place that older limners shared as well, and what a killed writer
    left. What another store beside this one names stays there, but for the picture itself."""
    names_beside: set[str] = set()
    database = store.location.database
    if database is not None:
        with contextlib.suppress(StoreError):  # one that can't be read hides nothing from us
            for neighbour in neighbours(database.parent, database):
                names_beside |= neighbour.files
    count = 0
    for files, named_elsewhere in ((store.files.own, set()), (store.files.shared, names_beside)):
        count += _remove_from(files, {n for n in names if n not in named_elsewhere}, digests)
    return count


def _remove_from(files: Files, names: Collection[str], digests: Collection[str]) -> int:
    removable = [
        file.name
        for file in files.scan()
        if file.name in names
        or file.name.partition(".")[0] in digests
        or file.name.startswith(HIDDEN)
    ]
    for name in removable:
        files.remove(name)
    return len(removable)


def holding(store: Store, digest: str) -> list[str]:
    """Ids of the runs that keep a picture, newest first: its copy, or what was drawn over it."""
    copies = sa.select(run_files.c.run_id).where(run_files.c.name.startswith(digest))
    of_it = sa.and_(
        runs.c.input_digest == digest,
        runs.c.verb.not_in(sorted(private.VERBS)),
        runs.c.id.in_(sa.select(run_files.c.run_id)),
    )
    query = sa.select(runs.c.id).where(sa.or_(runs.c.id.in_(copies), of_it))
    with store.database.reading() as connection:
        return list(connection.scalars(query.order_by(runs.c.started.desc())))


def tracked_in(entries: Iterable[RunEntry]) -> dict[Path, frozenset[str]]:
    """Folders of trackers -> the trackers that were told of these runs there."""
    folders: dict[Path, frozenset[str]] = {}
    for entry in entries:
        if entry.tracked:
            folder = Path(str(entry.tracked.get("folder", WORKING_FOLDER)))
            names = frozenset(map(str, entry.tracked.get("names", ())))
            folders[folder] = folders.get(folder, frozenset()) | names
    return folders
