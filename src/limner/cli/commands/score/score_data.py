"""What is scored: rows of a result file, and the report of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import InputError, OptionError

if TYPE_CHECKING:
    from limner.evaluation.datasets import Dataset
    from limner.evaluation.metrics.average_precision import IouType
    from limner.evaluation.metrics.matching import Matched


def matched_of(data: Dataset, rows: Sequence[dict[str, Any]], kind: IouType) -> list[Matched]:
    """The results of each class by name, right or wrong at IoU 0.5."""
    from limner.evaluation.metrics.matching import matched

    return matched(data.truth, rows, kind, dict(zip(data.category_ids, data.names, strict=True)))


def check_either(given: dict[str, Any], predictions: Path | None, of_model: Sequence[str]) -> None:
    """Refuse settings of a model where none is asked."""
    if predictions is None:
        return
    if not predictions.exists():
        raise InputError(f"There is no {predictions}: expected predictions to score.")
    said = [f"--{name.replace('_', '-')}" for name in of_model if given.get(name) is not None]
    if said:
        have = "have" if len(said) > 1 else "has"
        raise OptionError(
            f"{' and '.join(said)} {have} no effect with --predictions: no model is run."
        )


def report(
    what: str,
    given: dict[str, Any],
    data: Dataset,
    models: list[dict[str, Any]],
    scores: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """What is written, as JSON values."""
    return {
        "what": what,
        "data": {
            "source": str(data.source),
            "images": len(data),
            "objects": sum(len(image.objects) for image in data.images),
            "classes": list(data.names),
        },
        "predictions": str(given["predictions"]) if given.get("predictions") else None,
        "models": models,
        "scores": scores,
        "notes": list(data.notes),
        **more,
    }
