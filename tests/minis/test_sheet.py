"""The sheet of what the painter paints has every noun in its place."""

from __future__ import annotations

import numpy as np

from minis import sheet


def test_groups_stand_row_by_row_with_their_pictures_under_their_names() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]
    groups = [
        sheet.labelled([np.full((64, 64, 3), colour, np.uint8)] * sheet.SEEDS, "noun")
        for colour in colours
    ]
    table = np.asarray(sheet.table(groups))
    middle = sheet.GAP + sheet.LABEL + sheet.SIDE // 2
    down = sheet.SIDE + sheet.LABEL + sheet.GAP
    across = sheet.SIDE * sheet.SEEDS + sheet.GAP
    for k, colour in enumerate(colours):
        row, column = divmod(k, sheet.NOUNS_A_ROW)
        x, y = sheet.GAP + across * column + 5, middle + down * row
        assert tuple(table[y, x]) == colour
    assert (table[middle + down, sheet.GAP + across + 5] == 255).all(), "nothing after the last"
