"""Rows as CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

_FORMULA = re.compile(r"[=+\-@\t\r\n]|\s+[=+\-@]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Comma-separated values; None is an empty cell.

    A text that a spreadsheet would take for a formula (it begins with ``= + - @``, a tab or a break
    of lines) gets an apostrophe before it, as OWASP advises. Numbers stay numbers.
    """
    return "".join(map(_line, rows))


def _line(row: Iterable[Any]) -> str:
    # Only signs of its own line ending are quoted by csv: a lone carriage return would end a row.
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(value) for value in row])
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
