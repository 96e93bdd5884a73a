"""Text in pictures: a font that has its letters, and no more of it than there is room for.

DejaVu Sans, which matplotlib brings, knows Latin, Greek, Cyrillic, Arabic, Hebrew and mathematics,
and is the same on every machine. For other scripts a font of the system is looked for; where none
has a character, its code point is written. An empty box says nothing, and two of them look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

MOST_FONTS = 3000
"""Files of the system that are looked into for one text."""
_NO_LETTERS = ("lastresort", "adobeblank", "emoji")
"""In names of fonts: those that draw boxes for everything, and those that only have pictures."""


def lettered(text: str, size: int, *, bold: bool = False) -> tuple[str, FreeTypeFont]:
    """The text as it can be written, in one line, and the font that has most of its characters.

    Args:
        size: pixels.
    """
    from PIL import ImageFont

    text = " ".join(text.split())
    path = font_path(text, bold=bold)
    return readable(text, path), ImageFont.truetype(path, size)


def fitted(
    texts: Sequence[str], size: int, room: float, *, bold: bool = False
) -> list[tuple[str, FreeTypeFont]]:
    """Texts no wider than ``room`` pixels, each with its font; different ones stay different.

    What is too long is cut in its middle. Where texts that differ would then look alike, what all
    have in common goes before that, and as a last resort they are numbered.
    """
    lines = [_cut(text, size, room, bold) for text in texts]
    if _differ(texts, lines):
        return lines
    head, tail = _shared(texts)
    short = [f"{'…' if head else ''}{t[head : len(t) - tail]}{'…' if tail else ''}" for t in texts]
    lines = [_cut(text, size, room, bold) for text in short]
    if _differ(texts, lines):
        return lines
    numbers = {text: k for k, text in enumerate(dict.fromkeys(texts), start=1)}
    return [_cut(text, size, room, bold, begin=f"{numbers[text]}: ") for text in texts]


def middle_cut(text: str, font: Font, room: float) -> str:
    """The text, or its beginning, "…" and its end, no wider than ``room`` pixels."""
    if font.getlength(text) <= room:
        return text
    low, high = 0, len(text)  # characters that are kept
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(_without_middle(text, middle)) <= room:
            low = middle
        else:
            high = middle - 1
    return _without_middle(text, low)


def font_path(text: str, *, bold: bool = False) -> str:
    """The file of a font that has most of the text's characters: DejaVu Sans if that has all."""
    usual = _dejavu(bold)
    missing = frozenset(c for c in text if ord(c) not in _letters_of(usual) and not c.isspace())
    return (_system_font(missing) or usual) if missing else usual


def readable(text: str, path: str) -> str:
    """The text, with ``\\u8d64`` for what the font in a file lacks."""
    letters = _letters_of(path)
    return "".join(
        c
        if ord(c) in letters or c == "\n"
        else " "
        if c.isspace()
        else c.encode("unicode_escape").decode()
        for c in text
    )


def _cut(
    text: str, size: int, room: float, bold: bool, begin: str = ""
) -> tuple[str, FreeTypeFont]:
    shown, font = lettered(text, size, bold=bold)
    return begin + middle_cut(shown, font, room - font.getlength(begin)), font


def _without_middle(text: str, length: int) -> str:
    end = length // 2
    return text[: length - end].rstrip() + "…" + (text[-end:].lstrip() if end else "")


def _differ(texts: Sequence[str], lines: Sequence[tuple[str, FreeTypeFont]]) -> bool:
    return len({text for text, _ in lines}) == len(set(texts))


def _shared(texts: Sequence[str]) -> tuple[int, int]:
    """(characters that all begin with, characters that all end with), to whole words."""
    head = _alike(texts)
    tail = _alike([text[head:][::-1] for text in texts])
    first = texts[0]
    head = first.rfind(" ", 0, head) + 1
    end = first.find(" ", len(first) - tail)
    return head, 0 if end < 0 else len(first) - end


def _alike(texts: Sequence[str]) -> int:
    """Characters that all begin with."""
    low, high = min(texts), max(texts)  # what these two share, all between them do
    return next(
        (k for k, (a, b) in enumerate(zip(low, high, strict=False)) if a != b),
        min(len(low), len(high)),
    )


def _dejavu(bold: bool) -> str:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return f"{matplotlib.get_data_path()}/fonts/ttf/{name}"


@lru_cache(maxsize=256)
def _letters_of(path: str) -> frozenset[int]:
    """Code points that a font has; none of a file that is no font."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (RuntimeError, OSError, ValueError):
        return frozenset()


@cache
def _system_font(wanted: frozenset[str]) -> str | None:
    """The font of this machine that has most of these characters, and can write; None: none has
    any. It should have digits, too, which stand in most labels."""
    needed = {ord(c) for c in wanted}
    best, most = None, 0
    for path in _system_fonts():
        letters = _letters_of(path)
        count = len(needed & letters)
        if count > most and ord("1") in letters and _opens(path):
            best, most = path, count
        if most == len(needed):
            break
    return best


@cache
def _system_fonts() -> tuple[str, ...]:
    """Files, those without serifs first."""
    from matplotlib import font_manager

    names = [
        path
        for path in font_manager.findSystemFonts()
        if not any(part in Path(path).name.lower() for part in _NO_LETTERS)
    ]
    return tuple(sorted(names, key=lambda p: ("sans" not in Path(p).name.lower(), p)))[:MOST_FONTS]


def _opens(path: str) -> bool:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(path, 13).getlength("1") > 0
    except (OSError, ValueError):
        return False
