"""What goes into a verb and what comes out: sources, settings, jobs, runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt
from PIL import Image as pil

from limner import pipeline
from limner.errors import ImageError, OptionError
from limner.io import images
from limner.io.arrays import SHAPES, is_array, picture_of
from limner.io.raster import Raster
from limner.io.read import raster_of
from limner.ops.selection import Selection
from limner.options import DetectOptions, FrameOptions, SegmentOptions
from limner.prompts import VisualPrompt
from limner.protocols import DROPPED, ModelRef
from limner.runs.record import Job, RunRecord, describe
from limner.session import views
from limner.session.candidates import MaskCandidates
from limner.session.original_format import cut_out, edited, framed

if TYPE_CHECKING:
    import supervision as sv
    from PIL.Image import Image

AnyImage: TypeAlias = Union["Source", "Image", str, Path, bytes, npt.NDArray[Any]]
"""What a verb takes as its image: a path, a file's bytes, a picture or an array in memory
(``io.arrays.SHAPES``), or one that was opened before."""


NOTHING: Collection[Any] = (None, False, (), [])
"""Arguments of a verb that ask for nothing: a job with them is the job without them."""


@dataclass(frozen=True)
class Source:
    """An opened input: the picture, and where it came from."""

    image: Image
    digest: str
    path: str | None = None
    notes: tuple[str, ...] = ()
    raster: Raster | None = None
    """All that the file holds, of which ``image`` is a view; None: the view is all."""

    @property
    def original(self) -> Raster:
        """The values that an edit must leave alone."""
        return self.raster or Raster(self.image)

    @classmethod
    def open(cls, image: AnyImage, *, max_pixels: int = images.MAX_PIXELS) -> Source:
        """From a path (digest of the file), or a picture in memory (digest of its pixels).

        A picture in memory may have any mode and becomes RGB as a file of it would; it is taken as
        it stands, so turn it upright first if its EXIF says so.

        Raises:
            ImageError: no usable image.
        """
        if isinstance(image, Source):
            return image
        if isinstance(image, str | Path | bytes):
            opened = images.open_image(image, max_pixels=max_pixels)
            path = None if isinstance(image, bytes) else str(image)
            return cls(opened.image, opened.digest, path, opened.notes, opened.raster)
        if is_array(image):
            image = picture_of(image)
        if not isinstance(image, pil.Image):
            raise ImageError(
                "An image is a path, a file's bytes, a PIL picture or an array "
                f"{SHAPES}; got {type(image).__name__}."
            )
        if not all(image.size):
            raise ImageError(
                f"The image is {image.width}x{image.height} pixels: there is nothing to see in it."
            )
        notes: list[str] = []
        raster = raster_of(image, notes)
        rgb = raster.view()
        return cls(rgb, images.digest(rgb), notes=tuple(notes), raster=raster)


@dataclass(frozen=True)
class FindOptions:
    """How things are found: the settings that every verb shares."""

    detect: DetectOptions = field(default_factory=DetectOptions)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    select: tuple[Selection, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether all that a phrase finds is meant, and not some of it."""
        most = DetectOptions.max_detections
        return not self.select and self.detect.max_detections >= most

    def to_dict(self) -> dict[str, Any]:
        return {
            "detect": asdict(self.detect),
            "segment": asdict(self.segment),
            "select": [selection.to_dict() for selection in self.select],
        }


Finding = FindOptions
"""Its name before; it stays."""


@dataclass(frozen=True, repr=False)
class Run:
    """A verb's result with its record. ``edits`` and ``cutout`` are absent when nothing was found.

    ``source`` is the input as opened (of an extension its canvas), ``grounding`` what was found in
    it; ``id`` names the run in the session's store, and is None where it wasn't recorded.
    ``peak_bytes`` is the most memory that was resident meanwhile; None where it wasn't recorded or
    the system doesn't tell.
    """

    record: RunRecord
    source: Source
    grounding: pipeline.Grounding
    edits: tuple[pipeline.Edit, ...] = ()
    cutout: Image | None = None
    redaction: pipeline.Redaction | None = None
    rasters: tuple[Raster, ...] = ()
    """The edits, or the cut-out, as files hold them (``io.save.save_image``): in the input's own
    depth and colour space, with its transparency."""
    id: str | None = None
    peak_bytes: int | None = None

    def __repr__(self) -> str:
        return views.line(self)

    def _repr_png_(self) -> bytes | None:
        return views.png(self)

    def _repr_html_(self) -> str:
        return views.html(self)

    @property
    def image(self) -> Image:
        """What a person looks at: the edit, the cut-out, or the input with what was found drawn in.

        Raises:
            StillVisible: a redaction that its check refused.
        """
        return views.image(self)

    @property
    def images(self) -> list[Image]:
        """All pictures that were made: several where several were painted."""
        return views.images(self)

    @property
    def detections(self) -> sv.Detections:
        """One row an object: boxes, scores, names, and masks where they were outlined."""
        return self.grounding.detections

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) float: left, top, right, bottom."""
        return self.grounding.detections.xyxy

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: the union of all objects; all False where nothing was found.

        Raises:
            OptionError: there are boxes only, as ``detect`` gives them.
        """
        return views.mask(self)

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool, one of each object; of N = 0 where nothing was outlined."""
        return views.masks(self)

    @property
    def candidates(self) -> MaskCandidates:
        """The masks that the segmenter offered for each object, to be seen side by side."""
        grounding = self.grounding
        return MaskCandidates(self.source.image, grounding.detections, grounding.prompts)

    def choose(self, candidate: int, row: int = 0) -> Run:
        """The run with another of the masks that were offered for an object.

        Args:
            candidate: its number in ``candidates``, from 0.
            row: the object, from 0.

        Returns:
            A run that no store has; its record's result says which candidate was chosen.

        Raises:
            OptionError: no such candidate, or a run that isn't one of ``segment``.

        Example:
            ``run.choose(2).mask``
        """
        if self.record.job.verb != "segment":
            raise OptionError(
                f"{self.record.job.verb} has used its mask already: choose from a run of segment, "
                "and give the mask to it as a prompt."
            )
        detections = self.candidates.chosen(candidate, row)
        chosen = {**self.record.result.get("chosen", {}), str(row): candidate}
        record = replace(self.record, result={**self.record.result, "chosen": chosen})
        grounding = replace(self.grounding, detections=detections)
        return replace(self, record=record, grounding=grounding, id=None)

    def show(self) -> None:
        """Show the picture: in a notebook below the cell, elsewhere in the system's viewer."""
        views.show(self)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the picture with its record, in the input's own depth and colour space where it is
        an edit.

        Args:
            path: what it ends in says the format: .png, .jpg, .webp, .tiff.

        Raises:
            OutputError: the place is taken or can't be written, or the format can't hold it.
            StillVisible: a redaction that its check refused.
        """
        return views.save(self, path, overwrite=overwrite)


def make_job(
    verb: str,
    prompts: Sequence[VisualPrompt],
    finding: FindOptions,
    settings: Mapping[str, Any],
    models: Mapping[str, str],
) -> Job:
    """A job from a verb's own keyword arguments; those that ask for nothing don't count."""
    options = {"finding": finding.to_dict()}
    options |= {name: _plain(value) for name, value in settings.items() if value not in NOTHING}
    return Job(verb, tuple(describe(p) for p in prompts), options, dict(models))


@dataclass(frozen=True)
class Outcome:
    """What a verb made of a picture.

    ``slots`` are those whose models may have answered, ``facts`` numbers for the record. There are
    edits, or a cut-out, or neither.
    """

    grounding: pipeline.Grounding
    slots: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[pipeline.Edit, ...] = ()
    cutout: Image | None = None
    frame: FrameOptions | None = None
    """The canvas of the cut-out; None: the picture's own."""
    redaction: pipeline.Redaction | None = None
    original: Raster | None = None
    """What was edited, where that isn't the source as it was opened."""
    continued: bool = False
    """What was painted continues its surroundings, transparent ones too."""
    keep_metadata: bool = False
    """The pictures get the source's EXIF."""


def make_run(job: Job, source: Source, outcome: Outcome, models: Sequence[ModelRef]) -> Run:
    """A run with its record; ``models`` are those that answered."""
    original = outcome.original or source.original
    if not outcome.keep_metadata:
        original = replace(original, exif=None)
    grounding, redaction = outcome.grounding, outcome.redaction
    edits, cutout = outcome.edits, outcome.cutout
    facts = dict(outcome.facts)
    rasters: tuple[Raster, ...] = ()
    if edits:
        edits, rasters = edited(original, edits, continued=outcome.continued)
    elif cutout is not None:
        cutout, raster = cut_out(original, cutout)
        if outcome.frame is not None:
            cutout, raster, box = framed(cutout, raster, outcome.frame)
            facts["frame_xyxy"] = list(box)
        rasters = (raster,)
    if redaction and edits:
        redaction = replace(redaction, edit=edits[0])
    result = {"objects": len(grounding), **facts, **_shortfall(grounding)}
    if grounding.dropped:
        result[DROPPED] = dict(grounding.dropped)
    if edits:
        result["edits"] = [edit.to_dict() for edit in edits]
    if redaction:
        result |= redaction.check_dict()
    record = RunRecord(
        job=job,
        input={"path": source.path, "digest": source.digest, "size_wh": list(source.image.size)},
        models=[model.to_dict() for model in models],
        result=result,
        seconds={**grounding.seconds, **(edits[0].seconds if edits else {})},
        notes=source.notes,
    )
    return Run(record, source, grounding, edits, cutout, redaction, rasters)


def _shortfall(grounding: pipeline.Grounding) -> dict[str, list[str]]:
    """What was asked for and not found, and what is covered by its box; absent where all was."""
    prompts, empty = grounding.prompts, grounding.empty
    covered = [pipeline.sentence_of(each, prompts) for each in empty if each.covered]
    missing = pipeline.not_found(prompts, grounding.detections, empty)
    return {
        **({"not_found": missing} if missing else {}),
        **({"covered_by_box": covered} if covered else {}),
    }


def _plain(value: Any) -> Any:
    """A setting as JSON: options by their fields, prompts by their description."""
    if isinstance(value, VisualPrompt):
        return describe(value)
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
