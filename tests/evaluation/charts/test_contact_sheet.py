"""A sweep's contact sheet: every cell at its place, unscaled colours, the best one framed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from limner.errors import InputError
from limner.evaluation.charts.contact_sheet import Axis, Cell, contact_sheet

COLUMNS, ROWS = Axis("guidance_scale", ("1", "4", "7.5")), Axis("strength", ("0.5", "1.0"))
FRAME = (0, 114, 178)


def colour(row: int, column: int) -> tuple[int, int, int]:
    return 40 + 100 * row, 30 + 90 * column, 200


def cells() -> dict[tuple[int, int], Cell]:
    return {
        (row, column): Cell(Image.new("RGB", (300, 200), colour(row, column)), row + column / 10)
        for row in range(2)
        for column in range(3)
    }


def areas(sheet: Image.Image) -> dict[tuple[int, int, int], int]:
    colours, counts = np.unique(np.asarray(sheet).reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(map(int, c)): int(n) for c, n in zip(colours, counts, strict=True)}  # type: ignore[misc]


def test_every_picture_is_there_whole_and_in_its_place() -> None:
    sheet = contact_sheet(COLUMNS, ROWS, cells(), title="a red van", score="CLIP-T", side=150)
    seen = areas(sheet)
    assert [seen[colour(r, c)] for r in range(2) for c in range(3)] == [150 * 100] * 6
    pixels = np.asarray(sheet)
    places = {
        (r, c): tuple(np.argwhere((pixels == colour(r, c)).all(axis=2)).mean(axis=0))
        for r in range(2)
        for c in range(3)
    }
    for c in range(2):
        assert places[0, c][1] < places[0, c + 1][1]
    assert places[0, 0][0] < places[1, 0][0]


def test_the_best_is_framed_by_its_own_measure() -> None:
    for best, where in (("max", (1, 2)), ("min", (0, 0))):
        pixels = np.asarray(contact_sheet(COLUMNS, ROWS, cells(), best=best, side=150))
        framed = np.argwhere((pixels == FRAME).all(axis=2))
        inside = np.argwhere((pixels == colour(*where)).all(axis=2))
        assert np.abs(framed.mean(axis=0) - inside.mean(axis=0)).max() < 12
    assert FRAME not in areas(contact_sheet(COLUMNS, ROWS, cells(), best="", side=150))


def test_a_cell_without_a_picture_says_why_and_the_rest_stays() -> None:
    made = cells()
    blank = contact_sheet(COLUMNS, ROWS, {**made, (1, 1): Cell(None)}, side=150)
    noted = contact_sheet(COLUMNS, ROWS, {**made, (1, 1): Cell(None, note="no memory")}, side=150)
    assert blank.size == noted.size
    assert colour(1, 1) not in areas(noted)
    differs = np.argwhere((np.asarray(blank) != np.asarray(noted)).any(axis=2))
    assert 0 < len(differs) < 1000


def test_the_same_sweep_is_the_same_picture_whatever_the_order_of_its_cells() -> None:
    made = cells()
    again = dict(reversed(made.items()))
    assert contact_sheet(COLUMNS, ROWS, made) == contact_sheet(COLUMNS, ROWS, again)


def test_long_values_are_cut_and_pictures_of_two_shapes_fit() -> None:
    columns = Axis("paint", ("a red leather sofa in the style of the nineteen seventies", "b"))
    made = {
        (0, 0): Cell(Image.new("RGB", (400, 100), "red"), 0.5),
        (0, 1): Cell(Image.new("RGB", (100, 400), "blue"), 0.6),
    }
    sheet = contact_sheet(columns, Axis("", ("x" * 200,)), made, best="", side=160)
    seen = areas(sheet)
    assert seen[255, 0, 0] == seen[0, 0, 255] == 160 * 40
    assert sheet.width < 700


@pytest.mark.parametrize(
    ("columns", "place", "sentence"),
    [
        (Axis("a", ()), (0, 0), "at least one value"),
        (Axis("a", ("1",)), (0, 1), "outside the sheet of 2 rows and 1 columns"),
    ],
)
def test_what_has_no_place_is_said(columns: Axis, place: tuple[int, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        contact_sheet(columns, ROWS, {place: Cell(None)})
