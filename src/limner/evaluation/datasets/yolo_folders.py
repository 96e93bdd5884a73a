"""Where a YOLO data set's pictures and labels are: what its data.yaml says, or the usual places.

``path``, ``val``, ``test`` and ``train`` are read as Ultralytics reads them: ``path`` counts from
the file's own folder, a split is a folder, several, or a text file that lists pictures, and the
labels lie where ``images`` in a picture's path is ``labels``. Nothing is downloaded, and no folder
that isn't here is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from limner.errors import InputError
from limner.evaluation.datasets.files import Pair, files_below, pairs
from limner.io.images import SUFFIXES
from limner.untrusted.regular_files import MB, read_text
from limner.untrusted.yaml_documents import compose_yaml

SPLITS = ("val", "valid", "test", "train")
"""Looked for in this order: what was held out is what one scores on."""
NOT_LABELS = ("classes", "README", "README.dataset", "README.roboflow", "train", "val", "test")
"""Text files that lie beside labels and are none."""
FILES = ("data.yaml", "data.yml")
MOST_BYTES = 16 * MB
"""Of data.yaml, or of a list of pictures."""


@dataclass(frozen=True)
class DataYaml:
    """What a data.yaml says."""

    file: Path
    names: Mapping[int, str]
    """By the number in label files; numbers may be missing."""
    root: str = ""
    splits: Mapping[str, tuple[str, ...]] | None = None
    keypoints: int = 0
    """Numbers that follow a box in label files of poses."""

    @property
    def folder(self) -> Path:
        return self.file.parent

    @classmethod
    def read(cls, file: Path) -> DataYaml:
        """The content of a data.yaml.

        Raises:
            InputError: no YAML, or no names; at which line.
        """
        root = compose_yaml(read_text(file, limit=MOST_BYTES, what="data.yaml"), str(file))
        if not isinstance(root, yaml.MappingNode):
            raise InputError(f"{file} is no mapping: expected names, and where the pictures are.")
        content = {key.value: node for key, node in root.value if isinstance(key, yaml.ScalarNode)}
        names = _names(content.get("names"), file)
        lists = {name: _texts(content[name], file, name) for name in SPLITS if name in content}
        place = _texts(content["path"], file, "path") if "path" in content else ()
        return cls(file, names, place[0] if place else "", lists, _keypoints(content, file))


def _names(node: yaml.Node | None, file: Path) -> dict[int, str]:
    """Class names as they are written: ``no`` is a name, not what YAML makes of it."""
    if isinstance(node, yaml.SequenceNode):
        return {k: _name(item, file) for k, item in enumerate(node.value)}
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{file} has no names: expected a list of class names, or one by number.")
    names: dict[int, str] = {}
    for key, value in node.value:
        number = key.value if isinstance(key, yaml.ScalarNode) else ""
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            raise _at(key, file, f"Names by number begin with whole numbers, got {number!r:.40}.")
        if int(number) in names:
            raise _at(key, file, f"Class {int(number)} has two names.")
        names[int(number)] = _name(value, file)
    return dict(sorted(names.items()))


def _name(node: yaml.Node, file: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise _at(node, file, "A class's name is a text.")
    return str(node.value).strip()


def _texts(node: yaml.Node, file: Path, key: str) -> tuple[str, ...]:
    """A folder, or a list of them; nothing where the value is empty."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not all(isinstance(each, yaml.ScalarNode) for each in nodes):
        raise _at(node, file, f"{key} is a folder, or a list of folders.")
    texts = tuple(each.value for each in nodes if each.tag != "tag:yaml.org,2002:null")
    if any("://" in text for text in texts):
        raise _at(node, file, f"{key} is no folder here: download the pictures first.")
    return texts


def _keypoints(content: Mapping[str, yaml.Node], file: Path) -> int:
    node = content.get("kpt_shape")
    if node is None:
        return 0
    sides = [each.value for each in node.value] if isinstance(node, yaml.SequenceNode) else []
    if len(sides) != 2 or not all(isinstance(s, str) and s.isdecimal() for s in sides):
        raise _at(node, file, "kpt_shape is [how many key points, 2 or 3].")
    return int(sides[0][:6]) * int(sides[1][:6])


def _at(node: yaml.Node, file: Path, sentence: str) -> InputError:
    return InputError(f"{file}:{node.start_mark.line + 1}: {sentence}")


# --- folders --------------------------------------------------------------------------------------


def labelled_files(data: DataYaml, images: Path | None) -> tuple[Path, list[Pair], list[str]]:
    """The folder of the labels, each picture with its label file, and notes.

    Args:
        images: where the pictures lie, if a person said so.

    Raises:
        InputError: no pictures or no labels, or some that don't belong together.
    """
    notes: list[str] = []
    if images is None:
        for name, entries in (data.splits or {}).items():
            folders = [place for entry in entries if (place := _here(data, entry)) is not None]
            listed = [pair for place in folders for pair in _split_pairs(place)]
            if any(pair.labels for pair in listed):
                return _labels_beside(folders[0]), _all_different(listed), notes
            if entries and not folders:
                notes.append(f"{data.file} says {name}: {', '.join(entries)}, which isn't here.")
    photos, labels = _usual_folders(data.folder)
    try:
        labelled = pairs(images or photos, labels, ".txt", NOT_LABELS)
    except InputError as error:
        raise InputError(" ".join([*notes, str(error)])) from error
    if notes:
        notes = [f"{' '.join(notes)} The labels in {labels} are read."]
    return labels, labelled, notes


def _here(data: DataYaml, entry: str) -> Path | None:
    """A split's folder or list that exists. Roboflow's ``../valid/images`` means ``valid/images``
    beside the file, as Ultralytics reads it."""
    tried = (entry, entry.removeprefix("../"))
    for root in (data.folder / data.root, data.folder):
        for text in tried:
            if (root / text).is_dir() or (text.endswith(".txt") and (root / text).is_file()):
                return root / text
    return None


def _labels_beside(photos: Path) -> Path:
    """``labels`` where the last ``images`` of a path stands, or beside the pictures."""
    parts = list(photos.parts)
    for k in range(len(parts) - 1, -1, -1):
        if parts[k] == "images":
            labels = Path(*parts[:k], "labels", *parts[k + 1 :])
            if labels.is_dir():
                return labels
            break
    beside = photos.parent / "labels"
    return beside if beside.is_dir() else photos


def _split_pairs(place: Path) -> list[Pair]:
    if place.is_file():
        return _listed(place)
    labels = _labels_beside(place)
    if not _has_labels(labels):
        return []
    return pairs(place, labels, ".txt", NOT_LABELS)


def _listed(file: Path) -> list[Pair]:
    """Pictures that a text file names, one a line, from its own folder or the one above."""
    listed = []
    lines = read_text(file, limit=MOST_BYTES, what="list of pictures").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        path = file.parent / line.strip()
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise InputError(f"{file}:{number}: There is no picture {path}.")
        labels = _labels_beside(path.parent) / f"{path.stem}.txt"
        listed.append(
            Pair(path, line.strip().removeprefix("./"), labels if labels.is_file() else None)
        )
    return listed


def _all_different(listed: Sequence[Pair]) -> list[Pair]:
    """Pictures of several folders, with their folder's name where two would be called the same."""
    names = [pair.name for pair in listed]
    if len(set(names)) == len(names):
        return list(listed)
    return [Pair(pair.picture, pair.picture.as_posix(), pair.labels) for pair in listed]


def _usual_folders(folder: Path) -> tuple[Path, Path]:
    """(pictures, labels): the first usual place that has labels; the folder itself at last."""
    if any((folder / "labels").glob("*.txt")):
        return folder / "images", folder / "labels"
    tried = [(f"images/{split}", f"labels/{split}") for split in SPLITS]
    tried += [(f"{split}/images", f"{split}/labels") for split in SPLITS]
    tried += [("images", "labels")]
    for photos, labels in tried:
        if _has_labels(folder / labels):
            return folder / photos, folder / labels
    return folder, folder


def _has_labels(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix == ".txt" for path in files_below(folder))
