"""What a verb is given as its prompts, as the list of visual prompts that is meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from limner.errors import PromptError
from limner.prompts.coerce import AnyBox, AnyPoint, box_of, mask_of, numbers_in, points_of
from limner.prompts.values import Box, Exemplar, Like, Mask, Point, Text
from limner.prompts.visual_prompt import VisualPrompt

OnePrompt: TypeAlias = (
    VisualPrompt | str | Text | Box | Mask | Point | Exemplar | Like | npt.NDArray[Any]
)
AnyPrompts: TypeAlias = OnePrompt | Sequence["AnyPrompts | float"]
"""A phrase, left-top-right-bottom, a mask, a typed value, or several of these."""

TAKES = (
    'a phrase ("apple"), a box (left, top, right, bottom), a mask ((H, W) bool), points=[[x, y]] '
    "with labels=[1], a VisualPrompt, or a list of these"
)


def prompts_of(
    value: AnyPrompts | None = None,
    *,
    points: Iterable[AnyPoint] | None = None,
    labels: Iterable[Any] | None = None,
    boxes: Iterable[AnyBox] | None = None,
) -> list[VisualPrompt]:
    """The prompts that are meant, one for each object.

    Args:
        value: see ``AnyPrompts``; several phrases are several objects.
        points, labels: of ONE object, as SAM's ``point_coords`` and ``point_labels``; with a value
            or a box that is one object, they narrow it.
        boxes: an object each, or one box.

    Raises:
        PromptError: what can't be understood, labels without points, or points beside several
            objects.
    """
    prompts = [] if value is None else _each(value)
    if boxes is not None:
        flat = isinstance(boxes, Box) or numbers_in(boxes) is not None
        rows: list[Any] = [boxes] if flat else list(boxes)
        prompts += [VisualPrompt(box=box_of(row)) for row in rows]
    if labels is not None and points is None:
        raise PromptError("labels say which points are the object: give points=[[x, y], …] too.")
    if points is not None:
        clicks = points_of(points, labels)
        if len(prompts) > 1:
            raise PromptError(
                f"points are clicks on one object, and {len(prompts)} were named: give each its "
                "own, VisualPrompt(text=…, points=[(x, y)])."
            )
        prompts = [replace(p, points=(*p.points, *clicks)) for p in prompts] or [
            VisualPrompt(points=clicks)
        ]
    return prompts


def _each(value: Any) -> list[VisualPrompt]:
    """Of a value, or of a list of values however they are mixed."""
    if isinstance(value, VisualPrompt):
        return [value]
    if isinstance(value, str | Text):
        return [VisualPrompt(text=value)]
    if isinstance(value, Box):
        return [VisualPrompt(box=value)]
    if isinstance(value, Mask):
        return [VisualPrompt(mask=value)]
    if isinstance(value, Point):
        return [VisualPrompt(points=(value,))]
    if isinstance(value, Exemplar):
        return [VisualPrompt(exemplar=value)]
    if isinstance(value, Like):
        return [VisualPrompt(likes=(value,))]
    if isinstance(value, np.ndarray):
        return _of_array(value)
    numbers = numbers_in(value)
    if numbers is not None:
        if len(numbers) == 2:
            x, y = numbers
            raise PromptError(
                f"Two numbers alone may be a click or half a box: write points=[[{x:g}, {y:g}]] "
                "or a box's left, top, right, bottom."
            )
        return [VisualPrompt(box=box_of(numbers))]
    if isinstance(value, Iterable) and not isinstance(value, bytes | dict):
        return [prompt for part in value for prompt in _each(part)]
    raise PromptError(f"A prompt is {TAKES}; got {type(value).__name__}: {value!r:.60}.")


def _of_array(array: npt.NDArray[Any]) -> list[VisualPrompt]:
    """Boxes where it is numbers in fours, else a mask."""
    if array.shape == (4,):
        return [VisualPrompt(box=box_of(array))]
    if array.ndim == 2 and array.shape[1] == 4 and array.dtype.kind in "iuf":
        return [VisualPrompt(box=box_of(row)) for row in array]
    if array.ndim == 2:
        return [VisualPrompt(mask=mask_of(array))]
    if array.ndim == 3 and array.dtype == bool:
        return [VisualPrompt(mask=mask_of(mask)) for mask in array]
    raise PromptError(
        f"An array of shape {array.shape} is no prompt: boxes are (N, 4) numbers, a mask (H, W) "
        "bool, an example image Exemplar(array)."
    )
