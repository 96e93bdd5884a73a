"""Which kind of file prompts lie in, and their table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limner.errors import FileError, InputError, PromptError
from limner.evaluation import datasets
from limner.evaluation.datasets import Dataset, TrueObject
from limner.evaluation.datasets.coco_json import file_name
from limner.prompts import VisualPrompt
from limner.session.labelling.prompt_csv import read_csv
from limner.session.labelling.prompt_phrases import read_phrases
from limner.session.labelling.prompt_table import Entry, PromptTable
from limner.session.labelling.prompt_values import PromptValues, value_table
from limner.untrusted.json_toml import read_json
from limner.untrusted.regular_files import MB
from limner.untrusted.yaml_documents import read_yaml

MOST_BYTES = 2_000 * MB
KINDS = (
    "labels of COCO, YOLO or Pascal VOC (a folder, a .json, a data.yaml), a .csv with file, label, "
    "x0, y0, x1, y1, or a .yaml with the phrases of each class"
)


def read_prompts(prompts: str | Path | PromptValues, images: Path | None = None) -> PromptTable:
    """Prompts for many pictures.

    Args:
        prompts: a file or folder, or values.
        images: the folder of the pictures, where labels don't say it.

    Raises:
        PromptError, InputError: nothing there that can be meant; which file and row.
    """
    if isinstance(prompts, Mapping):
        return value_table(prompts)
    source = Path(prompts)
    try:
        is_folder, is_there = source.is_dir(), source.exists()
    except (OSError, ValueError) as error:
        raise PromptError(f"{source} can't be read: {error}.") from None
    if not is_there:
        raise PromptError(f"There is no {source}: prompts are {KINDS}.")
    if is_folder:
        return table_of(datasets.read(source, "bbox", images=images))
    suffix = source.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return read_csv(source)
    if suffix == ".json":
        return _read_json(source, images)
    if suffix in (".yaml", ".yml"):
        return _read_yaml(source, images)
    raise PromptError(f"{source} can't be told: prompts are {KINDS}.")


def _read_json(source: Path, images: Path | None) -> PromptTable:
    if source.stat().st_size and _is_coco(read_json(source, limit=MOST_BYTES)):
        return table_of(datasets.read(source, "bbox", images=images, name="coco"))
    return read_phrases(source)


def _is_coco(content: Any) -> bool:
    return isinstance(content, Mapping) and bool({"images", "annotations"} & set(content))


def _read_yaml(source: Path, images: Path | None) -> PromptTable:
    try:
        content = read_yaml(source, what="file of prompts")
    except FileError:
        return read_phrases(source)  # which reads texts as they are written, or says what is wrong
    names = content.get("names") if isinstance(content, Mapping) else None
    if isinstance(names, list | dict):
        return table_of(datasets.read(source, "bbox", images=images, name="yolo"))
    return read_phrases(source)


def table_of(data: Dataset) -> PromptTable:
    """The boxes of labelled pictures as prompts; a region of many things (``iscrowd``) is none."""
    names = [file_name(row) for row in data.truth["images"]]
    crowds = sum(thing.crowd for image in data.images for thing in image.objects)
    notes = list(data.notes)
    if crowds:
        regions = "1 region" if crowds == 1 else f"{crowds} regions"
        notes.append(f"{data.source}: Left out: {regions} of many things (iscrowd).")
    of_picture = {
        name: tuple(
            _boxed(thing, f"{data.source}, {name}") for thing in image.objects if not thing.crowd
        )
        for name, image in zip(names, data.images, strict=True)
    }
    if not any(of_picture.values()):
        raise PromptError(f"{data.source} holds no box to be outlined.")
    return PromptTable(
        str(data.source),
        class_numbers(data),
        of_picture,
        has_numbers=True,
        paths={name: image.path for name, image in zip(names, data.images, strict=True)},
        sizes={
            n: image.size_wh for n, image in zip(names, data.images, strict=True) if image.size_wh
        },
        ids={name: image.id for name, image in zip(names, data.images, strict=True)},
        notes=tuple(notes),
    )


def _boxed(thing: TrueObject, where: str) -> Entry:
    try:
        return Entry(VisualPrompt(box=thing.xyxy, label=thing.name), where)
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from None


def class_numbers(data: Dataset) -> dict[str, int]:
    """The table of a dataset's classes; of two with one name that of which there is an object.

    Raises:
        InputError: there are objects of both.
    """
    annotated = {row["category_id"] for row in data.truth["annotations"]}
    classes: dict[str, int] = {}
    for number, name in zip(data.category_ids, data.names, strict=True):
        other = classes.get(name)
        if other in annotated and number in annotated:
            raise InputError(
                f"{data.source} has two classes called {name!r}, {other} and {number}."
            )
        if other is None or number in annotated:
            classes[name] = number
    return classes
