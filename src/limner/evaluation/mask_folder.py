"""A folder of mask pictures as somebody's answer: whose mask is which.

``dog.png`` or ``dog-anything.png`` is a mask for ``dog.jpg``; a class at the end of the name,
as in ``dog-segment-0-golden-retriever.png`` of ``limner segment``, makes it one of that class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limner.errors import InputError
from limner.evaluation.datasets import Labelled
from limner.export import file_safe
from limner.images import find_images


def files_of(
    folder: Path, images: Sequence[Labelled], names: Sequence[str]
) -> dict[int, list[tuple[Path, str | None]]]:
    """By image id: mask files, and the class that each name ends in.

    Raises:
        InputError: no such folder, an empty one, or a mask of no picture.
    """
    stems = {image.path.stem: image.id for image in images}
    endings = {file_safe(name): name for name in names}
    found: dict[int, list[tuple[Path, str | None]]] = {image.id: [] for image in images}
    strangers = []
    for file in find_images(folder, recursive=True):
        stem = _longest(file.stem, stems, at_end=False)
        if stem is None:
            strangers.append(file)
            continue
        ending = _longest(file.stem[len(stem) :], endings, at_end=True)
        found[stems[stem]].append((file, None if ending is None else endings[ending]))
    if strangers and not any(found.values()):
        raise InputError(
            f"{strangers[0]} is the mask of no labelled picture: its name must begin with one of "
            f"{', '.join(sorted(stems)[:5])}{' …' if len(stems) > 5 else ''}."
        )
    return found


def _longest(text: str, parts: dict[str, int] | dict[str, str], *, at_end: bool) -> str | None:
    """The longest part that the text is, or begins or ends with, a hyphen between them."""
    fits = [
        part
        for part in parts
        if text == part or (text.endswith(f"-{part}") if at_end else text.startswith(f"{part}-"))
    ]
    return max(fits, key=len, default=None)
