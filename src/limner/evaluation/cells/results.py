"""What became of a cell: plain values that go to the journal, to reports and between processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limner.evaluation.cells.assertions import Judged, total
from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.outcome import Outcome

PASS, FAIL, ERROR = "pass", "fail", "error"
STATUSES = (PASS, FAIL, ERROR)
"""Best first."""


@dataclass(frozen=True)
class CellResult:
    """One cell, answered and judged; or the sentence of what went wrong."""

    key: str
    """``Cell.key``."""
    name: str
    """``Cell.name``."""
    status: str
    """One of ``STATUSES``."""
    score: float = 0.0
    """Weighted mean of the assertions' scores, 0..1."""
    verdicts: tuple[Mapping[str, Any], ...] = ()
    """``Judged.to_dict`` of every assertion."""
    error: str = ""
    found: int | None = None
    """Objects; None of a cell with an error."""
    seconds: float | None = None
    """Of computing, without loading models."""
    peak_bytes: int | None = None
    models: tuple[str, ...] = ()
    """Names of those that answered."""
    picture: str = ""
    """File name in the pictures' folder; empty: none."""
    run: str = ""
    """Id of the run in the store; empty: it wasn't recorded."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CellResult:
        """Inverse of ``to_dict``.

        Raises:
            ValueError, TypeError, KeyError: this is none.
        """
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items()
        }
        result = cls(**values)
        if result.status not in STATUSES:
            raise ValueError(result.status)
        return result


def judged_result(
    cell: Cell, outcome: Outcome, judged: Sequence[Judged], picture: str
) -> CellResult:
    """The result of a cell that was answered."""
    passed, score = total(cell.case, judged)
    return CellResult(
        key=cell.key,
        name=cell.name,
        status=PASS if passed else FAIL,
        score=score,
        verdicts=tuple(judgement.to_dict() for judgement in judged),
        found=len(outcome.detections),
        seconds=sum(outcome.seconds.values()),
        peak_bytes=outcome.peak_bytes,
        models=outcome.models,
        picture=picture,
        run=outcome.run,
    )


def broken_result(cell: Cell, sentence: str, run: str = "") -> CellResult:
    """The result of a cell that could not be answered or judged."""
    text = " ".join(sentence.split())
    return CellResult(key=cell.key, name=cell.name, status=ERROR, error=text, run=run)


def counts(results: Sequence[CellResult]) -> dict[str, int]:
    """How many of each status."""
    return {status: sum(result.status == status for result in results) for status in STATUSES}
