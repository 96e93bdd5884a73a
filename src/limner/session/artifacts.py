"""A run's files: what went in, and what came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as pil

from limner.io import coco as export
from limner.io.decode import identify
from limner.io.save import png
from limner.runs.entries import COCO, MASK, PICTURE
from limner.session import views
from limner.session.results import Run, Source

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Output:
    """A file of a run, to be kept."""

    role: str
    data: bytes
    suffix: str
    position: int = 0


def input_of(source: Source) -> tuple[bytes, str]:
    """The input and its suffix: the file itself as long as it is the one that was opened, else the
    pixels as PNG."""
    if source.path is not None:
        try:
            data = Path(source.path).read_bytes()
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() == source.digest:
            return data, f".{identify(data, source.path).lower()}"
    return png(source.image), ".png"


def outputs_of(run: Run) -> Iterator[Output]:
    """Pictures, the union of all masks, and COCO JSON with every mask.

    A redaction that its check refused has no picture: what is still visible in it isn't kept.
    """
    detections, image = run.grounding.detections, run.source.image
    name = Path(run.source.path).name if run.source.path else "image"
    names = export.asked_names(run.grounding.prompts)
    listing = export.coco([(name, image.size, detections)], names)
    yield Output(COCO, json.dumps(listing).encode(), ".json")
    if not len(detections):
        return
    if detections.mask is not None:
        yield Output(MASK, png(pil.fromarray(np.asarray(run.grounding.mask))), ".png")
    for position, picture in enumerate(pictures_of(run)):
        yield Output(PICTURE, png(picture), ".png", position)


def pictures_of(run: Run) -> list[Image]:
    """What a person looks at: the edits, the cut-out, or the overlay of what was found."""
    return [] if views.is_refused(run) else views.pictures_of(run)
