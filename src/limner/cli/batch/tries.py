"""Names for further tries: without ``--out``, another question of one picture replaces nothing.

The first result of ``photo.jpg`` is ``photo-segment.png``, that of another prompt
``photo-segment-try2.png``; of a folder, all of another prompt's results lie in
``folder-segment-try2``. The same question again is found where it was answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from limner.cli.batch.output_paths import Place, os_errors, places, results_folder
from limner.cli.batch.resume import job_of
from limner.cli.batch.settings import Settings
from limner.cli.console import say_note
from limner.errors import LimnerError, OutputError

if TYPE_CHECKING:
    from limner.session import Source
    from limner.session.request import Request


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-try{number}"
        number += 1


def own_place(place: Place, marker: str | None, job: str) -> Place:
    """The first place that holds this job's result, or nothing.

    Args:
        marker: as ``Work.marker``.
        job: digest of what is asked.
    """
    for stem in _numbered(place.stem):
        tried = replace(place, stem=stem)
        files = {tried.main, tried.beside(marker or place.suffix)}
        if all(_is_free(file) or job_of(file) == job for file in files):
            return tried
    raise AssertionError  # numbers don't end


def own_folder(
    settings: Settings, ask: Callable[[Source], Request], marker: str | None = None
) -> Settings:
    """The same settings; for one folder without ``--out``, whose results of another question lie
    in the usual folder, with a folder of their own.

    Raises:
        ImageError, OutputError: inputs or the folders can't be looked at.
    """
    if settings.out is not None or settings.overwrite or not settings.only_folder:
        return settings
    usual = results_folder(settings)
    for name in _numbered(usual.name):
        folder = usual.with_name(name)
        tried = settings if folder == usual else replace(settings, out=folder)
        if not _holds_others(tried, folder, ask, marker):
            if folder != usual:
                say_note(f"{usual} holds results of another question: these go to {folder}.")
            return tried
    raise AssertionError  # numbers don't end


def _holds_others(
    settings: Settings, folder: Path, ask: Callable[[Source], Request], marker: str | None
) -> bool:
    """Whether the first result in a folder that can be compared answers something else."""
    from limner.session import Source

    with os_errors(folder, OutputError):
        if not folder.is_dir():
            return False
    for path, place in places(settings):
        job = job_of(place.beside(marker)) if marker else job_of(place.main)
        if job is None:
            continue
        try:
            source = Source.open(path, max_pixels=settings.max_pixels)
            return ask(source).job.digest(source.digest) != job
        except LimnerError:  # of this picture: said in its turn
            continue
    return False


def _is_free(file: Path) -> bool:
    with os_errors(file, OutputError):
        return not file.exists()
