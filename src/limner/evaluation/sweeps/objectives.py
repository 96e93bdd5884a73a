"""What settings are scored by: one table, from an objective's name to how it is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from limner.evaluation.cells.assertions import TYPES, lacking
from limner.evaluation.cells.cell import Ask, Assertion, Case
from limner.evaluation.cells.config_nodes import ConfigNode
from limner.evaluation.cells.templates import near

RATING = "rating"
"""What people give: it is read from the store of runs, and no model measures it."""

MAX, MIN = "max", "min"


@dataclass(frozen=True)
class Measure:
    """One row of ``MEASURES``."""

    better: str
    """Which end is better, ``MAX`` or ``MIN``, unless the recipe says otherwise."""
    bar: Any
    """What every score passes: assertions of suites are asked, only to measure."""


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "clip_t": Measure(MAX, -1.0),
        "clip_i": Measure(MAX, -1.0),
        "dino": Measure(MAX, -1.0),
        "iou": Measure(MAX, 0.0),
        "boundary_f": Measure(MAX, 0.0),
        "box_iou": Measure(MAX, 0.0),
        "f1": Measure(MAX, 0.0),
        "precision": Measure(MAX, 0.0),
        "recall": Measure(MAX, 0.0),
        "seam": Measure(MIN, 1.0),
        "lpips_outside": Measure(MIN, math.inf),
        "latency": Measure(MIN, math.inf),
        "peak_memory": Measure(MIN, math.inf),
    }
)
"""By name: assertions of suites whose measure is a number with a better end."""

OBJECTIVES = (*MEASURES, RATING)


@dataclass(frozen=True)
class Measures:
    """Measures to be taken, and where the recipe asks for them."""

    assertions: tuple[Assertion, ...]
    spots: tuple[ConfigNode, ...]

    def check(self, case: Case, ask: Ask) -> None:
        """Refuse what can never be measured of a picture.

        Raises:
            RecipeError: the true outline is missing, or nothing is painted, …
        """
        for assertion, spot in zip(self.assertions, self.spots, strict=True):
            if need := lacking(assertion, case, ask):
                spot.fail(f"{assertion.type} {_sentences(case, ask)[need]}")


def read_measure(
    spot: ConfigNode, text: ConfigNode | None, reference: ConfigNode | None
) -> Assertion:
    """A measure by its name, as an assertion that judges nothing.

    Args:
        text, reference: what pictures are compared with, of measures that compare.
    """
    name = read_name(spot, tuple(MEASURES))
    takes = TYPES[name].takes
    return Assertion(
        type=name,
        value=MEASURES[name].bar,
        weight=0.0,
        text=text.text("text") if text and "text" in takes else None,
        reference=_beside(reference) if reference and "reference" in takes else None,
    )


def read_name(spot: ConfigNode, known: tuple[str, ...]) -> str:
    """Raises:
    RecipeError: there is no such measure.
    """
    name = spot.text("A measure")
    if name not in known:
        spot.fail(
            f"Nothing is measured as {name!r}.{near(name, known)} There are {', '.join(known)}."
        )
    return name


def _beside(spot: ConfigNode) -> Path:
    path = spot.path.parent / spot.text("reference")
    if not path.is_file():
        spot.fail(f"There is no picture {path}; files are looked for beside the recipe.")
    return path


def _sentences(case: Case, ask: Ask) -> Mapping[str, str]:
    """What is said of each need that can't be met, as the rest of a sentence."""
    return {
        "mask": f'needs the true outline of {case.name}: mask = "truth.png".',
        "box": f"needs the true box or outline of {case.name}: box = [left, top, right, bottom].",
        "outline": "needs an outline, and detect gives boxes: take box_iou.",
        "edit": f"is about what was painted, and {ask.verb} paints nothing.",
        "reference": 'needs the picture to be like: reference = "cup.png" in [search].',
        "words": f'has no words to compare with in "{ask.label}": text = "…" in [search].',
    }
