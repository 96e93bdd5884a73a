"""What a person types becomes prompts: ``--point 350,450 --point 400,300:bg --object --box …``.

Coordinates are pixels of the upright original, or percentages of its sides (``50%,40%``); these are
resolved once, when the image's size is known. Several points make one object; ``--object`` starts
the next. Syntax is checked before any image is opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from limner.errors import PromptError
from limner.prompts import Box, Exemplar, Like, Mask, Point, PromptKind, Text, VisualPrompt
from limner.prompts.coerce import label_of

PartT = TypeVar("PartT")

SYNTAX = {
    "point": "x,y on the object, or x,y:bg (also x,y:0) beside it; pixels or percentages",
    "box": "left,top,right,bottom (pixels or percentages)",
    "mask": "a picture of the image's size: bright where the object is, a cut-out of it, or with a "
    "hole erased there",
    "text": 'a phrase such as "dog"',
    "not": "a phrase for what the object is not; follows a --text",
    "exemplar": "an example picture, or picture@left,top,right,bottom",
    "like": "left,top,right,bottom of an example in the picture itself; may be repeated",
    "not_like": "left,top,right,bottom of what it is not like, in the picture itself",
    "label": "what the object is called in results, whatever it was shown by",
}

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(%?)")


@dataclass(frozen=True)
class Length:
    """A coordinate as typed: pixels, or a percentage of the image's side."""

    value: float
    percent: bool = False

    def resolve(self, side: int) -> float:
        """Pixels. 100 % of a side is its end: the last pixel's far edge."""
        return self.value * side / 100 if self.percent else self.value


def parse_lengths(text: str, expected: int, syntax: str) -> tuple[Length, ...]:
    """``"350,45%"`` as lengths.

    Raises:
        PromptError: another number of values, or something that is no finite number.
    """
    parts = [part.strip() for part in text.split(",")]
    matches = [_NUMBER.fullmatch(part) for part in parts]
    if len(parts) != expected or not all(matches):
        raise PromptError(f"Expected {syntax}; got {text!r}.")
    lengths = tuple(Length(float(part.rstrip("%")), part.endswith("%")) for part in parts)
    if not all(math.isfinite(length.value) for length in lengths):  # 400 digits
        raise PromptError(f"Expected {syntax}; got {text!r:.40}.")
    return lengths


@dataclass(frozen=True)
class PointDraft:
    x: Length
    y: Length
    foreground: bool = True

    def resolve(self, size_wh: tuple[int, int]) -> Point:
        width, height = size_wh
        x, y = self.x.resolve(width), self.y.resolve(height)
        # 100 % means the edge itself, which belongs to the last pixel.
        x = min(x, width - 1) if self.x.percent and x == width else x
        y = min(y, height - 1) if self.y.percent and y == height else y
        return Point(x, y, self.foreground)


@dataclass(frozen=True)
class BoxDraft:
    sides: tuple[Length, ...]

    def resolve(self, size_wh: tuple[int, int]) -> Box:
        x0, y0, x1, y1 = (length.resolve(size_wh[k % 2]) for k, length in enumerate(self.sides))
        return Box(x0, y0, x1, y1)


def parse_point(text: str) -> PointDraft:
    """``350,450``, ``400,300:bg``, ``50%,40%:fg``; the labels 1 and 0 of SAM are fg and bg."""
    place, _, label = text.partition(":")
    if label not in ("", "fg", "bg", "1", "0") or text.endswith(":"):
        raise PromptError(f"A point's label is :fg or :bg (:1 or :0); got {text!r}.")
    x, y = parse_lengths(place, 2, f"--point {SYNTAX['point']}")
    return PointDraft(x, y, label not in ("bg", "0"))


def parse_box(text: str, name: str = "box") -> BoxDraft:
    """``530,180,780,600`` or percentages; refused inside out where that can be seen already."""
    draft = BoxDraft(parse_lengths(text, 4, f"--{name.replace('_', '-')} {SYNTAX[name]}"))
    x0, y0, x1, y1 = draft.sides
    for low, high in ((x0, x1), (y0, y1)):
        if low.percent == high.percent and low.value >= high.value:
            Box(x0.value, y0.value, x1.value, y1.value)  # raises with the sentence for boxes
    return draft


def parse_exemplar(text: str) -> tuple[str, BoxDraft | None]:
    """``dog.jpg`` or ``dog.jpg@10,20,200,220``; an ``@`` in the name itself is fine."""
    path, at, box = text.rpartition("@")
    if at and path and all(_NUMBER.fullmatch(part.strip()) for part in box.split(",")):
        return path, parse_box(box)
    if not text:
        raise PromptError(f"--exemplar takes {SYNTAX['exemplar']}; got an empty value.")
    return text, None


@dataclass(frozen=True)
class Draft:
    """One object as typed, waiting for the image's size and for its files to be opened."""

    text: Text | None = None
    exemplar: tuple[str, BoxDraft | None] | None = None
    points: tuple[PointDraft, ...] = ()
    box: BoxDraft | None = None
    mask: str | None = None
    likes: tuple[tuple[BoxDraft, bool], ...] = ()
    """Example boxes, and whether each is of what it is like."""
    label: str | None = None

    @property
    def says_what(self) -> bool:
        """Whether it says *what*, which a detector is asked."""
        return bool(self.text or self.exemplar or self.likes)

    @property
    def kinds(self) -> frozenset[PromptKind]:
        """As those of the prompt that it becomes."""
        present = {
            PromptKind.TEXT: self.text is not None,
            PromptKind.EXEMPLAR: self.exemplar is not None,
            PromptKind.LIKE: any(positive for _, positive in self.likes),
            PromptKind.NEGATIVE_EXEMPLAR_BOX: any(not positive for _, positive in self.likes),
            PromptKind.POINT: any(point.foreground for point in self.points),
            PromptKind.BACKGROUND_POINT: any(not point.foreground for point in self.points),
            PromptKind.BOX: self.box is not None,
            PromptKind.MASK: self.mask is not None,
        }
        return frozenset(kind for kind, here in present.items() if here)

    def resolve(
        self,
        size_wh: tuple[int, int],
        open_mask: Callable[[str], Mask],
        open_exemplar: Callable[[str, BoxDraft | None], Exemplar],
    ) -> VisualPrompt:
        """The prompt for an image of ``size_wh``; checked to lie within it."""
        prompt = VisualPrompt(
            text=self.text,
            exemplar=open_exemplar(*self.exemplar) if self.exemplar else None,
            points=tuple(point.resolve(size_wh) for point in self.points),
            box=self.box.resolve(size_wh) if self.box else None,
            mask=open_mask(self.mask) if self.mask else None,
            likes=tuple(Like(box.resolve(size_wh), positive) for box, positive in self.likes),
            label=self.label,
        )
        prompt.check_within(size_wh)
        return prompt


@dataclass
class _Parts:
    """What has been said of the object being read."""

    text: str | None = None
    negative: str = ""
    exemplar: tuple[str, BoxDraft | None] | None = None
    points: list[PointDraft] = field(default_factory=list)
    box: BoxDraft | None = None
    mask: str | None = None
    likes: list[tuple[BoxDraft, bool]] = field(default_factory=list)
    label: str | None = None

    def add(self, name: str, value: str) -> None:
        if name == "point":
            self.points.append(parse_point(value))
        elif name in ("like", "not_like"):
            self.likes.append((parse_box(value, name), name == "like"))
        elif name == "box":
            self.box = self._once(name, self.box, parse_box(value))
        elif name == "exemplar":
            self.exemplar = self._once(name, self.exemplar, parse_exemplar(value))
        elif name == "mask":
            if not value:
                raise PromptError(f"--mask takes {SYNTAX['mask']}; got an empty value.")
            self.mask = self._once(name, self.mask, value)
        elif name == "label":
            self.label = self._once(name, self.label, label_of(value))
        elif name == "text":
            self.text = self._once(name, self.text, Text(value).phrase)
        elif name == "not":
            if self.text is None:
                raise PromptError("--not follows the --text that it narrows.")
            self.negative = self._once(name, self.negative or None, Text(value).phrase)

    @staticmethod
    def _once(name: str, before: object, value: PartT) -> PartT:
        if before is not None:
            raise PromptError(
                f"One object takes one --{name}, got a second: put --object between two objects."
            )
        return value

    def draft(self) -> Draft:
        text = Text(self.text, self.negative) if self.text is not None else None
        draft = Draft(
            text,
            self.exemplar,
            tuple(self.points),
            self.box,
            self.mask,
            tuple(self.likes),
            self.label,
        )
        if not draft.kinds:
            raise PromptError(
                f"--label {self.label!r} says what an object is called, not which it is: add a "
                "--box, --point, --mask, --text or --exemplar."
            )
        only_points = draft == Draft(points=draft.points, label=draft.label)
        # Both raise with the prompt's own sentence, before any image is opened.
        if only_points and not any(point.foreground for point in draft.points):
            VisualPrompt(points=tuple(Point(0, 0, foreground=False) for _ in draft.points))
        if draft.likes and not draft.text and not any(positive for _, positive in draft.likes):
            VisualPrompt(likes=(Like(Box(0, 0, 1, 1), positive=False),))
        return draft


def parse_objects(options: Iterable[tuple[str, str]]) -> tuple[Draft, ...]:
    """Options in the order they were typed, as ``(name, value)``; name ``object`` separates.

    A second ``--text`` or ``--exemplar`` also starts the next object: each names its own thing.

    Raises:
        PromptError: syntax, a second box or mask for one object, an empty object.
    """
    objects: list[_Parts] = []
    fresh = True
    for name, value in options:
        if name == "object":
            if fresh:
                raise PromptError("--object stands between two objects; one side of it is empty.")
            fresh = True
            continue
        names_another = bool(objects) and getattr(objects[-1], name, None) is not None
        if fresh or (name in ("text", "exemplar") and names_another):
            objects.append(_Parts())
            fresh = False
        objects[-1].add(name, value)
    if objects and fresh:
        raise PromptError("--object stands between two objects; one side of it is empty.")
    drafts = tuple(parts.draft() for parts in objects)
    _check_different(drafts)
    return drafts


def _check_different(drafts: Iterable[Draft]) -> None:
    """Refuse a phrase that is asked for twice: each find of it would be two objects."""
    known: dict[Draft, str] = {}
    for draft in drafts:
        if draft.text is None:
            continue
        folded = Text(draft.text.phrase.casefold(), draft.text.negative.casefold())
        same = replace(draft, text=folded, label=None)
        if same in known:
            raise PromptError(
                f"--text {known[same]!r} and --text {draft.text.phrase!r} ask for the same things, "
                "for a model knows no capitals: say it once."
            )
        known[same] = draft.text.phrase
