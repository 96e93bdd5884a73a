"""What ``score detect``, ``score segment`` and ``tune`` share: labels, the report, charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.cli.options.charts import draw_charts, ranked_charts
from limner.errors import InputError, OptionError

if TYPE_CHECKING:
    from limner.evaluation.datasets import Dataset
    from limner.evaluation.metrics.average_precision import IouType


def asked_by_name(given: Mapping[str, Any], data: Dataset) -> Dataset:
    """The labels whose classes are asked for by their names: all, unless some were named."""
    return data if given["classes"] else data.askable()


def draw_ranked(
    given: Mapping[str, Any],
    data: Dataset,
    rows: Sequence[dict[str, Any]],
    kind: IouType,
    threshold: float | None = None,
) -> None:
    """Where charts are asked for, those of COCO's result rows, right or wrong at IoU 0.5."""
    from limner.evaluation.metrics.matching import matched

    if given["charts"]:
        names = dict(zip(data.category_ids, data.names, strict=True))
        draw_charts(given, ranked_charts(matched(data.truth, rows, kind, names), threshold))


def check_either(given: dict[str, Any], predictions: Path | None, of_model: Sequence[str]) -> None:
    """Refuse settings of a model where none is asked."""
    if predictions is None:
        return
    if not predictions.exists():
        raise InputError(f"There is no {predictions}: expected predictions to score.")
    idle = [f"--{name.replace('_', '-')}" for name in of_model if given.get(name) is not None]
    if idle:
        have = "have" if len(idle) > 1 else "has"
        raise OptionError(
            f"{' and '.join(idle)} {have} no effect with --predictions: no model is run."
        )


def report(
    what: str,
    given: dict[str, Any],
    data: Dataset,
    models: list[dict[str, Any]],
    scores: Any,
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
