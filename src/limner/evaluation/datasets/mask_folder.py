"""A folder of mask pictures as somebody's answer: whose mask is which.

``dog.png`` or ``dog-anything.png`` is a mask for ``dog.jpg``; a class at the end of the name,
as in ``dog-segment-0-golden-retriever.png`` of ``limner segment``, makes it one of that class. In a
folder that limner wrote its overlays and maps lie beside the masks; they say so themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from limner.errors import InputError
from limner.evaluation.datasets.picture_names import PictureNames
from limner.io.coco import file_safe
from limner.io.images import find_images
from limner.io.save import read_record
from limner.verbs import VERBS, Picture

FINDING = tuple(verb.name for verb in VERBS.values() if verb.output is Picture.OVERLAY)
"""Verbs whose pictures show what was found."""


def files_of(
    folder: Path, pictures: PictureNames, names: Sequence[str]
) -> tuple[dict[int, list[tuple[Path, str | None]]], list[str]]:
    """By image id: mask files, and the class that each name ends in; and notes.

    Raises:
        InputError: no such folder, none of its masks is of a picture, or one could be of two
            pictures or of two classes.
    """
    endings: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        endings.setdefault(file_safe(name), []).append(name)
    files: dict[int, list[tuple[Path, str | None]]] = {}
    strangers = []
    for file in find_images(folder, recursive=True):
        if _is_no_mask(file):
            continue
        within = file.relative_to(folder).as_posix()
        whose = pictures.of_mask(within)
        if whose is None:
            strangers.append(within)
            continue
        image_id, rest = whose
        files.setdefault(image_id, []).append((file, _class_of(rest, endings, within)))
    if strangers and not files:
        raise InputError(
            f"{strangers[0]} is the mask of no labelled picture: its name must begin with one of "
            f"{pictures}."
        )
    if not files:
        raise InputError(f"{folder} holds no masks: the pictures in it show what was found.")
    if not strangers:
        return files, []
    listed = ", ".join(strangers[:5]) + (" …" if len(strangers) > 5 else "")
    return files, [f"No labelled picture has the name of {len(strangers)} masks: {listed}"]


def _is_no_mask(file: Path) -> bool:
    """Whether it is a picture or a map in which limner shows what it found."""
    record = read_record(file)
    if record is None or record.get("verb") not in FINDING or "stem" not in record:
        return False
    return not re.match(rf"{re.escape(str(record['stem']))}-\d+-", file.stem)


def _class_of(rest: str, endings: dict[str, list[str]], file: str) -> str | None:
    """The class whose name is the longest that the rest of a mask's name ends in."""
    fits = [ending for ending in endings if rest.endswith(f"-{ending}")]
    if not fits:
        return None
    classes = endings[max(fits, key=len)]
    if len(classes) > 1:
        raise InputError(
            f"{file} could be a mask of {classes[0]!r} or of {classes[1]!r}, which file names "
            "write alike: score the JSON file of the masks instead."
        )
    return classes[0]
