"""Labelled pictures as values, whatever format they were written in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from limner.errors import InputError
from limner.ops import masks
from limner.ops.detections import folded
from limner.rle import BoolMask


@dataclass(frozen=True)
class TrueObject:
    """One labelled thing."""

    name: str
    """Its class."""
    xyxy: tuple[float, float, float, float]
    """Pixels; right and bottom are far edges."""
    rle: Mapping[str, Any] | None = None
    """COCO's compressed run lengths, of the image's size; None where only a box was drawn."""
    crowd: bool = False
    """A region of many things: what answers it is neither right nor wrong."""

    @property
    def mask(self) -> BoolMask:
        """(H, W) bool.

        Raises:
            InputError: only a box was drawn.
        """
        if self.rle is None:
            raise InputError(
                f"A {self.name} is labelled by a box only: masks are scored against masks. "
                "Boxes are scored by limner score detect."
            )
        return masks.from_rle(self.rle)


@dataclass(frozen=True)
class LabelledImage:
    """One picture and everything in it that was labelled."""

    id: int
    path: Path
    size_wh: tuple[int, int] | None
    """As the labels say; None where they don't."""
    objects: tuple[TrueObject, ...]

    def check_size(self, size_wh: tuple[int, int]) -> None:
        """Refuse a picture that is not of the size that its labels were drawn for."""
        if self.size_wh not in (None, size_wh):
            raise InputError(
                f"{self.path} is {size_wh[0]}x{size_wh[1]} pixels and its labels are for "
                f"{self.size_wh[0]}x{self.size_wh[1]}: they belong to another picture."
            )


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures, and the same as COCO JSON."""

    source: Path
    names: tuple[str, ...]
    """All classes, in the order of ``category_ids``."""
    category_ids: tuple[int, ...]
    images: tuple[LabelledImage, ...]
    truth: Mapping[str, Any]
    """What ``average_precision.evaluate`` takes."""
    notes: tuple[str, ...] = ()
    """What was left out and from where it was read, in sentences for a person."""

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def present(self) -> tuple[str, ...]:
        """Classes of which there is an object."""
        labelled = {thing.name for image in self.images for thing in image.objects}
        return tuple(name for name in self.names if name in labelled)

    def askable(self) -> Dataset:
        """The same with the classes that a model can be asked for by name, in the same order.

        A class that nobody labelled in these pictures is not one of them: what is found for it can
        be neither right nor wrong, and it may be another class's name in other letters, as the
        parent class that Roboflow adds.

        Raises:
            InputError: two labelled classes whose names differ in capitals or not at all.
        """
        known: dict[str, str] = {}
        annotated = {row["category_id"] for row in self.truth["annotations"]}
        for key, name in zip(self.category_ids, self.names, strict=True):
            if key not in annotated:
                continue
            if (other := known.setdefault(folded(name), name)) is not name:
                raise InputError(
                    f"{self.source} labels things as {other!r} and as {name!r}, which a model "
                    "can't tell apart: make one class of them, or score a result file "
                    "(--predictions)."
                )
        left_out = [
            n for k, n in zip(self.category_ids, self.names, strict=True) if k not in annotated
        ]
        if not left_out or not annotated:
            return self
        listed = ", ".join(left_out[:8]) + (" …" if len(left_out) > 8 else "")
        note = f"Nothing is labelled as {listed}: not asked for. --class asks for it."
        return replace(self._with_categories(annotated), notes=(*self.notes, note))

    def only(self, names: Sequence[str]) -> Dataset:
        """The same pictures with these classes alone; all where ``names`` is empty.

        Raises:
            InputError: a class that the data doesn't have.
        """
        if not names:
            return self
        for name in names:
            if name not in self.names:
                near = get_close_matches(name, self.names, 1)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                raise InputError(
                    f"{self.source} has no class {name!r}{meant}: it has "
                    f"{', '.join(self.names[:20])}{' …' if len(self.names) > 20 else ''}."
                )
        return self._with_categories(
            {k for k, name in zip(self.category_ids, self.names, strict=True) if name in names}
        )

    def _with_categories(self, ids: Collection[int]) -> Dataset:
        chosen = {k: n for k, n in zip(self.category_ids, self.names, strict=True) if k in ids}
        names = set(chosen.values())
        return replace(
            self,
            names=tuple(chosen.values()),
            category_ids=tuple(chosen),
            images=tuple(
                replace(image, objects=tuple(o for o in image.objects if o.name in names))
                for image in self.images
            ),
            truth={
                **self.truth,
                "annotations": [r for r in self.truth["annotations"] if r["category_id"] in ids],
                "categories": [row for row in self.truth["categories"] if row["id"] in ids],
            },
        )
