"""Which labelled picture is meant: by a file's name as predictions and masks write it.

Predictions come from elsewhere: the same picture may be ``val/dog.jpg`` in the labels and
``dog.jpg``, ``dog`` or ``dog-0.png`` there. A name that could mean two pictures is refused, never
guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath, PurePosixPath

from limner.errors import InputError


class PictureNames:
    """The pictures of a data set by their names within it."""

    def __init__(self, names: Mapping[int, str]) -> None:
        """
        Args:
            names: ``file_name`` by image id.
        """
        self._paths = {key: _path(name) for key, name in names.items()}
        self._alone = Counter(path.stem for path in self._paths.values())
        beside = Counter((path.parent, path.stem) for path in self._paths.values())
        self._called = {
            key: _called(path, alone=beside[path.parent, path.stem] == 1)
            for key, path in self._paths.items()
        }

    def find(self, name: str) -> int | None:
        """The picture of a file name, with or without its folders and its ending.

        Raises:
            InputError: two pictures could be meant.
        """
        path = _path(name)
        for is_same in (
            lambda other: other == path,
            lambda other: _ends_like(path, other) or _ends_like(other, path),
            lambda other: _bare(other) == path,
            lambda other: other.stem == path.name,
            lambda other: _bare(other) == _bare(path),
            lambda other: other.stem == path.stem,
        ):
            meant = [key for key, other in self._paths.items() if is_same(other)]
            if meant:
                return self._only(meant, name)
        return None

    def of_mask(self, name: str) -> tuple[int, str] | None:
        """The picture of a mask, and what follows the picture's name in the mask's.

        ``sub/dog.png``, ``sub/dog-anything.png`` and limner's own
        ``sub/dog-segment-masks/dog-segment-0-dog.png`` are masks of ``sub/dog.jpg``, or of the one
        ``dog.jpg`` that there is. Beside a ``dog.png`` the mask says which: ``dog-jpg.png`` or
        ``dog.jpg.png``.

        Args:
            name: the mask's path within the folder of masks.

        Raises:
            InputError: two pictures could be meant.
        """
        path = _path(name)
        folder = path.parent
        if folder.name.endswith("-masks") and path.stem.startswith(folder.name[:-5]):
            folder = folder.parent
        fits = {key: fit for key in self._paths if (fit := self._fit(path.stem, key))}
        in_folder = {key: fit for key, fit in fits.items() if self._paths[key].parent == folder}
        below = {
            key: fit
            for key, fit in fits.items()
            if folder.parts and _ends_like(folder, self._paths[key].parent)
        }
        fits = in_folder or below or fits
        longest = max(map(len, fits.values()), default=0)
        meant = [key for key, fit in fits.items() if len(fit) == longest]
        if not meant:
            return None
        return self._only(meant, name), path.stem[longest:]

    def _fit(self, stem: str, key: int) -> str:
        """The longest of a picture's names that a mask's begins with; empty: none."""
        fits = [c for c in self._called[key] if stem == c or stem.startswith(f"{c}-")]
        return max(fits, key=len, default="")

    def _only(self, meant: list[int], name: str) -> int:
        if len(meant) > 1:
            both = " or ".join(str(self._paths[key]) for key in meant[:2])
            raise InputError(
                f"{name} could belong to {both}: give it the folder and the whole name of its "
                "picture."
            )
        return meant[0]

    def __str__(self) -> str:
        names = sorted(path.stem for path in self._paths.values())
        return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(PurePath(name.replace("\\", "/")).as_posix())


def _bare(path: PurePosixPath) -> PurePosixPath:
    """Without the ending."""
    return path.parent / path.stem


def _called(path: PurePosixPath, *, alone: bool) -> tuple[str, ...]:
    """What masks of a picture may be called; its bare stem as well, which beside another picture of
    that stem says too little, and is refused."""
    whole = (path.name, f"{path.stem}-{path.suffix[1:]}") if path.suffix else ()
    return (path.stem, *whole) if alone else (*whole, path.stem)


def _ends_like(path: PurePosixPath, end: PurePosixPath) -> bool:
    """Whether a path ends in all parts of another."""
    return bool(end.parts) and path.parts[-len(end.parts) :] == end.parts
