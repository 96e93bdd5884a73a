"""Prompts as rows of a table: one object a row, by its box, by a click, or by both.

``file`` is a picture's name within its folder, ``label`` the object's class; coordinates are pixels
of the upright picture. Columns may stand in any order, others beside them aren't read, and commas,
semicolons or tabs may stand between them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from limner.errors import PromptError
from limner.prompts import Box, Point, VisualPrompt
from limner.session.labelling.prompt_table import Entry, PromptTable, numbered
from limner.untrusted.regular_files import MB, read_text, shown

MOST_BYTES = 500 * MB
BOX, POINT = ("x0", "y0", "x1", "y1"), ("x", "y")
_EXPECTED = "file, label, and x0, y0, x1, y1 or x, y"


def read_csv(file: Path) -> PromptTable:
    """The prompts of a CSV file.

    Raises:
        PromptError: a column or a value that is missing, or that can't be meant; which row.
        FileError: no text that can be read.
    """
    lines = read_text(file, limit=MOST_BYTES, what="file of prompts").splitlines()
    name = shown(file)
    if not any(line.strip() for line in lines):
        raise PromptError(f"{name} is empty: expected the columns {_EXPECTED}.")
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter)
    of_picture: dict[str, list[Entry]] = {}
    names: list[tuple[str, str]] = []
    known: set[tuple[str, VisualPrompt]] = set()
    repeated: list[str] = []
    try:
        columns = _columns(next(reader), name)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{name}:{reader.line_num}"
            row = {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}
            prompt = _prompt(row, where)
            picture = _text(row, "file", where)
            if (picture, prompt) in known:
                repeated.append(str(reader.line_num))
                continue
            known.add((picture, prompt))
            of_picture.setdefault(picture, []).append(Entry(prompt, where))
            names.append((prompt.label or "", where))
    except csv.Error as error:
        raise PromptError(f"{name}:{reader.line_num}: This is no CSV: {error}.") from None
    if not of_picture:
        raise PromptError(f"{name} holds no prompt: there is no row below its columns.")
    return PromptTable(
        name,
        numbered(names),
        {picture: tuple(each) for picture, each in of_picture.items()},
        notes=(f"{name}: Rows that repeat others, left out: {', '.join(repeated)}.",)
        if repeated
        else (),
    )


def _columns(cells: Sequence[str], name: str) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    has_place = any(set(place) <= set(columns) for place in (BOX, POINT))
    missing = [column for column in ("file", "label") if column not in columns]
    if not has_place:
        begun = [place for place in (BOX, POINT) if set(place) & set(columns)] or [BOX]
        missing += [column for column in begun[0] if column not in columns]
    if missing:
        plural = "columns" if len(missing) > 1 else "column"
        raise PromptError(
            f"{name}:1: The {plural} {', '.join(missing)} {'are' if len(missing) > 1 else 'is'} "
            f"missing: expected {_EXPECTED}; got {', '.join(columns)}."
        )
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise PromptError(f"{name}:1: The column {twice[0]!r} is there twice.")
    return columns


def _prompt(row: Mapping[str, str], where: str) -> VisualPrompt:
    label = _text(row, "label", where)
    places = [place for place in (BOX, POINT) if any(row.get(column) for column in place)]
    if not places:
        raise PromptError(f"{where}: The row has no numbers: expected x0, y0, x1, y1 or x, y.")
    numbers = {column: _number(row, column, where) for place in places for column in place}
    try:
        box = Box(*(numbers[column] for column in BOX)) if BOX in places else None
        points = [Point(numbers["x"], numbers["y"])] if POINT in places else []
        return VisualPrompt(box=box, points=points, label=label)
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from None


def _text(row: Mapping[str, str], column: str, where: str) -> str:
    if not row.get(column):
        raise PromptError(f"{where}: The column {column} is empty.")
    return row[column]


def _number(row: Mapping[str, str], column: str, where: str) -> float:
    text = _text(row, column, where)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PromptError(f"{where}: Expected a number of pixels as {column}, got {text!r:.40}.")
    return value
