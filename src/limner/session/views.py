"""A run as a person sees it: a line, a picture, a table, a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from limner.errors import OptionError, StillVisible
from limner.io.save import save_image
from limner.ops import detections as dets
from limner.ops.overlay import overlay
from limner.pipeline.dropped import dropped_sentence
from limner.pipeline.notebook import count_of, objects_html, png_of, show_picture
from limner.verbs import VERBS, Picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from limner.io.raster import Raster
    from limner.pipeline import Edit, Grounding, Redaction
    from limner.runs.record import RunRecord


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
    facts = [count_of(len(run.grounding))]
    if run.grounding.dropped:
        facts.append(dropped_sentence(run.grounding.dropped))
    if run.edits:
        facts.append(f"{run.edits[0].outside_changed_pixels} pixels changed outside the mask")
        if run.edits[0].seed is not None:
            facts.append(f"seed {run.edits[0].seed}")
    width, height = run.source.image.size
    return f"Run({run.record.job.verb} of {width}x{height}: {', '.join(facts)})"


def png(run: Viewed) -> bytes | None:
    """For notebooks; none of a redaction that was refused."""
    return None if is_refused(run) else png_of(image(run))


def html(run: Viewed) -> str:
    """A table of the objects under the picture, or before and after; text is escaped."""
    pictures = [] if is_refused(run) else [image(run)]
    if run.edits and pictures and not VERBS[run.record.job.verb].is_private:
        pictures.insert(0, run.source.image)
    return objects_html(line(run), pictures, run.grounding.detections)


def show(run: Viewed) -> None:
    show_picture(image(run))
