"""What a vision-language model wrote, as boxes, or refused: never guessed.

A reply is taken or refused as a whole. One number that can't be meant says that the model speaks
another convention, or lost its thread, and then its other numbers are worth nothing either. A reply
cut off in the middle is refused too: what it would have gone on to say is not known.

Taken is one JSON value: bare, in one code fence, or the only one in the text that has the asked-for
form; a list of boxes, ``{"boxes": [...]}`` or a single box.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from limner.errors import OptionError
from limner.ops.box_formats import BoxConvention
from limner.registry.vlm_formats import VlmFormat

Floats = npt.NDArray[np.float64]

SLACK = 1.0
"""Pixels by which a box may overshoot the picture that was sent: a model's rounding."""


class Unreadable(Exception):
    """Why a reply can't be taken, as the end of a sentence."""


@dataclass(frozen=True, eq=False)
class Reply:
    """N boxes."""

    phrase_index: npt.NDArray[np.int64]
    """(N,) which phrase each answers."""
    xyxy: Floats
    """(N, 4) pixels of what was sent."""

    def of(self, phrase: int) -> Floats:
        """(n, 4) boxes that answer one phrase."""
        return np.asarray(self.xyxy[self.phrase_index == phrase], dtype=np.float64)


NOTHING = Reply(np.zeros(0, np.int64), np.zeros((0, 4)))


def read(text: str, phrases: Sequence[str], manner: VlmFormat, size_wh: tuple[int, int]) -> Reply:
    """The boxes in a reply about a picture of ``size_wh`` pixels.

    Raises:
        Unreadable: no JSON of the form asked for, a label that wasn't asked, numbers that can't be
            meant in this convention, or a box without area.
    """
    items = _boxes(_json(text, manner.key), manner.key)
    if not items:
        return NOTHING
    phrase_index = np.array([_phrase(item, phrases) for item in items], dtype=np.int64)
    rows = [_numbers(item[manner.key]) for item in items]
    return Reply(phrase_index, _pixels(rows, manner.convention, size_wh))


# ---- from text to JSON


def _json(text: str, key: str) -> Any:
    """The one JSON value that is meant."""
    text = _spoken(text)
    if not text:
        raise Unreadable("it is empty")
    if (whole := _parsed(text)) is not None:
        return whole
    fenced = re.findall(r"```[a-zA-Z]*\s*\n(.*?)```", text, re.DOTALL)
    if len(fenced) == 1 and (inside := _parsed(fenced[0].strip())) is not None:
        return inside
    if text.count("```") % 2:
        raise Unreadable("it ends inside a code block")
    values = [value for value in _embedded(text) if _boxes_or_none(value, key)]
    if len(values) == 1 and not fenced:
        return values[0]
    if len(values) > 1:
        raise Unreadable("it holds several answers")
    raise Unreadable("it isn't the JSON asked for")


def _spoken(text: str) -> str:
    """Without what a reasoning model thought aloud first."""
    text = text.strip()
    if text.startswith("<think>"):
        _, end, text = text.rpartition("</think>")
        if not end:
            raise Unreadable("it ends inside the model's thoughts")
    return text.strip()


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_no_number)


def _parsed(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError):
        return None


def _embedded(text: str) -> Iterator[Any]:
    """JSON lists and objects between words, from the left, none inside another.

    Nothing after one that doesn't end: its parts would be taken for the whole.
    """
    start = 0
    while (opening := re.compile(r"\[|\{").search(text, start)) is not None:
        try:
            value, start = _decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            rest = text[opening.start() :].lstrip("[{ \n\t")
            if rest.startswith('"') or not rest:  # JSON that was cut off, not a word in brackets
                return
            start = opening.end()
            continue
        yield value


# ---- from JSON to boxes


def _boxes_or_none(value: Any, key: str) -> list[dict[str, Any]] | None:
    if isinstance(value, dict):
        value = value.get("boxes", [value])
    if not isinstance(value, list):
        return None
    right = all(isinstance(item, dict) and key in item for item in value)
    return value if right else None


def _boxes(value: Any, key: str) -> list[dict[str, Any]]:
    items = _boxes_or_none(value, key)
    if items is None:
        raise Unreadable(f'it isn\'t a list of boxes, each with "{key}" and "label"')
    return items


def _plain(phrase: str) -> str:
    """A phrase without what models change in it: case, spaces, article, full stop."""
    words = phrase.casefold().strip(" .\"'").split()
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) else words)


def _phrase(item: dict[str, Any], phrases: Sequence[str]) -> int:
    """Index of the phrase that a box answers. A box without label answers the only one."""
    label = item.get("label")
    if label is None and len(phrases) == 1:
        return 0
    if isinstance(label, str):
        if label in phrases:
            return list(phrases).index(label)
        near = [n for n, phrase in enumerate(phrases) if _plain(phrase) == _plain(label)]
        if len(near) == 1:
            return near[0]
    raise Unreadable(f"it boxes {label!r:.60}, which wasn't asked for")


def _numbers(values: Any) -> list[float]:
    right = isinstance(values, list) and len(values) == 4
    if not right or not all(_is_number(value) for value in values):
        raise Unreadable(f"a box is {values!r:.60} instead of four numbers")
    return [float(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _pixels(rows: list[list[float]], convention: BoxConvention, size_wh: tuple[int, int]) -> Floats:
    """(N, 4) values -> (N, 4) XYXY pixels inside the picture."""
    try:
        xyxy = convention.decode(rows, size_wh)
    except OptionError as error:
        raise Unreadable(f"its numbers can't be meant: {str(error).rstrip('.')}") from None
    edges = np.array([*size_wh, *size_wh], dtype=np.float64)
    outside = ((xyxy < -SLACK) | (xyxy > edges + SLACK)).any(axis=1)
    inside = np.clip(xyxy, 0, edges)
    # Between 0 and 1 in pixels: parts of the picture, from a model that was asked for pixels.
    flat = ((inside[:, 2:] - inside[:, :2]) <= 0).any(axis=1)
    if convention.full is None:
        flat |= ((inside[:, 2:] - inside[:, :2]) < 1).all(axis=1)
    for bad, why in ((outside, "reaches out of the picture"), (flat, "has no area")):
        if bad.any():
            row = ", ".join(f"{value:g}" for value in rows[int(np.argmax(bad))])
            w, h = size_wh
            raise Unreadable(f"the box [{row}] {why} of {w} x {h} pixels")
    return np.asarray(inside, dtype=np.float64)
