"""A run as a person sees it: a line, a picture, a table, a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from limner.errors import OptionError, StillVisible
from limner.io.save import png as encode_png
from limner.io.save import save_image
from limner.ops import detections as dets
from limner.ops.overlay import overlay
from limner.pages import data_uri, render
from limner.verbs import VERBS, Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from PIL.Image import Image

    from limner.io.raster import Raster
    from limner.pipeline import Edit, Grounding, Redaction
    from limner.runs.record import RunRecord

MOST_ROWS = 50
"""Objects in a table; the rest are counted."""
WIDEST = 720
"""Pixels of a picture in a notebook: a larger one is shown smaller."""


class Source(Protocol):
    @property
    def image(self) -> Image: ...


class Viewed(Protocol):
    """What of a run is looked at."""

    @property
    def record(self) -> RunRecord: ...
    @property
    def source(self) -> Source: ...
    @property
    def grounding(self) -> Grounding: ...
    @property
    def edits(self) -> Sequence[Edit]: ...
    @property
    def cutout(self) -> Image | None: ...
    @property
    def redaction(self) -> Redaction | None: ...
    @property
    def rasters(self) -> Sequence[Raster]: ...


def images(run: Viewed) -> list[Image]:
    """The pictures of a run; the input where a verb that changes found nothing to change.

    Raises:
        StillVisible: a redaction that its check refused.
    """
    check_hidden(run)
    return pictures_of(run) or [run.source.image]


def pictures_of(run: Viewed) -> list[Image]:
    """The edits, the cut-out, or the overlay of what was found; none where there is none."""
    if run.cutout is not None:
        return [run.cutout]
    if VERBS[run.record.job.verb].output is Picture.OVERLAY and len(run.grounding):
        return [overlay(run.source.image, run.grounding.detections, run.grounding.prompts)]
    return [edit.image for edit in run.edits]


def image(run: Viewed) -> Image:
    return images(run)[0]


def mask(run: Viewed) -> np.ndarray:
    """(H, W) bool: the union.

    Raises:
        OptionError: boxes only.
    """
    if len(run.grounding) and run.grounding.detections.mask is None:
        raise OptionError("These are boxes only, which detect gives: segment outlines things.")
    return run.grounding.mask


def masks(run: Viewed) -> np.ndarray:
    """(N, H, W) bool."""
    detections = run.grounding.detections
    width, height = run.grounding.size_wh
    if detections.mask is None or not len(detections):
        return np.zeros((0, height, width), bool)
    return np.stack([dets.mask_of(detections, k) for k in range(len(detections))])


def is_refused(run: Viewed) -> bool:
    """Whether it is a redaction whose check found again what was to be hidden."""
    return run.redaction is not None and run.redaction.verified is False


def check_hidden(run: Viewed) -> None:
    """Refuse a redaction whose check found again what was to be hidden."""
    if is_refused(run):
        raise StillVisible(
            "What was to be hidden can still be found after redaction: use a larger dilate, or "
            "point at what is left with a box."
        )


def save(run: Viewed, path: str | Path, *, overwrite: bool) -> Path:
    check_hidden(run)
    picture: Image | Raster = run.rasters[0] if run.rasters else image(run)
    return save_image(picture, path, record=run.record.to_dict(), overwrite=overwrite)


def line(run: Viewed) -> str:
    """``Run(edit: 1 object, 0 pixels changed outside, seed 3)``."""
    count = len(run.grounding)
    facts = [f"{count} object{'' if count == 1 else 's'}"]
    if run.edits:
        facts.append(f"{run.edits[0].outside_changed_pixels} pixels changed outside the mask")
        if run.edits[0].seed is not None:
            facts.append(f"seed {run.edits[0].seed}")
    width, height = run.source.image.size
    return f"Run({run.record.job.verb} of {width}x{height}: {', '.join(facts)})"


def png(run: Viewed) -> bytes | None:
    """For notebooks; none of a redaction that was refused."""
    return None if is_refused(run) else png_of(image(run))


def png_of(picture: Image) -> bytes:
    """A picture's file at the size of a notebook."""
    return encode_png(small(picture))


def table_html(
    line: str, pictures: Iterable[Image], columns: Sequence[str], table: Sequence[Sequence[str]]
) -> str:
    """Pictures, a line and a table of text; text is escaped."""
    uris = [data_uri(png_of(picture), "png") for picture in pictures]
    return render("notebook_table", line=line, pictures=uris, columns=columns, rows=table)


def html(run: Viewed) -> str:
    """A table of the objects under the picture, or before and after; text is escaped."""
    pictures = [] if is_refused(run) else [image(run)]
    if run.edits and pictures and not VERBS[run.record.job.verb].is_private:
        pictures.insert(0, run.source.image)
    return render(
        "notebook",
        line=line(run),
        pictures=[data_uri(png_of(picture), "png") for picture in pictures],
        rows=rows(run.grounding, MOST_ROWS),
        more=max(0, len(run.grounding) - MOST_ROWS),
    )


def rows(grounding: Grounding, most: int) -> list[dict[str, Any]]:
    """Label, score, box and area in pixels (of the outline, else of the box) of the first objects,
    ``most`` of them."""
    detections = grounding.detections
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


def show(run: Viewed) -> None:
    show_picture(image(run))


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
