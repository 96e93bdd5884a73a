"""What a redacted folder holds besides its pictures: a list of all, and sheets to look at.

A detector that found nothing looked at a picture; nobody checked it. Such pictures come last, by
name. The list also says which were done without a find, so that they aren't looked at again.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.batch.output_paths import os_errors, results_folder
from limner.cli.batch.settings import Settings
from limner.cli.console import say, second_look
from limner.errors import LimnerError, OutputError
from limner.untrusted.regular_files import read_bytes

if TYPE_CHECKING:
    from limner.evaluation.charts.contact_sheet import Cell

SUMMARY = "summary.csv"
SHEET = "contact-sheet{}.jpg"
"""The first is ``contact-sheet.jpg``, then ``contact-sheet-2.jpg``."""
COLUMNS = ("picture", "result", "objects", "state", "check", "job")
REDACTED, UNCHECKED, FAILED = "redacted", "nothing found, not checked by anybody", "failed"
"""States, in the order of the list."""
ACROSS, DOWN = 6, 10
"""Pictures of one sheet."""
SIDE = 192
LARGEST = 100_000_000
"""Bytes of a list."""


@dataclass(frozen=True)
class Row:
    """One picture of the folder; ``result`` is relative to the folder of results, "" without one.

    ``job`` is the result's digest, keyed as in its record.
    """

    picture: str
    result: str
    objects: int
    state: str
    check: str
    job: str


@dataclass
class RedactedFolder:
    """The list of one run over a folder.

    Raises:
        OutputError: a file of somebody else's has the list's or the sheet's name.
    """

    settings: Settings
    rows: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = results_folder(self.settings)
        self._empty = {row.job for row in self._before() if row.state == UNCHECKED and row.job}
        sheet = self.folder / SHEET.format("")
        with os_errors(sheet, OutputError):
            if sheet.exists() and not _is_ours(sheet):
                raise OutputError(f"{sheet} isn't limner's: choose another --out.")

    def found_nothing(self, path: Path, job: str) -> bool:
        """Whether this very question was answered before, by nothing, and no file is wanted."""
        if job not in self._empty or self.settings.overwrite or self.settings.copy_unchanged:
            return False
        self.add(path, {"job": job, "result": {"objects": 0}}, ())
        return True

    def add(self, path: Path, record: Mapping[str, Any], outputs: Sequence[Path]) -> None:
        """A picture that was done, now or before."""
        result = record["result"]
        count = int(result["objects"])
        file = outputs[-1].relative_to(self.folder).as_posix() if outputs else ""
        remarks = "; ".join(second_look(result)) if count else ""
        state = REDACTED if count else UNCHECKED
        self._put(Row(self._name(path), file, count, state, remarks, record["job"]))

    def fail(self, path: Path, error: Exception) -> None:
        """A picture that wasn't done, and why."""
        why = str(error).replace(str(path), self._name(path))
        self._put(Row(self._name(path), "", 0, FAILED, why, ""))

    def write(self) -> None:
        """The list and the sheets, of what was done so far; nothing where that is nothing."""
        from limner.io.csv_text import csv_text
        from limner.io.save import write_atomic

        order = (REDACTED, FAILED, UNCHECKED)
        rows = sorted(self.rows.values(), key=lambda row: order.index(row.state))
        if not rows:
            return
        lines = [(r.picture, r.result, r.objects, r.state, r.check, r.job) for r in rows]
        write_atomic(self.folder / SUMMARY, csv_text([COLUMNS, *lines]), overwrite=True)
        self._write_sheets(rows)
        unchecked = sum(row.state == UNCHECKED for row in rows)
        last = (
            f"; {unchecked} without a find, not checked by anybody, come last" if unchecked else ""
        )
        say(
            f"limner: Look at {self.folder / SHEET.format('')} and {SUMMARY} there{last}.", err=True
        )

    def _put(self, row: Row) -> None:
        self.rows[row.picture] = row

    def _name(self, path: Path) -> str:
        return path.relative_to(self.settings.image).as_posix()

    def _before(self) -> list[Row]:
        """The rows of the list that lies there."""
        path = self.folder / SUMMARY
        with os_errors(path, OutputError):
            if not path.exists():
                return []
        text = read_bytes(path, limit=LARGEST, what="list").decode("utf-8", "replace")
        try:
            header, *lines = csv.reader(text.splitlines()) if text else [[]]
        except csv.Error:
            header, lines = [], []
        if tuple(header) != COLUMNS:
            raise OutputError(f"{path} isn't limner's: choose another --out.")
        whole = [line for line in lines if len(line) == len(COLUMNS) and line[2].isdigit()]
        return [Row(line[0], line[1], int(line[2]), *line[3:]) for line in whole]

    def _write_sheets(self, rows: Sequence[Row]) -> None:
        """Results alone are shown: what has none is a name."""
        from limner.evaluation.charts.contact_sheet import Axis, contact_sheet
        from limner.io.save import save_image

        size = ACROSS * DOWN
        pages = [rows[k : k + size] for k in range(0, len(rows), size)]
        for number, page in enumerate(pages, 1):
            cells = {divmod(k, ACROSS): self._cell(row) for k, row in enumerate(page)}
            across = min(ACROSS, len(page))
            down = -(-len(page) // ACROSS)
            first = (number - 1) * size
            columns = Axis("", tuple(str(k + 1) for k in range(across)))
            starts = tuple(f"{first + k * ACROSS + 1}" for k in range(down))
            sheet = contact_sheet(columns, Axis("", starts), cells, side=SIDE)
            path = self.folder / SHEET.format("" if number == 1 else f"-{number}")
            save_image(sheet, path, record={"sheet": "redact"}, overwrite=True)
        number = len(pages) + 1
        while _is_ours(stale := self.folder / SHEET.format(f"-{number}")):
            stale.unlink()
            number += 1

    def _cell(self, row: Row) -> Cell:
        from limner.evaluation.charts.contact_sheet import Cell
        from limner.io import images

        name = row.result or row.picture
        note = name if row.state == REDACTED else f"{name}: {_short(row)}"
        if not row.result:
            return Cell(None, note=note)
        picture = images.open_image(self.folder / row.result, max_pixels=images.MAX_PIXELS).image
        picture.thumbnail((SIDE, SIDE))
        return Cell(picture, note=note)


def _short(row: Row) -> str:
    return "failed" if row.state == FAILED else "not checked"


def _is_ours(path: Path) -> bool:
    from limner.io.save import read_record

    try:
        return path.exists() and (read_record(path) or {}).get("sheet") == "redact"
    except LimnerError:
        return False
