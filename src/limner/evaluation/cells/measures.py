"""How each type of assertion looks at an outcome. Numbers are those of ``limner.evaluation``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limner.errors import InputError, LimnerError, PromptError
from limner.evaluation.cells.cell import Ask, Assertion, Cell
from limner.evaluation.cells.outcome import Judges, Outcome
from limner.evaluation.metrics import boundary, preservation, subject_fidelity
from limner.evaluation.threshold_tuning import evidence
from limner.io import images
from limner.ops import detections as dets
from limner.ops import masks
from limner.ops.detections import class_names
from limner.pipeline import Edit
from limner.prompts import BoolMask


@dataclass(frozen=True)
class Verdict:
    """Whether an assertion holds."""

    passed: bool
    score: float
    """0..1; 1 where it holds."""
    measured: float | None = None
    """The number behind it, where there is one."""
    reason: str = ""
    """What was found, and what was wanted."""


class NotMeasured(Exception):
    """There is nothing that could be measured; the reason is a clause."""


# --- found against true ---------------------------------------------------------------------------


def iou(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """IoU of all that was outlined with the true mask."""
    return masks.iou(outcome.mask, _truth(outcome, cell, judges))


def boundary_f(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """DAVIS' F of the two outlines."""
    return boundary.boundary_f(outcome.mask, _truth(outcome, cell, judges))


def box_iou(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """IoU of the box around all that was found with the true one; the true mask's, without one."""
    truth = _true_box(outcome, cell, judges)
    if outcome.box is None or truth is None:
        return 0.0
    return float(dets.iou(np.array([outcome.box]), np.array([truth], dtype=float))[0, 0])


def f1(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """Harmonic mean of precision and recall."""
    right, boxes, objects = _answered(outcome, cell, judges)
    return 2 * right / (boxes + objects) if boxes + objects else 1.0


def precision(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """Part of the found boxes that answer the true one, each box alone; 0 where none was found."""
    right, boxes, _ = _answered(outcome, cell, judges)
    return right / boxes if boxes else 0.0


def recall(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """1 where a found box answers the true one, else 0."""
    right, _, objects = _answered(outcome, cell, judges)
    return right / objects if objects else 1.0


def _answered(outcome: Outcome, cell: Cell, judges: Judges) -> tuple[int, int, int]:
    """(right boxes, found boxes, true boxes), matched as ``tune`` does, from an IoU of 0.5."""
    truth = _true_box(outcome, cell, judges)
    boxes = np.array([] if truth is None else [truth], dtype=float).reshape(-1, 4)
    detections = outcome.detections
    scores = (
        [1.0] * len(detections) if detections.confidence is None else detections.confidence.tolist()
    )
    verdict = evidence(dets.iou(detections.xyxy.astype(float), boxes), scores)
    return sum(verdict.right), len(detections), len(boxes)


def _true_box(outcome: Outcome, cell: Cell, judges: Judges) -> Sequence[float] | None:
    return cell.case.box or masks.box_of(_truth(outcome, cell, judges))


def _truth(outcome: Outcome, cell: Cell, judges: Judges) -> BoolMask:
    truth = judges.true_mask(cell)
    if truth.size_wh != outcome.image.size:
        raise PromptError(
            f"The true mask {cell.case.mask} is {truth.size_wh[0]}x{truth.size_wh[1]} pixels and "
            f"the image {outcome.image.width}x{outcome.image.height}: a mask covers the whole "
            "image, pixel for pixel."
        )
    return truth.array


# --- how many, and whether --------------------------------------------------------------------


def count(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> Verdict:
    """How many objects were found, in all."""
    number = len(outcome.detections)
    holds = assertion.value.holds(number)
    return Verdict(holds, float(holds), number, f"{number} found, {assertion.value} wanted")


def detected(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> Verdict:
    """Whether a phrase is found in the picture as it is afterwards; without a phrase: whether what
    was asked for was found."""
    wanted = assertion.value
    if wanted is None or (outcome.edit is None and wanted in _phrases(cell)):
        rows = outcome.detections
        if wanted is not None:
            rows = dets.take(rows, np.array(class_names(rows), dtype=str) == wanted)
        if assertion.threshold is not None and rows.confidence is not None:
            rows = dets.take(rows, rows.confidence >= assertion.threshold)
    else:
        rows = judges.look(cell, outcome.result, wanted, assertion.threshold)
    best = float(rows.confidence.max()) if len(rows) and rows.confidence is not None else 0.0
    what = wanted or "what was asked for"
    seen = f"found {len(rows)} time{'s' if len(rows) > 1 else ''}, best score {best:.2f}"
    return Verdict(bool(len(rows)), float(bool(len(rows))), best, f"{what}: " + (
        seen if len(rows) else "not found"
    ))  # fmt: skip


def _phrases(cell: Cell) -> set[str]:
    """Phrases that the cell itself looked for."""
    return {draft.text.phrase for draft in cell.ask.find if draft.text}


# --- likeness -------------------------------------------------------------------------------------


def clip_t(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """Cosine of the painted part, or of the found one, with its words."""
    words = assertion.text or words_of_ask(cell.ask)
    return subject_fidelity.clip_t(judges.encoder("clip"), [_part(outcome)], [words])


def words_of_ask(ask: Ask) -> str:
    """What was painted, else the phrase that was looked for; empty where neither was said."""
    phrases = [draft.text.phrase for draft in ask.find if draft.text]
    if ask.repaints and ask.paint is None:  # the phrase names what is gone
        return ""
    return ask.paint.phrase if ask.paint else ", ".join(phrases)


def clip_i(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """Cosine of the painted or found part with the reference picture, by CLIP."""
    return _like_reference(outcome, assertion, judges, "clip")


def dino(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """The same by DINO, which tells one thing from its like."""
    return _like_reference(outcome, assertion, judges, "dino")


def _like_reference(outcome: Outcome, assertion: Assertion, judges: Judges, which: str) -> float:
    part = _part(outcome)
    reference = images.open_image(assertion.reference or "").image
    encoder = judges.encoder(which)
    return subject_fidelity.mean_cosine(
        encoder.encode_images([part]), encoder.encode_images([reference])
    )


def _part(outcome: Outcome) -> Any:
    if outcome.part is None:
        raise NotMeasured("nothing was found")
    return outcome.part


# --- edits ----------------------------------------------------------------------------------------


def lpips_outside(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """LPIPS distance of the pictures before and after with the painted part put back."""
    from limner.models.blocks.perceptual import lpips

    edit = _edit(outcome)
    restored = preservation.inside_restored(outcome.image, edit.image, edit.mask)
    return lpips([outcome.image], [restored])[0]


def outside_changed_pixels(
    outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges
) -> float:
    """Pixels outside the mask in which any channel differs."""
    return _edit(outcome).outside_changed_pixels


def seam(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """How visible the border is."""
    return _edit(outcome).seam


def _edit(outcome: Outcome) -> Edit:
    if outcome.edit is None:
        raise NotMeasured("nothing was found, so nothing was painted")
    return outcome.edit


# --- costs ----------------------------------------------------------------------------------------


def latency(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """Seconds of computing, without loading the models."""
    return sum(outcome.seconds.values())


def peak_memory(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> float:
    """Most bytes that were in use while the cell was answered."""
    if outcome.peak_bytes is None:
        raise NotMeasured("this system doesn't tell how much memory was in use")
    return outcome.peak_bytes


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


# --- anything else --------------------------------------------------------------------------------


def python(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> Verdict:
    """A function of the suite's own: ``check(outcome, case)``.

    It returns a truth value, a score from 0 to 1 (which passes at ``threshold``, or above 0), a
    ``Verdict``, or a mapping with ``pass``, ``score`` and ``reason`` as promptfoo's do.
    """
    path, name = assertion.value
    where = f"{path.name}:{name}"
    try:
        given = _function(path, name)(outcome, cell.case)
        return _verdict(given, assertion.threshold, where)
    except (LimnerError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # theirs: whatever it is, sys.exit too, it is this cell's error
        raise InputError(f"{where} raised {_error_text(error)}") from error


def _error_text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:  # a __str__ of theirs
        return type(error).__name__


def _function(path: Path, name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(f"limner_suite_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


def _verdict(given: Any, threshold: float | None, where: str) -> Verdict:
    if isinstance(given, Verdict):
        return given
    reason = f"{where} says {given!r:.80}"
    if isinstance(given, bool | np.bool_):
        return Verdict(bool(given), float(given), None, reason)
    score: Any = given
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - {"pass", "score", "reason"})
        if unknown or not given:
            raise InputError(f"{where} returns pass, score and reason; got {given!r:.80}.")
        score = given.get("score", float(bool(given.get("pass"))))
        reason = str(given.get("reason", reason))
    if not isinstance(score, int | float | np.number) or not 0 <= score <= 1:
        raise InputError(
            f"{where} returns true or false, a score from 0 to 1, or pass, score and reason; "
            f"got {given!r:.80}."
        )
    passed = score >= threshold if threshold is not None else score > 0
    if isinstance(given, Mapping) and "pass" in given:
        passed = bool(given["pass"])
    return Verdict(bool(passed), float(score), float(score), reason)
