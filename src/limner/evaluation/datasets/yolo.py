"""YOLO's text files: one object a line, its class's number and a box or a polygon in parts of 1.

==================== =============================================================================
5 numbers            class, centre x, centre y, width, height
6                    the same and a score, as Ultralytics writes results
7 or more, odd       class and a polygon's corners x, y, x, y, …
8 or more, even      the same and a score
5 + ``kpt_shape``    a pose: its box, and key points, which aren't read
==================== =============================================================================

A polygon's corners lie along the pixels' edges, as COCO's do, and are filled by pycocotools. The
labels of a picture that lies on its side by EXIF are for the upright picture, as in all of limner.
"""

from __future__ import annotations

import math
from pathlib import Path

from limner.errors import InputError
from limner.evaluation.datasets.bounds import XYXY
from limner.evaluation.datasets.coco_json import dataset_of
from limner.evaluation.datasets.drawn import Label, LabelledPhoto, coco_of
from limner.evaluation.datasets.values import Dataset
from limner.evaluation.datasets.yolo_folders import FILES, DataYaml, labelled_files
from limner.evaluation.metrics.average_precision import IouType
from limner.io.images import upright_size
from limner.untrusted.regular_files import MB, read_text

MOST_BYTES = 16 * MB
"""Of one picture's labels."""


def read_yolo(source: Path, images: Path | None, kind: IouType) -> Dataset:
    """A folder with ``data.yaml``, or that file.

    The split that is read is the first of val, test and train that the file names and that is here;
    else ``images`` and ``labels``, with the splits below or above them. Category ids are the
    classes' numbers plus 1, as in Ultralytics' own results.

    Raises:
        InputError: no such folder, or a label that can't be meant; which file and line.
    """
    file = source
    if source.is_dir():
        there = [source / name for name in FILES if (source / name).exists()]
        if not there:
            raise InputError(f"{source} has no data.yaml, which says what YOLO's numbers mean.")
        file = there[0]
    data = DataYaml.read(file)
    labels, files, notes = labelled_files(data, images)
    photos = []
    for pair in files:
        size_wh = upright_size(pair.picture)
        drawn = [] if pair.labels is None else _labels(pair.labels, data, size_wh)
        photos.append(LabelledPhoto(pair.picture, pair.name, size_wh, tuple(drawn)))
    categories = {number + 1: name for number, name in data.names.items()}
    content, left_out = coco_of(photos, categories, kind, source)
    paths = {photo.name: photo.path for photo in photos}
    return dataset_of(content, labels, paths.__getitem__, kind, [*notes, *left_out])


def _labels(file: Path, data: DataYaml, size_wh: tuple[int, int]) -> list[Label]:
    lines = read_text(file, limit=MOST_BYTES, what="label file").splitlines()
    return [
        _label(line.split(), f"{file}:{number}", data, size_wh)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _label(words: list[str], where: str, data: DataYaml, size_wh: tuple[int, int]) -> Label:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)) or len(numbers) < 5:
        raise InputError(
            f"{where}: A YOLO label is a class's number and four numbers of a box, or the corners "
            f"of a polygon; got {' '.join(words)!r:.60}."
        )
    number = int(numbers[0])
    if number != numbers[0] or number not in data.names:
        known = ", ".join(f"{k} {name}" for k, name in list(data.names.items())[:8])
        raise InputError(f"{where}: {data.file} names no class {words[0]!r:.20}: it has {known}.")
    values = numbers[1:]
    width, height = size_wh
    if len(values) in (4, 5) or len(values) == 4 + data.keypoints:
        box = _box(values[:4], where, size_wh)
        return Label(number + 1, where, box)
    corners = values[: len(values) // 2 * 2]
    sides = [width, height] * (len(corners) // 2)
    polygon = tuple(value * side for value, side in zip(corners, sides, strict=True))
    return Label(number + 1, where, polygons=(polygon,))


def _box(values: list[float], where: str, size_wh: tuple[int, int]) -> XYXY:
    x, y, w, h = (value * size_wh[k % 2] for k, value in enumerate(values))
    if w < 0 or h < 0:
        raise InputError(f"{where}: A box has no negative width or height.")
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2
