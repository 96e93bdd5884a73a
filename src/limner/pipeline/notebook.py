"""How results show themselves below the cell of a notebook: a line, pictures, a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from limner.io.save import png as encode_png
from limner.ops import detections as dets
from limner.pages import data_uri, render

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

MOST_ROWS = 50
"""Objects in a table; the rest are counted."""
WIDEST = 720
"""Pixels of a picture in a notebook: a larger one is shown smaller."""


def count_of(objects: int) -> str:
    """``1 object``, ``2 objects``."""
    return f"{objects} object{'' if objects == 1 else 's'}"


def objects_html(line: str, pictures: Iterable[Image], detections: sv.Detections) -> str:
    """Pictures, a line and a table of the objects; text is escaped."""
    return render(
        "notebook",
        line=line,
        pictures=[data_uri(png_of(picture), "png") for picture in pictures],
        rows=rows(detections, MOST_ROWS),
        more=max(0, len(detections) - MOST_ROWS),
    )


def table_html(
    line: str, pictures: Iterable[Image], columns: Sequence[str], table: Sequence[Sequence[str]]
) -> str:
    """Pictures, a line and a table of text; text is escaped."""
    uris = [data_uri(png_of(picture), "png") for picture in pictures]
    return render("notebook_table", line=line, pictures=uris, columns=columns, rows=table)


def png_of(picture: Image) -> bytes:
    """A picture's file at the size of a notebook."""
    return encode_png(small(picture))


def rows(detections: sv.Detections, most: int) -> list[dict[str, Any]]:
    """Label, score, box and area in pixels (of the outline, else of the box) of the first objects,
    ``most`` of them."""
    names = dets.class_names(detections)
    table = []
    for k, xyxy in enumerate(detections.xyxy[:most]):
        score = None if detections.confidence is None else float(detections.confidence[k])
        x0, y0, x1, y1 = (float(side) for side in xyxy)
        outlined = detections.mask is not None
        area = int(dets.crop_of(detections, k).window.sum()) if outlined else (x1 - x0) * (y1 - y0)
        table.append(
            {"label": names[k], "score": score, "box": (x0, y0, x1, y1), "area": round(area)}
        )
    return table


def small(picture: Image) -> Image:
    if max(picture.size) <= WIDEST:
        return picture
    copy = picture.copy()
    copy.thumbnail((WIDEST, WIDEST))
    return copy


def show_picture(picture: Image) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        picture.show()
        return
    if get_ipython() is None:
        picture.show()
    else:
        display(picture)
