"""Prompts for many pictures, read from a file: each picture's own, or the same for all.

==================================  ================================================================
labels of COCO, YOLO or Pascal VOC  their boxes, as ``evaluation.datasets`` reads them
``.csv``, ``.tsv``                  columns ``file``, ``label``, and ``x0, y0, x1, y1`` or ``x, y``
``.yaml``, ``.json``                the phrases of each class, for all pictures
==================================  ================================================================

Every prompt carries its class as its label. The classes' numbers are the file's own, where it has
some; else 1, 2, 3 … in the order in which it names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import eq
from pathlib import Path, PurePosixPath

from limner.errors import InputError, PromptError
from limner.evaluation.datasets.bounds import check_inside, check_pixels, clipped
from limner.ops.detections import folded
from limner.prompts import Box, VisualPrompt
from limner.prompts.syntax import BoxDraft, Draft, Length, PointDraft


@dataclass(frozen=True)
class Entry:
    """One prompt, and where it stands, for sentences: ``boxes.csv:3``."""

    prompt: VisualPrompt
    where: str

    def within(self, size_wh: tuple[int, int]) -> VisualPrompt:
        """The prompt for a picture of this size; what rounding put outside it is cut off.

        Raises:
            InputError: it lies outside the picture.
        """
        prompt = self.prompt
        if prompt.box is not None:
            check_inside(prompt.box.xyxy, size_wh, self.where)
            x0, y0, x1, y1 = clipped(prompt.box.xyxy, size_wh)
            if x0 >= x1 or y0 >= y1:
                raise PromptError(f"{self.where}: The box encloses no pixel of its picture.")
            prompt = replace(prompt, box=Box(x0, y0, x1, y1))
        try:
            prompt.check_within(size_wh)
        except PromptError as error:
            raise PromptError(f"{self.where}: {error}") from None
        return prompt


@dataclass(frozen=True)
class PromptTable:
    """What a file asks of which picture."""

    source: str
    """For sentences."""
    classes: Mapping[str, int]
    """Name -> number, in the file's order."""
    of_picture: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    """By the picture's name as the file writes it."""
    everywhere: tuple[Entry, ...] = ()
    """What is asked of all pictures alike; then ``of_picture`` is empty."""
    has_numbers: bool = False
    """Whether the numbers are the file's own."""
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Where the file's pictures are, if it says so."""
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Width and height of the pictures that the prompts are for, where the file says so."""
    ids: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the pictures, likewise."""
    notes: tuple[str, ...] = ()

    @property
    def by_words(self) -> bool:
        """Whether a detector is asked."""
        entries = (*self.everywhere, *(e for each in self.of_picture.values() for e in each))
        return any(entry.prompt.says_what for entry in entries)

    @property
    def phrases(self) -> list[str]:
        """What all pictures are searched for."""
        return [e.prompt.text.phrase for e in self.everywhere if e.prompt.text]

    def entries_of(self, name: str) -> tuple[Entry, ...]:
        """What is asked of a picture, by its path; empty: nothing.

        Raises:
            InputError: the file has two pictures that could be meant.
        """
        if self.everywhere:
            return self.everywhere
        key = self.names.find(name)
        return self.of_picture[key] if key is not None else ()

    @cached_property
    def names(self) -> PictureNames:
        """The pictures of ``of_picture``."""
        return PictureNames(self.of_picture, self.source)

    def prompts_for(self, path: Path, size_wh: tuple[int, int]) -> list[VisualPrompt]:
        """The same for a picture of this size; its folders count, those it is looked from too.

        Raises:
            PromptError: nothing is asked of it.
            InputError: a prompt lies outside it, or is for one of another size.
        """
        entries = self.entries_of(path.absolute().as_posix())
        if not entries:
            raise PromptError(f"{path}: {self.source} holds no prompt for it.")
        self.check_size(path.absolute().as_posix(), size_wh)
        return [entry.within(size_wh) for entry in entries]

    def check_size(self, name: str, size_wh: tuple[int, int]) -> None:
        """Refuse a picture of another size than its prompts are for."""
        key = self.names.find(name) if self.sizes else None
        if key is not None and self.sizes.get(key, size_wh) != size_wh:
            raise InputError(
                f"{name} is {size_wh[0]}x{size_wh[1]} pixels and {self.source} is for one of "
                f"{self.sizes[key][0]}x{self.sizes[key][1]}: they belong to different pictures."
            )

    def check_units(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Refuse boxes that are all meant in parts of 1."""
        entries = (entry for each in self.of_picture.values() for entry in each)
        boxes = [entry.prompt.box.xyxy for entry in entries if entry.prompt.box]
        check_pixels(boxes, sizes, self.source)

    def stand_ins(self) -> tuple[Draft, ...]:
        """Prompts of the kinds that the busiest picture has, which fit a picture of any size."""
        entries = self.everywhere or max(self.of_picture.values(), key=len, default=())
        return tuple(_stand_in(entry.prompt) for entry in entries)


def _stand_in(prompt: VisualPrompt) -> Draft:
    whole, middle = Length(100, percent=True), Length(50, percent=True)
    return Draft(
        text=prompt.text,
        points=(PointDraft(middle, middle),) if prompt.points else (),
        box=BoxDraft((Length(0), Length(0), whole, whole)) if prompt.box else None,
        label=prompt.label,
    )


class PictureNames:
    """Pictures by their names, to be found by the same path or one that ends in all of the other.

    Args:
        source: whose names, for sentences.
    """

    def __init__(self, names: Iterable[str], source: str) -> None:
        self._source = source
        self._by_end: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for name in names:
            parts = _parts(name)
            self._by_end.setdefault(parts[-1] if parts else "", []).append((name, parts))

    def find(self, name: str) -> str | None:
        """The picture that a name means.

        Raises:
            InputError: two could be meant.
        """
        parts = _parts(name)
        others = self._by_end.get(parts[-1] if parts else "", ())
        meant = [other for other, its in others if its == parts]
        meant = meant or [o for o, its in others if all(map(eq, parts[::-1], its[::-1]))]
        if len(meant) > 1:
            raise InputError(
                f"{self._source}: {name} could be {meant[0]} or {meant[1]}: write the folder with "
                "it."
            )
        return meant[0] if meant else None


def _parts(name: str) -> tuple[str, ...]:
    """A name's parts, without those that lead upward."""
    path = PurePosixPath(name.replace("\\", "/"))
    return tuple(part for part in path.parts if part != "..")


def numbered(names: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Classes numbered from 1, in their order.

    Args:
        names: each with where it stands.

    Raises:
        PromptError: two that differ in capitals or spaces alone, which are one class misspelt.
    """
    classes: dict[str, int] = {}
    known: dict[str, str] = {}
    for name, where in names:
        other = known.setdefault(folded(name), name)
        if other != name:
            raise PromptError(
                f"{where}: The class {name!r} is written {other!r} before: write it one way."
            )
        classes.setdefault(name, len(classes) + 1)
    return classes
