"""A sweep at a glance: pictures in rows and columns, their settings along the edges, each one's
score under it. Drawn with Pillow, because pictures should keep their pixels."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageOps

from limner.errors import InputError
from limner.ops import palette
from limner.ops.lettering import fitted

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_INK, _QUIET, _PAPER, _EMPTY, _BEST = "#222222", "#666666", "#FFFFFF", "#F2F2F2", palette.BLUE
_GAP = 6


@dataclass(frozen=True)
class Cell:
    """One run: its picture, what it scored, and a note: why there is none, or how it was made."""

    picture: Image.Image | None
    score: float | None = None
    note: str = ""

    @property
    def lines(self) -> int:
        """Of text under the picture."""
        return (self.score is not None) + bool(self.note)


@dataclass(frozen=True)
class Axis:
    """A setting and the values it took, in the order they are shown."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """Where what stands, in pixels."""

    wide: int
    high: int
    """Of a picture."""
    caption: int
    """Of the text under a picture."""
    left: int
    top: int
    """Of the first picture."""
    size_wh: tuple[int, int]

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Upper left of a picture."""
        return (
            self.left + column * (self.wide + _GAP),
            self.top + row * (self.high + self.caption + _GAP),
        )


def contact_sheet(
    columns: Axis,
    rows: Axis,
    cells: Mapping[tuple[int, int], Cell],
    *,
    title: str = "",
    score: str = "",
    best: str | Collection[tuple[int, int]] = "max",
    side: int = 192,
) -> Image.Image:
    """The sheet as a picture (RGB).

    Args:
        cells: (row, column) -> what was made there; a place without one stays empty.
        score: what the scores are called.
        best: which score is framed, "max" or "min"; "" frames none; or the cells that are framed,
            whatever they score.
        side: longest side of a picture on the sheet, in pixels.

    Raises:
        InputError: an axis without values, or a cell outside the axes.
    """
    if not columns.values or not rows.values:
        raise InputError("A contact sheet needs at least one value along each axis.")
    for row, column in cells:
        if not (0 <= row < len(rows.values) and 0 <= column < len(columns.values)):
            raise InputError(
                f"The cell {(row, column)} lies outside the sheet of {len(rows.values)} rows and "
                f"{len(columns.values)} columns."
            )
    layout = _layout(columns, rows, cells, side, titled=bool(title))
    sheet = Image.new("RGB", layout.size_wh, _PAPER)
    _draw_labels(sheet, layout, columns, rows, title)
    framed = _best(cells, best) if isinstance(best, str) else best
    for place, cell in sorted(cells.items(), key=lambda item: item[0]):
        _draw_cell(sheet, layout, place, cell, score=score, is_best=place in framed)
    return sheet


def _layout(
    columns: Axis, rows: Axis, cells: Mapping[tuple[int, int], Cell], side: int, *, titled: bool
) -> _Layout:
    wide, high = _cell_size(cells, side)
    caption = (0, 24, 42)[max((cell.lines for cell in cells.values()), default=0)]
    labels = fitted(rows.values, 15, 200)
    left = 2 * _GAP + 24 + min(200, max(_width(*label) for label in labels))
    top = _GAP + (30 if titled else 0) + 24 + 26
    size_wh = (
        left + len(columns.values) * (wide + _GAP) + _GAP,
        top + len(rows.values) * (high + caption + _GAP) + _GAP,
    )
    return _Layout(wide, high, caption, left, top, size_wh)


def _draw_labels(
    sheet: Image.Image, layout: _Layout, columns: Axis, rows: Axis, title: str
) -> None:
    """Title, names of the axes, and their values along the edges."""
    draw = ImageDraw.Draw(sheet)
    left, top = layout.left, layout.top
    if title:
        ((text, font),) = fitted([title], 16, sheet.width - left, bold=True)
        draw.text((left, _GAP), text, _INK, font)
    across = left + (sheet.width - left) / 2
    ((text, font),) = fitted([columns.name], 15, sheet.width - left)
    draw.text((across, top - 50), text, _QUIET, font, anchor="ma")
    for k, (text, font) in enumerate(fitted(columns.values, 15, layout.wide)):
        x, _ = layout.corner(0, k)
        draw.text((x + layout.wide / 2, top - 6), text, _INK, font, anchor="ms")
    for k, (text, font) in enumerate(fitted(rows.values, 15, 200)):
        _, y = layout.corner(k, 0)
        draw.text((left - _GAP, y + layout.high / 2), text, _INK, font, anchor="rm")
    _write_upwards(sheet, rows.name, (_GAP, top), sheet.height - top)


def _draw_cell(
    sheet: Image.Image,
    layout: _Layout,
    place: tuple[int, int],
    cell: Cell,
    *,
    score: str,
    is_best: bool,
) -> None:
    """A picture in its place, its frame and its lines of text."""
    draw = ImageDraw.Draw(sheet)
    wide, high = layout.wide, layout.high
    x, y = layout.corner(*place)
    draw.rectangle((x, y, x + wide - 1, y + high - 1), _EMPTY)
    if cell.picture is not None:
        picture = ImageOps.contain(cell.picture.convert("RGB"), (wide, high))
        sheet.paste(picture, (x + (wide - picture.width) // 2, y + (high - picture.height) // 2))
    if is_best:
        draw.rectangle((x - 3, y - 3, x + wide + 2, y + high + 2), outline=_BEST, width=3)
    texts = [f"{score} {cell.score:.3f}".strip()] if cell.score is not None else []
    texts += [cell.note] if cell.note else []
    for k, text in enumerate(texts):
        scores = k == 0 and cell.score is not None
        colour = (_BEST if is_best else _INK) if scores else _QUIET
        middle = (x + wide / 2, y + high + 13 + 17 * k)
        ((text, font),) = fitted([text], 13, wide, bold=is_best and scores)
        draw.text(middle, text, colour, font, anchor="mm")


def _cell_size(cells: Mapping[tuple[int, int], Cell], side: int) -> tuple[int, int]:
    """Of the pictures' own shape when they have one, else square."""
    sizes = [cell.picture.size for cell in cells.values() if cell.picture is not None]
    if not sizes:
        return side, side
    ratios = [width / height for width, height in sizes]
    ratio = max(ratios) if max(ratios) - min(ratios) < 0.01 else 1.0
    return (
        (side, max(1, round(side / ratio))) if ratio >= 1 else (max(64, round(side * ratio)), side)
    )


def _best(cells: Mapping[tuple[int, int], Cell], best: str) -> Collection[tuple[int, int]]:
    scored = {place: cell.score for place, cell in cells.items() if cell.score is not None}
    if not best or len(scored) < 2:
        return ()
    return [(max if best == "max" else min)(sorted(scored), key=scored.__getitem__)]


def _width(text: str, font: FreeTypeFont) -> int:
    return round(font.getlength(text)) + 1


def _write_upwards(sheet: Image.Image, name: str, at: tuple[int, int], room: int) -> None:
    """A line that reads from below, in the middle of ``room`` pixels from ``at`` down."""
    ((text, font),) = fitted([name], 15, room)
    line = Image.new("RGB", (max(1, _width(text, font)), 22), _PAPER)
    ImageDraw.Draw(line).text((0, 1), text, _QUIET, font)
    turned = line.transpose(Image.Transpose.ROTATE_90)
    sheet.paste(turned, (at[0], at[1] + (room - turned.height) // 2))
