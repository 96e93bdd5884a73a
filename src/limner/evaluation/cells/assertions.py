"""What can be asserted: one table from a type's name to what it reads, needs and measures.

A verdict's score is 1 where the assertion holds; else how near it came (measured / bar where more
is better, bar / measured where less is), or 0 where nearness means nothing. ``not-`` before a type
turns it round. What could not be measured, because nothing was found or painted, holds neither way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from limner.evaluation.cells import measures, thresholds
from limner.evaluation.cells.cell import Ask, Assertion, Case, Cell
from limner.evaluation.cells.config_nodes import ConfigNode
from limner.evaluation.cells.measures import NotMeasured, Verdict
from limner.evaluation.cells.outcome import Judges, Outcome

Judge = Callable[[Outcome, Cell, Assertion, Judges], Verdict]
Measure = Callable[[Outcome, Cell, Assertion, Judges], float]


@dataclass(frozen=True)
class Type:
    """One kind of assertion."""

    judge: Judge
    reads: Callable[[ConfigNode, str], Any]
    """The value in a suite -> ``Assertion.value``; fails with its line."""
    default: Any = None
    """When no value stands there; with ``required`` there is none."""
    required: bool = True
    needs: frozenset[str] = frozenset()
    """Of the case: "mask", "box"; of the ask: "edit", "outline"; of itself: "reference"."""
    takes: frozenset[str] = frozenset()
    """Keys besides type, value and weight."""
    unit: str = ""
    """Of what is measured: "", "s" or "bytes"."""


def _least(measure: Measure, needs: Sequence[str] = (), takes: Sequence[str] = ()) -> Type:
    """Holds where the measure is at least the value."""

    def judge(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> Verdict:
        measured, bar = float(measure(outcome, cell, assertion, judges)), assertion.value
        holds = measured >= bar
        near = 1.0 if holds else max(measured, 0.0) / bar if bar > 0 else 0.0
        return Verdict(holds, near, measured, f"{measured:.3f}, at least {bar:g} wanted")

    reads = thresholds.cosine if set(takes) & {"text", "reference"} else thresholds.part
    return Type(judge, reads, needs=frozenset(needs), takes=frozenset(takes))


def _most(
    measure: Measure,
    reads: Callable[[ConfigNode, str], Any],
    show: Callable[[float], str],
    *,
    needs: Sequence[str] = (),
    default: float | None = None,
    unit: str = "",
) -> Type:
    """Holds where the measure is at most the value."""

    def judge(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> Verdict:
        measured, bar = float(measure(outcome, cell, assertion, judges)), assertion.value
        holds = measured <= bar
        near = 1.0 if holds else bar / measured
        return Verdict(holds, near, measured, f"{show(measured)}, at most {show(bar)} wanted")

    return Type(
        judge,
        reads,
        default=default,
        required=default is None,
        needs=frozenset(needs),
        unit=unit,
    )


TYPES: Mapping[str, Type] = MappingProxyType(
    {
        "iou": _least(measures.iou, ["mask", "outline"]),
        "boundary_f": _least(measures.boundary_f, ["mask", "outline"]),
        "box_iou": _least(measures.box_iou, ["box"]),
        "f1": _least(measures.f1, ["box"]),
        "precision": _least(measures.precision, ["box"]),
        "recall": _least(measures.recall, ["box"]),
        "count": Type(measures.count, thresholds.count),
        "detected": Type(
            measures.detected,
            thresholds.phrase,
            required=False,
            takes=frozenset({"threshold"}),
        ),
        "clip_t": _least(measures.clip_t, ["words"], ["text"]),
        "clip_i": _least(measures.clip_i, ["reference"], ["reference"]),
        "dino": _least(measures.dino, ["reference"], ["reference"]),
        "lpips_outside": _most(
            measures.lpips_outside, thresholds.amount, "{:.4f}".format, needs=["edit"]
        ),
        "outside_changed_pixels": _most(
            measures.outside_changed_pixels,
            thresholds.amount,
            "{:.0f} pixels".format,
            needs=["edit"],
            default=0.0,
            unit="px",
        ),
        "seam": _most(measures.seam, thresholds.part, "{:.3f}".format, needs=["edit"]),
        "latency": _most(measures.latency, thresholds.seconds, "{:.2f} s".format, unit="s"),
        "peak_memory": _most(
            measures.peak_memory, thresholds.size, measures.gigabytes, unit="bytes"
        ),
        "python": Type(measures.python, thresholds.function, takes=frozenset({"threshold"})),
    }
)
"""By name in a suite; each takes ``not-`` before it."""


def lacking(assertion: Assertion, case: Case, ask: Ask) -> str:
    """The first of what its type ``needs`` that can never be there; empty: nothing."""
    is_there = {
        "mask": case.mask is not None,
        "box": case.box is not None or case.mask is not None,
        "outline": ask.outlines,
        "edit": ask.repaints,
        "reference": assertion.reference is not None,
        "words": bool(assertion.text or measures.words_of_ask(ask)),
    }
    needs = TYPES[assertion.type].needs
    return next((need for need in is_there if need in needs and not is_there[need]), "")


@dataclass(frozen=True)
class Judged:
    """An assertion with its verdict."""

    assertion: Assertion
    verdict: Verdict

    @property
    def counts(self) -> bool:
        return self.assertion.weight > 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": self.assertion.name,
            "value": self.assertion.said,
            "weight": self.assertion.weight,
            "pass": bool(self.verdict.passed),
            "score": round(float(self.verdict.score), 6),
            "measured": _finite(self.verdict.measured),
            "unit": TYPES[self.assertion.type].unit,
            "reason": self.verdict.reason,
        }


def _finite(measured: float | None) -> float | None:
    """As JSON can hold it."""
    return float(measured) if measured is not None and math.isfinite(measured) else None


def judge(outcome: Outcome, cell: Cell, assertion: Assertion, judges: Judges) -> Judged:
    """One assertion's verdict.

    Raises:
        LimnerError: it can't be judged: a true mask of another size, a judge that isn't here.
    """
    try:
        verdict = TYPES[assertion.type].judge(outcome, cell, assertion, judges)
    except NotMeasured as why:
        return Judged(assertion, Verdict(False, 0.0, None, f"not measured: {why}"))
    if assertion.negated:
        opposite = not verdict.passed
        verdict = replace(
            verdict,
            passed=opposite,
            score=float(opposite),
            reason=f"the opposite of: {verdict.reason}",
        )
    return Judged(assertion, verdict)


def total(case: Case, judged: Sequence[Judged]) -> tuple[bool, float]:
    """``(passed, score)`` of a cell: promptfoo's rule.

    The score is the weighted mean. Without a threshold of the case every assertion with a weight
    must hold; with one the score must reach it, whichever hold.
    """
    counting = [judgement for judgement in judged if judgement.counts]
    weight = sum(judgement.assertion.weight for judgement in counting)
    score = 1.0
    if counting:
        score = (
            sum(judgement.verdict.score * judgement.assertion.weight for judgement in counting)
            / weight
        )
    if case.threshold is not None:
        return score >= case.threshold - 1e-9, score
    return all(judgement.verdict.passed for judgement in counting), score
