"""Text that does nothing where it is shown: what a terminal or a page would obey, as escapes."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, and part of how Persian, Indic scripts and emoji are written."""
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's controls, marks of format (of direction among them), surrogates, breaks of lines."""


def visible(text: str) -> str:
    """The text with what a terminal would obey, or nobody would see, as escapes of Python's.

    A byte of a file name that is no UTF-8 becomes ``\\xe9``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # how Python keeps a byte that is no UTF-8
        return f"\\x{ord(sign) - 0xDC00:02x}"
    if unicodedata.category(sign) in _ESCAPED and sign not in _JOINERS:
        return sign.encode("unicode_escape").decode()
    return sign


_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible_page(page: str) -> str:
    """A page of HTML in which no name turns the direction, or recolours who reads it by ``cat``."""
    return _OBEYED.sub(lambda match: _visible(match[0]), page)
