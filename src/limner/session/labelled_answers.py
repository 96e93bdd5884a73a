"""What is answered about labelled pictures, picture by picture: boxes, outlines, clicks.

The answers are a session's, or lie in a folder of masks or in COCO's result rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.io.limits import MAX_PIXELS
from limner.ops import detections as dets
from limner.ops.detections import mask_of
from limner.options import DetectOptions, SegmentOptions
from limner.prompts import Box, Point, Text, VisualPrompt
from limner.session.prompt_files import Opener
from limner.session.results import FindOptions, Source

if TYPE_CHECKING:
    from limner.evaluation.datasets import Dataset, LabelledImage, TrueObject
    from limner.evaluation.metrics.segmentation import Named
    from limner.evaluation.threshold_tuning import Evidence
    from limner.prompts import BoolMask
    from limner.protocols import OnStep, Say
    from limner.session.verb_session import VerbSession

    MaskAnswers = Iterator[tuple[LabelledImage, list[Named], list[dict[str, Any]]]]
    """For each picture its masks, and its COCO rows where there are scores."""

BY_WORDS = "text"
"""How objects are prompted for: by their classes' names; else each by its box or by a point."""


def labelled_sources(
    data: Dataset, on_step: OnStep | None = None
) -> Iterator[tuple[LabelledImage, Source]]:
    """Each labelled picture, opened.

    Args:
        on_step: counts those that were done with.

    Raises:
        ImageError, InputError: a picture that can't be read, or of another size than its labels.
    """
    for number, image in enumerate(data.images, start=1):
        source = Source.open(image.path)
        image.check_size(source.image.size)
        yield image, source
        if on_step is not None:
            on_step(number, len(data))


# --- boxes ----------------------------------------------------------------------------------------


def boxes_by_words(
    session: VerbSession, data: Dataset, options: DetectOptions, on_step: OnStep | None = None
) -> list[dict[str, Any]]:
    """COCO result rows of every class asked by name on every picture."""
    from limner.evaluation import results_from

    prompts = [VisualPrompt(text=Text(name)) for name in data.names]
    rows: list[dict[str, Any]] = []
    for image, source in labelled_sources(data, on_step):
        run = session.detect(source, prompts, finding=FindOptions(detect=options))
        rows += results_from(run.grounding.detections, image.id, data.category_ids)
    return rows


def evidence_by_phrase(
    session: VerbSession,
    data: Dataset,
    options: DetectOptions,
    least_iou: float,
    on_step: OnStep | None = None,
) -> Mapping[str, list[Evidence]]:
    """What each picture says of each phrase that the labels have."""
    import numpy as np

    from limner.evaluation.threshold_tuning import evidence

    phrases = data.present
    prompts = [VisualPrompt(text=Text(phrase)) for phrase in phrases]
    seen: dict[str, list[Evidence]] = {phrase: [] for phrase in phrases}
    for image, source in labelled_sources(data, on_step):
        run = session.detect(source, prompts, finding=FindOptions(detect=options))
        detections = run.grounding.detections
        for k, phrase in enumerate(phrases):
            rows = dets.take(detections, detections.class_id == k)
            true = [o.xyxy for o in image.objects if o.name == phrase and not o.crowd]
            scores = [] if rows.confidence is None else rows.confidence.tolist()
            shares = dets.iou(rows.xyxy, np.array(true, dtype=float).reshape(-1, 4))
            seen[phrase].append(evidence(shares, scores, least_iou))
    return seen


# --- outlines -------------------------------------------------------------------------------------


def masks_by_model(session: VerbSession, data: Dataset, prompted_by: str) -> MaskAnswers:
    """A session's outlines.

    Args:
        prompted_by: ``BY_WORDS``, ``box`` or ``point``.
    """
    from limner.evaluation import results_from

    by_words = [VisualPrompt(text=Text(name)) for name in data.names]
    for image, source in labelled_sources(data):
        objects = [each for each in image.objects if not each.crowd]
        names: Sequence[str] = data.names
        prompts = by_words
        if prompted_by != BY_WORDS:
            names = [each.name for each in objects]
            prompts = [_pointed_at(each, prompted_by) for each in objects]
        if not prompts:
            yield image, [], []
            continue
        detections = session.segment(source, prompts).grounding.detections
        rows = []
        if prompted_by == BY_WORDS:
            rows = results_from(detections, image.id, data.category_ids)
        indices = detections.class_id
        masks = [
            (names[int(indices[k])] if indices is not None else None, mask_of(detections, k))
            for k in range(len(detections))
        ]
        yield image, masks, rows


def _pointed_at(thing: TrueObject, by: str) -> VisualPrompt:
    """A labelled object as a person would show it: its box, or a click deepest inside it."""
    from limner.evaluation import first_click

    if by == "box":
        return VisualPrompt(box=Box(*thing.xyxy))
    return VisualPrompt(points=(Point(*first_click(thing.mask)),))


def masks_in_folder(data: Dataset, folder: Path, notify: Say) -> tuple[Dataset, MaskAnswers]:
    """The labels with a note of masks that answer none of them, and the masks."""
    from limner.evaluation.datasets.mask_folder import files_of
    from limner.evaluation.datasets.predictions import names_of

    files, notes = files_of(folder, names_of(data), data.names)
    answers: MaskAnswers = (
        (image, [(name, _mask(path, notify)) for path, name in files.get(image.id, ())], [])
        for image in data.images
    )
    return replace(data, notes=(*data.notes, *notes)), answers


def _mask(path: Path, notify: Say) -> BoolMask:
    """A mask picture; an all black one is an answer too: nothing."""
    import numpy as np

    opener = Opener(MAX_PIXELS, notify)
    brightness = np.asarray(opener.open(path).image.convert("L"))
    if not brightness.any():
        return np.zeros_like(brightness, dtype=bool)
    return opener.mask(str(path)).array


def masks_in_rows(data: Dataset, rows: Sequence[dict[str, Any]]) -> MaskAnswers:
    """The outlines of COCO's result rows."""
    from limner.evaluation.metrics.average_precision import Truth
    from limner.ops import masks

    truth = Truth.read(data.truth, "segm")
    names = dict(zip(data.category_ids, data.names, strict=True))
    of_image: dict[int, list[Named]] = {image.id: [] for image in data.images}
    for number, row in enumerate(rows):
        result = truth.result(number, row, "segm")
        mask = masks.from_rle(result["segmentation"])
        of_image[result["image_id"]].append((names[result["category_id"]], mask))
    for image in data.images:
        yield image, of_image[image.id], []


# --- clicks ---------------------------------------------------------------------------------------


def ious_by_click(
    session: VerbSession, data: Dataset, limit: int, on_step: OnStep | None = None
) -> list[dict[str, Any]]:
    """For each labelled object ``image``, ``name`` and ``ious``, after each of ``limit`` simulated
    clicks at most."""
    return [
        {
            "image": image.path.name,
            "name": thing.name,
            "ious": _clicked(session, source, thing, limit),
        }
        for image, source in labelled_sources(data, on_step)
        for thing in image.objects
        if not thing.crowd
    ]


def _clicked(session: VerbSession, source: Source, thing: TrueObject, limit: int) -> list[float]:
    """IoU after each click; the model gets all clicks so far, and not its own last mask."""
    from limner.evaluation import simulate

    segmenter = session.models.segmenter
    embedding = session.stages.embed(segmenter, source.image)

    def answer(points: Any, before: Any) -> Any:
        prompt = VisualPrompt(points=tuple(points))
        return mask_of(segmenter.segment(embedding, [prompt], SegmentOptions()), 0)

    return simulate(answer, thing.mask, limit)
