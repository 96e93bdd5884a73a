"""Where results go: a name for each input's results, and whether anything can be written there."""

from __future__ import annotations

import os
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import ImageError, InputError, OptionError, OutputError
from limner.home import TEMPORARIES

if TYPE_CHECKING:
    from limner.cli.batch.settings import Settings

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class Place:
    """Where one input's results go: ``folder/stem + suffix``, companions beside it."""

    folder: Path
    stem: str
    suffix: str = ".png"

    @property
    def main(self) -> Path:
        return self.folder / (self.stem + self.suffix)

    @property
    def masks(self) -> Path:
        """The folder of the masks."""
        return self.beside("-masks")

    def beside(self, ending: str) -> Path:
        return self.folder / (self.stem + ending)


@contextmanager
def os_errors(path: Path, refusal: type[InputError]) -> Iterator[None]:
    """What the system says against looking at a path becomes one sentence."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL in the name
        reason = getattr(error, "strerror", None) or error
        verb = "written" if refusal is OutputError else "read"
        raise refusal(f"{path} can't be {verb}: {reason}.") from error


def places(settings: Settings) -> list[tuple[Path, Place]]:
    """Each input with the place of its results, in order; no two places have one name.

    An input that is named twice is one; of several, results of this command are none.

    Raises:
        ImageError: no such file, a folder without images, or one that can't be read.
        OutputError: one picture's name for several inputs, or the input folder itself.
    """
    from limner.io.images import SUFFIXES

    out, single = settings.out, len(settings.images) == 1
    is_picture = False
    if out is not None:
        with os_errors(out, OutputError):
            is_picture = out.suffix.lower() in PICTURES and not out.is_dir()
    if out is not None and not is_picture and out.suffix.lower() in SUFFIXES:
        raise OutputError(
            f"{out} ends in {out.suffix}: pictures are saved as {', '.join(PICTURES)}."
        )
    folders = [image for image in settings.images if _is_folder(image)]
    if settings.recursive and not folders:
        names = f"one picture, {settings.image}" if single else "pictures"
        raise OptionError(f"--recursive has no effect on {names}: give a folder.")
    if out is not None and is_picture:
        if folders and single:
            raise OutputError(
                f"{folders[0]} is a folder of images: --out must be a folder, got {out}."
            )
        if not single:
            raise OutputError(
                f"{out} is one picture's name, and there are {len(settings.images)} inputs: "
                "--out must be a folder."
            )
        files = {settings.image: Place(out.parent, out.stem, out.suffix)}
    else:
        files = _named(settings)
    _check_not_input(files)
    return list(files.items())


def _is_folder(image: Path) -> bool:
    """Whether an input is a folder.

    Raises:
        ImageError: it isn't there, or can't be looked at.
    """
    with os_errors(image, ImageError):
        is_folder, exists = image.is_dir(), image.exists()
    if not exists:
        raise ImageError(f"There is no {image}: expected an image file or a folder of images.")
    return is_folder


def _named(settings: Settings) -> dict[Path, Place]:
    """Each input's file with a place of its own, named after it."""
    by_target: dict[Path, list[Path]] = {}
    known: set[Path] = set()
    for image in settings.images:
        for file, target in _files_of(settings, image):
            with os_errors(file, ImageError):
                real = file.resolve() if len(settings.images) > 1 else file
            if real not in known:
                known.add(real)
                by_target.setdefault(target, []).append(file)
    if len(settings.images) > 1:
        by_target = {target: _not_results(by_target, target, settings.verb) for target in by_target}
    return {
        file: Place(target, f"{name}-{settings.verb}", settings.suffix)
        for target, files in by_target.items()
        for file, name in zip(files, unique_names(files), strict=True)
    }


def _files_of(settings: Settings, image: Path) -> list[tuple[Path, Path]]:
    """The pictures of one input, each with the folder of its results."""
    if not image.is_dir():
        return [(image, settings.out or Path())]
    folder = settings.out or _beside(image, settings.verb)
    with os_errors(folder, OutputError):
        if folder.resolve() == image.resolve():
            raise OutputError("--out must be another folder than the one the images are in.")
    return [
        (file, folder / file.parent.relative_to(image))
        for file in _files(image, folder, recursive=settings.recursive)
    ]


def _not_results(by_target: Mapping[Path, list[Path]], target: Path, verb: str) -> list[Path]:
    """The files of a target but what this verb wrote there of the others: ``*.png``, again."""
    stems = {file.stem for file in by_target[target]}
    where = target.resolve()

    def is_result(file: Path) -> bool:
        source, dash, ending = file.stem.rpartition(f"-{verb}")
        mine = bool(dash) and source in stems and (not ending or ending.startswith("-"))
        return mine and file.parent.resolve() == where

    return [file for file in by_target[target] if not is_result(file)]


def _check_not_input(files: Mapping[Path, Place]) -> None:
    """No result replaces an input."""
    for image, place in files.items():
        with os_errors(place.main, OutputError):
            if place.main.exists() and place.main.samefile(image):
                raise OutputError(f"--out must be another file than the input, {image}.")


def left_out(settings: Settings, inputs: Sequence[Path]) -> list[str]:
    """What was named and isn't among the inputs, and why."""
    sentences = []
    for image in settings.images:
        if not image.is_dir():
            continue
        if below := [] if settings.recursive else folders_below(image, settings.out):
            sentences.append(f"{counted(below)} with pictures; --recursive takes them.")
    taken = {path.resolve() for path in inputs}
    results = [path for path in settings.images if path.is_file() and path.resolve() not in taken]
    if results:
        more = f" and {len(results) - 1} more" if len(results) > 1 else ""
        sentences.append(f"{results[0]}{more}: made by {settings.verb} of the other pictures.")
    return sentences


def results_folder(settings: Settings) -> Path:
    """Where the results of a folder lie."""
    return settings.out or _beside(settings.image, settings.verb)


def _files(image: Path, out: Path, *, recursive: bool) -> list[Path]:
    """The pictures of a folder; results that lie in a subfolder of it are no inputs."""
    from limner.io.images import find_images

    with os_errors(image, ImageError):
        try:
            files = find_images(image, recursive=recursive)
        except ImageError as error:
            if below := [] if recursive else folders_below(image, out):
                raise ImageError(f"{error} {counted(below)} have some: --recursive.") from None
            raise
        results = out.resolve()
        inputs = [file for file in files if not file.resolve().is_relative_to(results)]
    if not inputs:
        raise ImageError(f"There is no image in {image} but the results in {out}.")
    return inputs


def folders_below(image: Path, out: Path | None) -> list[Path]:
    """Subfolders in which pictures lie, at any depth; hidden ones and that of results left out."""
    from limner.io.images import SUFFIXES

    def has_picture(folder: Path) -> bool:
        for _, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            pictures = (name for name in names if not name.startswith("."))
            if any(Path(name).suffix.lower() in SUFFIXES for name in pictures):
                return True
        return False

    try:
        return [
            folder
            for folder in (sorted(image.iterdir()) if image.is_dir() else ())
            if folder.is_dir()
            and not folder.name.startswith(".")
            and not (out is not None and out.exists() and folder.samefile(out))
            and has_picture(folder)
        ]
    except OSError:
        return []  # what is wrong with the folder itself is said where it is read


def counted(folders: Sequence[Path]) -> str:
    """``1 subfolder (a)``, ``3 subfolders (a, b, …)``."""
    names = ", ".join(folder.name for folder in folders[:2]) + (", …" if len(folders) > 2 else "")
    return f"{len(folders)} subfolder{'s' if len(folders) > 1 else ''} ({names})"


def _beside(folder: Path, verb: str) -> Path:
    """The folder of results for a folder of images: its neighbour, also of ``.`` and ``..``."""
    with os_errors(folder, ImageError):
        whole = folder.resolve()
    if not whole.name:
        raise OutputError(f"{folder} has no folder beside it: say with --out where results go.")
    return (folder if folder.name not in ("", "..") else whole).with_name(f"{whole.name}-{verb}")


def unique_names(files: Sequence[Path]) -> list[str]:
    """A name for each file's results, different also where capitals count for nothing.

    A stem that only one file has stays; photo.jpg and photo.png become photo-jpg and photo-png, and
    a number follows where another file has that name already.
    """

    def folded(name: str) -> str:
        return unicodedata.normalize("NFC", name).casefold()

    stems = [folded(file.stem) for file in files]
    alone = [stems.count(stem) == 1 for stem in stems]
    taken = {stem for stem, single in zip(stems, alone, strict=True) if single}
    names = []
    for file, single in zip(files, alone, strict=True):
        name = base = file.stem if single else f"{file.stem}-{file.suffix[1:]}"
        number = 1
        while not single and folded(name) in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(folded(name))
        names.append(name)
    return names


def check_writable(folder: Path) -> None:
    """Try whether files can be made in a folder, or the folder itself; nothing is left there.

    Raises:
        OutputError: they can't.
    """
    with os_errors(folder, OutputError):
        nearest = folder.absolute()
        while not nearest.exists():
            nearest = nearest.parent
        if not nearest.is_dir():
            raise OutputError(f"{folder} can't be written: {nearest} is a file, not a folder.")
        with tempfile.TemporaryFile(dir=nearest):
            pass


def new_picture(out: Path, *, overwrite: bool, beside: Sequence[str] = ()) -> Path:
    """A picture that can be written, and so can those files ``beside`` it with other suffixes.

    Raises:
        OutputError: no picture's name, something is there already, or a folder can't be written.
    """
    if out.suffix.lower() not in PICTURES:
        raise OutputError(f"--out is a picture ({', '.join(PICTURES)}), got {out}.")
    for path in (out, *map(out.with_suffix, beside)):
        if path.exists() and not overwrite:
            raise OutputError(f"{path} is there already: --overwrite replaces it.")
    check_writable(out.parent)
    return out


def clear_remains(folders: Iterable[Path]) -> None:
    """Remove half-written temporary files that a killed run left."""
    for folder in folders:
        try:
            remains = [*folder.glob(TEMPORARIES), *folder.glob(f"*-masks/{TEMPORARIES}")]
        except (OSError, ValueError):
            continue  # what is wrong with the folder is said when something is written there
        for path in remains:
            try:
                if time.time() - path.stat().st_mtime > 60:  # younger: another run's, at work
                    path.unlink(missing_ok=True)
            except OSError:
                continue  # not ours to remove: results don't depend on it
