"""What was answered of each picture, a line each, so that a killed run goes on where it stopped.

A line is whole on the disk before the next picture is begun. What a kill cuts off is the last line:
it is known by its missing end, and taken away before the next is written.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from limner.errors import FileError, OutputError, PromptError
from limner.home import HIDDEN
from limner.ops.masks import MaskCrop
from limner.untrusted.json_toml import parse_json
from limner.untrusted.regular_files import MB, read_bytes

ANSWERS = f"{HIDDEN}label.jsonl"
LOCK = f"{HIDDEN}label.lock"
MOST_BYTES = 20_000 * MB
ROUNDING = 1e-3
"""Pixels."""


@dataclass(frozen=True)
class LabelledObject:
    """One object that was outlined; an outline that came out empty is one without pixels."""

    name: str
    """Its class."""
    prompt: int
    """Which of the picture's prompts it answers."""
    sure: float
    """0..1: the lesser of what the detector and the segmenter think of it."""
    row: Mapping[str, Any]
    """``bbox``, ``area``, ``segmentation`` (run lengths) and ``score``, as COCO's annotations."""

    @property
    def is_empty(self) -> bool:
        return not self.row["area"]

    def is_sound(self, size_wh: tuple[int, int], classes: Collection[str]) -> bool:
        """Whether it can be an object of a picture of this size: a file may have been spoilt."""
        row, (width, height) = self.row, size_wh
        try:
            x, y, w, h = (float(side) for side in row["bbox"])
            is_box = min(x, y, w, h) >= 0
            within = is_box and x + w <= width + ROUNDING and y + h <= height + ROUNDING
            is_whole = type(self.prompt) is int and self.prompt >= 0 and row["iscrowd"] == 0
            if not (within and is_whole and 0 <= self.sure <= 1 and self.name in classes):
                return False
            if self.is_empty:
                return True
            same_size = list(row["segmentation"]["size"]) == [height, width]
            return same_size and self.crop.area == row["area"] and 0 <= row.get("score", 1) <= 1
        except (KeyError, TypeError, ValueError, OverflowError, PromptError):
            return False

    @property
    def crop(self) -> MaskCrop:
        """Its mask, as the window that holds it."""
        return MaskCrop.from_rle(self.row["segmentation"])


@dataclass(frozen=True)
class PictureAnswer:
    """What was answered of one picture."""

    name: str
    key: str
    """Digest of the picture, its prompts, the settings and the models."""
    size_wh: tuple[int, int]
    objects: tuple[LabelledObject, ...]
    models: Mapping[str, str]
    """Task -> who answered."""

    def is_sound(self, size_wh: tuple[int, int], classes: Collection[str]) -> bool:
        """Whether it can be the answer of a picture of this size."""
        same_size = self.size_wh == size_wh
        return same_size and all(thing.is_sound(size_wh, classes) for thing in self.objects)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PictureAnswer:
        """Inverse of ``asdict``."""
        width, height = data["size_wh"]
        objects = tuple(LabelledObject(**each) for each in data["objects"])
        models = {str(task): str(model) for task, model in dict(data["models"]).items()}
        return cls(data["name"], data["key"], (width, height), objects, models)


def leads_inside(name: str) -> bool:
    """Whether a picture's name stays within its folder: what it names may be removed."""
    path = PurePosixPath(name.replace("\\", "/"))
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


class Answers:
    """A file of answers: its first line says what all of them were asked with.

    Args:
        settings: JSON values; other ones than those that stand there begin anew.
        anew: what stands there doesn't count.

    ``form_before`` is the format of the dataset that lay here, ``names_before`` are its pictures.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, anew: bool) -> None:
        self._path = path = folder / ANSWERS
        lines, length = _whole_lines(path)
        self.by_name: dict[str, PictureAnswer] = {}
        header, *rows = [_parsed(line) for line in lines] or [None]
        is_same = header == settings and not anew
        self.form_before = str(header["format"]) if header and "format" in header else ""
        named = {str(row["name"]) for row in rows if row and "name" in row}
        self.names_before = {name for name in named if leads_inside(name)}
        self._file: IO[bytes] = path.open("ab")
        self._file.truncate(length if is_same else 0)
        if is_same:
            for row in rows:
                if row is not None:
                    self._add(row)
        else:
            self._append(settings)

    def write(self, answer: PictureAnswer) -> None:
        self._append(asdict(answer))
        self.by_name[answer.name] = answer

    def drop_spoilt(self, name: str, size_wh: tuple[int, int], classes: Collection[str]) -> None:
        """Forget a picture's answer, if it can't be one: it is asked again."""
        known = self.by_name.get(name)
        if known is not None and not known.is_sound(size_wh, classes):
            del self.by_name[name]

    def close(self) -> None:
        self._file.close()

    def _add(self, data: Mapping[str, Any]) -> None:
        """A line that is none of ours is passed over, and its picture is done again."""
        try:
            answer = PictureAnswer.from_dict(data)
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        self.by_name[answer.name] = answer

    def _append(self, value: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value, allow_nan=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error


@contextmanager
def answers_in(folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Iterator[Answers]:
    """The answers in a folder of results, which nobody else writes to meanwhile.

    Raises:
        OutputError: the folder can't be written, holds something else or what was asked otherwise,
            or another process works on it.
    """
    from filelock import FileLock, Timeout

    settings = json.loads(json.dumps(settings))  # as it is read back
    if not overwrite:
        _check_ours(folder, settings)
    lock = FileLock(folder / LOCK, timeout=0)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"Another limner label is at work in {folder}: wait for it, or choose another --out."
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        answers = _opened(folder, settings, anew=overwrite)
        try:
            yield answers
        finally:
            answers.close()
            if is_new and not answers.by_name:  # the first picture was refused as all would be
                with contextlib.suppress(OSError):
                    (folder / ANSWERS).unlink()
                    (folder / LOCK).unlink()
                    folder.rmdir()
    finally:
        lock.release()


def _opened(folder: Path, settings: Mapping[str, Any], *, anew: bool) -> Answers:
    try:
        return Answers(folder, settings, anew=anew)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path} can't be written: {error.strerror or error}.")


def _check_ours(folder: Path, settings: Mapping[str, Any]) -> None:
    try:
        others = folder.exists() and any(
            not path.name.startswith(HIDDEN) for path in folder.iterdir()
        )
        begun = (folder / ANSWERS).exists()
    except OSError as error:
        raise _unwritable(folder, error) from error
    if others and not begun:
        raise OutputError(
            f"{folder} holds other things: name a new folder with --out, or --overwrite to write "
            "among them."
        )
    if not begun:
        return
    lines, _ = _whole_lines(folder / ANSWERS)
    if len(lines) > 1 and _parsed(lines[0]) != settings:
        raise OutputError(
            f"{folder} holds labels that were made otherwise (format, models or settings): "
            "--overwrite begins anew, or choose another --out."
        )


def _whole_lines(path: Path) -> tuple[Sequence[bytes], int]:
    """The lines that have an end, and how many bytes they are."""
    try:
        content = read_bytes(path, limit=MOST_BYTES) if path.exists() else b""
    except FileError as error:
        raise OutputError(str(error)) from None
    whole = content[: content.rfind(b"\n") + 1]
    return whole.split(b"\n")[:-1], len(whole)


def _parsed(line: bytes) -> Any:
    """A line's mapping; None where it is none."""
    try:
        value = parse_json(line, ANSWERS, ours=True)
    except FileError:
        return None
    return value if isinstance(value, dict) else None
