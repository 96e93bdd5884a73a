"""The parts of a prompt from what people write: a phrase, four numbers, pairs of numbers, an array.

Everything that limner takes loosely is made strict here and nowhere else; what can't be understood
is refused with what could have been given.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from limner.errors import PromptError
from limner.prompts.values import Box, Like, Mask, Point, Text

Numbers: TypeAlias = Sequence[float] | npt.NDArray[Any]
AnyText: TypeAlias = Text | str
AnyBox: TypeAlias = Box | Numbers
"""A box, or left, top, right, bottom."""
AnyPoint: TypeAlias = Point | Numbers
"""A point, or its x and y."""
AnyMask: TypeAlias = Mask | npt.NDArray[Any]
"""A mask, or an (H, W) array of bool, of 0 and 1, or of 0 and 255."""
AnyLike: TypeAlias = Like | AnyBox


def text_of(value: AnyText) -> Text:
    """A phrase.

    Raises:
        PromptError: neither a text nor a string.
    """
    if isinstance(value, Text):
        return value
    if isinstance(value, str):
        return Text(value)
    raise PromptError(f'A text prompt is a phrase such as "dog", got {value!r:.60}.')


def label_of(value: Any) -> str:
    """What an object is called in results.

    Raises:
        PromptError: no string, nothing, or with a break of lines or another control in it, which
            formats of labels can't hold.
    """
    if not isinstance(value, str):
        raise PromptError(f'A label is a name such as "mug", got {value!r:.60}.')
    label = value.strip()
    if not label:
        raise PromptError('A label is a name such as "mug", got an empty one.')
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in label):
        raise PromptError(f"A label is a name without control characters, got {label!r:.60}.")
    return label


def box_of(value: AnyBox) -> Box:
    """A box from four numbers: left, top, right, bottom.

    Raises:
        PromptError: not four finite numbers, or not in this order.
    """
    if isinstance(value, Box):
        return value
    numbers = numbers_in(value)
    if numbers is None or len(numbers) != 4:
        raise PromptError(
            f"A box is four numbers, left, top, right, bottom in pixels, got {value!r:.60}."
        )
    return Box(*numbers)


def points_of(value: Iterable[AnyPoint], labels: Iterable[Any] | None = None) -> tuple[Point, ...]:
    """Points of one object.

    Args:
        value: points, pairs of numbers, an (N, 2) array, or one pair.
        labels: for each 1 (foreground) or 0 (background); None: as the points say, foreground
            where they are numbers.

    Raises:
        PromptError: not pairs, a label that is neither, or not a label for each.
    """
    pair = numbers_in(value)
    each: list[Any] = [value] if isinstance(value, Point) or pair is not None else list(value)
    points = [_point_of(point) for point in each]
    if labels is None:
        return tuple(points)
    flags = [labels] if isinstance(labels, int | bool) else list(labels)
    if len(flags) != len(points):
        raise PromptError(
            f"Every point has one label, 1 (the object) or 0 (not it): got {len(points)} points "
            f"and {len(flags)} labels."
        )
    return tuple(
        Point(point.x, point.y, _is_foreground(flag))
        for point, flag in zip(points, flags, strict=True)
    )


def mask_of(value: AnyMask) -> Mask:
    """A mask from an (H, W) array of bool, of 0 and 1, or of 0 and 255.

    Raises:
        PromptError: another shape, other values, or an empty mask.
    """
    if isinstance(value, Mask):
        return value
    array = np.asarray(value)
    if array.ndim == 2 and array.dtype != bool and array.size:
        levels = np.unique(array)
        if not (set(levels.tolist()) <= {0, 1} or set(levels.tolist()) <= {0, 255}):
            raise PromptError(
                "A mask is an (H, W) array of bool, of 0 and 1, or of 0 and 255; got one with "
                f"{len(levels)} different values from {levels[0]} to {levels[-1]}."
            )
    return Mask(array.astype(bool))


def likes_of(value: Iterable[AnyLike]) -> tuple[Like, ...]:
    """Example boxes in the picture itself; plain boxes are positive ones.

    Raises:
        PromptError: as ``box_of``.
    """
    one = isinstance(value, Box | Like) or numbers_in(value) is not None
    each: list[Any] = [value] if one else list(value)
    return tuple(like if isinstance(like, Like) else Like(box_of(like)) for like in each)


def numbers_in(value: Any) -> list[float] | None:
    """The numbers of a flat sequence or array of nothing else; None where it is anything else."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.ndim == 1 and value.dtype.kind in "iuf" else None
    if not isinstance(value, list | tuple) or not value:
        return None
    plain = [number.item() if isinstance(number, np.generic) else number for number in value]
    if all(isinstance(number, int | float) and not isinstance(number, bool) for number in plain):
        return plain
    return None


def _point_of(value: Any) -> Point:
    if isinstance(value, Point):
        return value
    numbers = numbers_in(value)
    if numbers is None or len(numbers) != 2:
        raise PromptError(f"A point is two numbers, x and y in pixels, got {value!r:.60}.")
    x, y = numbers
    return Point(x, y)


def _is_foreground(flag: Any) -> bool:
    if flag in (0, 1):
        return bool(flag)
    raise PromptError(f"A point's label is 1 (the object) or 0 (not it), got {flag!r:.40}.")
