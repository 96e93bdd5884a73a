"""A painter's files with those of the subjects it is to know, of its refiner, and of what lets it
paint in a few steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from limner.errors import ModelError, OptionError
from limner.protocols import ModelRef, Say
from limner.registry import catalog, store
from limner.registry.subjects import TEACHABLE
from limner.registry.weights import Adapter, Weights

Files = tuple[tuple[str, str], ...]


def with_subjects(
    painter: Weights, subjects: Sequence[Adapter], names: Iterable[str], painters: str, say: Say
) -> Weights:
    """The painter's files and those of the subjects it is to know.

    Args:
        names: of the subjects, as they were given.
        painters: what else to take.

    Raises:
        ModelError: a painter that can't be taught.
    """
    if painter.ref.family != TEACHABLE:
        raise ModelError(
            f"{painter.ref.name} can't know a subject: {', '.join(names)} was taught "
            f"to a diffusion model, so take {subjects[0].base or painters}."
        )
    for subject in subjects:
        if subject.base and subject.base != painter.ref.name:
            say(f"{subject.name} was taught to {subject.base}, and {painter.ref.name} paints it.")
    files = tuple((subject.name, subject.sha256) for subject in subjects)
    ref = _and_files(painter.ref, (("subjects", files),))
    known = tuple((subject.name, subject.sha256, subject.weight) for subject in subjects)
    return replace(painter, ref=replace(ref, adapters=known), adapters=tuple(subjects))


def with_refiner(painter: Weights, refiner: Weights) -> Weights:
    """The painter's files and those of the refiner that does its last steps.

    Raises:
        ModelError: a painter that hands nothing over.
    """
    if painter.ref.family != refiner.ref.family:
        raise ModelError(
            f"{refiner.ref.name} refines what Stable Diffusion XL paints, and "
            f"{painter.ref.name} is another kind of model: leave the refiner out."
        )
    ref = _and_files(painter.ref, (("refiner", refiner.ref.files),))
    return replace(painter, ref=ref, refiner=refiner)


def accelerator_of(
    painter: catalog.ModelEntry | None, name: str, *, commercial_safe: bool
) -> catalog.ModelEntry:
    """The adapter that lets a painter paint in a few steps.

    Args:
        name: what the painter is called; a local folder has no entry.

    Raises:
        OptionError: there is none for this painter.
        LicenceRefused: the session is commercial-safe, and the licence isn't.
    """
    entries = catalog.catalog().values()
    adapters = [entry for entry in entries if painter and painter.name in entry.accelerates]
    if not adapters:
        able = [each for entry in entries for each in entry.accelerates]
        raise OptionError(
            f"--fast has no effect on {name}: limner knows no adapter that "
            f"lets it paint in a few steps. There are adapters for {', '.join(able)}."
        )
    if commercial_safe:
        catalog.require_commercial(adapters[0])
    return adapters[0]


def accelerated(painter: Weights, entry: catalog.ModelEntry) -> Weights:
    """The painter with its adapter for few steps, and the settings that go with it."""
    files = store.find(entry)
    assert files.path is not None
    (name, sha256), *_ = files.ref.files
    adapter = Adapter(entry.name, files.path / name, 1.0, sha256, accelerates=True)
    return replace(
        painter,
        ref=_and_files(painter.ref, ((entry.name, files.ref.files),)),
        defaults={**painter.defaults, **entry.defaults},
        adapters=(*painter.adapters, adapter),
    )


def _and_files(ref: ModelRef, others: Iterable[tuple[str, Files]]) -> ModelRef:
    """A reference that also holds the files of others, each under a name."""
    more = tuple((f"{name}/{path}", digest) for name, files in others for path, digest in files)
    return replace(ref, files=(*ref.files, *more))
