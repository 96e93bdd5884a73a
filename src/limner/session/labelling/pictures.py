"""Which pictures are labelled, by what, under which names: all of it checked before any work."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from limner.errors import ImageError, InputError, PromptError
from limner.evaluation import datasets
from limner.evaluation.datasets import Dataset
from limner.evaluation.datasets.coco_json import file_name, holds_annotations
from limner.io.images import SUFFIXES, find_images, size_and_digest
from limner.prompts import VisualPrompt
from limner.session.labelling.prompt_table import PictureNames, PromptTable
from limner.session.labelling.prompt_values import PromptValues
from limner.session.labelling.read_prompts import KINDS, class_numbers, read_prompts, table_of

MOST_NAMES = 3
"""Pictures that are named in a sentence about many."""


@dataclass(frozen=True)
class Picture:
    """One picture of the dataset to be."""

    name: str
    """Within the dataset's folder of pictures, with slashes."""
    path: Path
    digest: str
    """sha256 of the file."""
    id: int
    size_wh: tuple[int, int]
    prompts: tuple[VisualPrompt, ...]
    """None: it shows none of the classes, and no model is asked."""


@dataclass(frozen=True)
class Work:
    """What is to be labelled."""

    pictures: tuple[Picture, ...]
    table: PromptTable
    failed: Mapping[str, str]
    """Picture -> why it can't be looked at."""
    notes: tuple[str, ...]


def gather(
    data: Path, prompts: str | Path | PromptValues | None, out: Path, *, recursive: bool
) -> Work:
    """The pictures of a folder or dataset with their prompts.

    Args:
        data: a folder of pictures, or labelled pictures, whose boxes are the prompts where none
            are given.
        out: the folder of results, whose pictures are none of these.

    Raises:
        InputError: nothing to be asked, a picture that isn't there, a prompt outside its picture, a
            class that the dataset lacks; which file and row.
    """
    if isinstance(prompts, str | Path) and Path(prompts).resolve() == data.resolve():
        prompts = None  # its own boxes
    dataset = _dataset(data, prompts)
    if prompts is None and dataset is None:
        raise PromptError(
            f"{data} holds no labels: say with --prompts what is there. It takes {KINDS}."
        )
    if dataset is not None:
        paths = _paths_of(dataset)
        table = table_of(dataset) if prompts is None else _checked(read_prompts(prompts), dataset)
    else:
        paths = _paths_in(data, out, recursive=recursive)
        table = read_prompts(prompts or {}, data)
    chosen, notes = _chosen(table, paths, data)
    sizes, digests, failed = _looked_at(chosen)
    table.check_units(sizes.values())
    for name, size_wh in sizes.items():
        table.check_size(name, size_wh)
    taken: dict[str, str] = {}
    pictures = []
    for number, (name, path) in enumerate(chosen.items(), start=1):
        if name in failed:
            continue
        key = table.names.find(name)
        entries = table.everywhere or (table.of_picture[key] if key is not None else ())
        own_prompts = tuple(entry.within(sizes[name]) for entry in entries)
        picture_id = table.ids.get(key or "", number) if table.ids else number
        inside = _inside(name, taken)
        pictures.append(Picture(inside, path, digests[name], picture_id, sizes[name], own_prompts))
    if not pictures:
        raise ImageError(next(iter(failed.values())))
    return Work(tuple(pictures), table, failed, (*table.notes, *notes))


def _looked_at(
    paths: Mapping[str, Path],
) -> tuple[dict[str, tuple[int, int]], dict[str, str], dict[str, str]]:
    """Sizes and digests of the pictures, and why some can't be read.

    Raises:
        ImageError: one isn't there.
    """
    sizes: dict[str, tuple[int, int]] = {}
    digests: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, path in paths.items():
        try:
            sizes[name], digests[name] = size_and_digest(path)
        except ImageError as error:
            if not path.exists():
                raise
            failed[name] = str(error)
    return sizes, digests, failed


def _dataset(data: Path, prompts: object) -> Dataset | None:
    """The labels of what is to be labelled; None: a folder of pictures."""
    if not data.exists():
        raise ImageError(f"There is no {data}: expected a folder of pictures, or a dataset.")
    if data.is_file():
        if data.suffix.lower() in SUFFIXES:
            raise ImageError(
                f"{data} is one picture: limner segment {data} labels it; label takes a folder."
            )
        return datasets.read(data, "bbox")
    prompts_file = Path(prompts).resolve() if isinstance(prompts, str | Path) else None
    try:
        form = datasets.format_of(data)
    except InputError:
        return None
    if form == "coco" and prompts is not None:
        listed = [path for path in sorted(data.glob("*.json")) if path.resolve() != prompts_file]
        listed = [path for path in listed if holds_annotations(path)]
        if len(listed) != 1:  # other files beside pictures
            return None
        return datasets.read(listed[0], "bbox")
    return datasets.read(data, "bbox")


def _checked(table: PromptTable, dataset: Dataset) -> PromptTable:
    """The table with the dataset's numbers, where it has none of its own.

    Raises:
        InputError: a class that the dataset lacks.
    """
    dataset.only(list(table.classes))
    return table if table.has_numbers else replace(table, classes=class_numbers(dataset))


def _paths_of(dataset: Dataset) -> dict[str, Path]:
    names = [file_name(row) for row in dataset.truth["images"]]
    return {name: image.path for name, image in zip(names, dataset.images, strict=True)}


def _paths_in(folder: Path, out: Path, *, recursive: bool) -> dict[str, Path]:
    results = out.resolve()
    files = [
        file
        for file in find_images(folder, recursive=recursive)
        if not file.resolve().is_relative_to(results)
    ]
    if not files:
        raise ImageError(f"There is no image in {folder} but the results in {out}.")
    return {file.relative_to(folder).as_posix(): file for file in files}


def _chosen(
    table: PromptTable, paths: Mapping[str, Path], data: Path
) -> tuple[dict[str, Path], list[str]]:
    """The pictures that the prompts are for, in their order in the folder, and a note on the rest.

    Raises:
        InputError: prompts for a picture that isn't there.
    """
    if table.everywhere:
        return dict(paths), []
    meant: set[str] = set()
    others: dict[str, Path] = {}
    pictures = PictureNames(paths, table.source)
    for name, entries in table.of_picture.items():
        picture = pictures.find(name)
        if picture is not None:
            if picture in meant:
                raise InputError(f"{table.source} names {picture} in two ways: write it one way.")
            meant.add(picture)
        elif name in table.paths and table.paths[name].is_file():
            others[name] = table.paths[name]
        else:
            where = entries[0].where if entries else table.source
            raise InputError(f"{where}: There is no picture {name} in {data}.")
    chosen = {name: path for name, path in paths.items() if name in meant} | others
    left = [name for name in paths if name not in meant]
    if not left:
        return chosen, []
    names = ", ".join(left[:MOST_NAMES]) + (", …" if len(left) > MOST_NAMES else "")
    plural = "pictures" if len(left) > 1 else "picture"
    return chosen, [f"{table.source} says nothing of {len(left)} {plural}, left out: {names}."]


def _inside(name: str, taken: dict[str, str]) -> str:
    """A picture's name within the dataset: its own, but never one that leads out of the folder.

    Args:
        taken: those given before, to which it is added.

    Raises:
        InputError: two pictures would have one name.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [path.name] if path.is_absolute() or ".." in path.parts else path.parts
    inside = PurePosixPath(*parts).as_posix()
    folded = unicodedata.normalize("NFC", inside).casefold()
    if (other := taken.setdefault(folded, name)) != name:
        raise InputError(
            f"{name} and {other} would both be {inside} in the dataset: give pictures names of "
            "their own."
        )
    return inside


def check_stems(names: Sequence[str], kind: str) -> None:
    """Refuse pictures that differ in their endings alone, whose label files would be one.

    Args:
        kind: of the format, for the sentence.
    """
    taken: dict[str, str] = {}
    for name in names:
        stem = PurePosixPath(name).with_suffix("").as_posix().casefold()
        if (other := taken.setdefault(stem, name)) != name:
            raise InputError(
                f"{kind} has one label file for {other} and {name}: give pictures names of their "
                "own, or choose --format coco."
            )
