"""``[search]``: which of the settings are tried, in which order, and what they are scored by."""

from __future__ import annotations

from dataclasses import dataclass

from limner.evaluation.cells.config_nodes import ConfigNode
from limner.evaluation.cells.templates import near
from limner.evaluation.sweeps.objectives import (
    MAX,
    MEASURES,
    MIN,
    OBJECTIVES,
    RATING,
    Measures,
    read_measure,
    read_name,
)

GRID, RANDOM = "grid", "random"
SAMPLERS = {"tpe": "TPESampler", "gp": "GPSampler", "qmc": "QMCSampler", "nsgaii": "NSGAIISampler"}
"""Methods of Optuna's, by our names; those that need packages of their own are left out."""
METHODS = (GRID, RANDOM, *SAMPLERS)

KEYS = (
    "method", "trials", "objective", "direction", "seed", "batch", "measure", "text", "reference",
)  # fmt: skip
DIRECTIONS = {"maximize": MAX, "maximise": MAX, "max": MAX,
              "minimize": MIN, "minimise": MIN, "min": MIN}  # fmt: skip

RATED_AT_ONCE = 6
"""Settings that a search by ratings shows before it waits for people."""
MOST_TRIALS = 100_000


@dataclass(frozen=True)
class Search:
    """How a sweep goes through its settings."""

    method: str = GRID
    trials: int | None = None
    """How many settings are tried; None: all of a grid."""
    objective: str | None = None
    """A key of ``OBJECTIVES``; None: pictures are made and not scored."""
    better: str = MAX
    """Which end of the score is better, ``MAX`` or ``MIN``."""
    seed: int = 0
    batch: int | None = None
    """Settings that are proposed before their scores are told; None: as many as workers."""

    @property
    def uses_optuna(self) -> bool:
        return self.method in SAMPLERS

    @property
    def waits(self) -> bool:
        """Whether people must rate what was made before more is proposed."""
        return self.uses_optuna and self.objective == RATING


def read_search(spot: ConfigNode | None) -> tuple[Search, Measures]:
    """The search, and what is measured of every cell: the objective first.

    Raises:
        RecipeError: no such method or objective, or what they need is missing.
    """
    if spot is None:
        return Search(), Measures((), ())
    entry = spot.mapping("[search]", KEYS)
    method = entry["method"].text("method") if "method" in entry else GRID
    if method not in METHODS:
        entry["method"].fail(
            f"There is no method {method!r}.{near(method, METHODS)} There are {', '.join(METHODS)}."
        )
    measured = [*entry["measure"].items("measure")] if "measure" in entry else []
    objective = None
    if "objective" in entry:
        objective = read_name(entry["objective"], OBJECTIVES)
        if objective != RATING:
            measured.insert(0, entry["objective"])
    texts = entry.get("text"), entry.get("reference")
    assertions = tuple(read_measure(measure, *texts) for measure in measured)
    _check_different(assertions, measured)
    for key, value in zip(("text", "reference"), texts, strict=True):
        if value and not any(getattr(measure, key) for measure in assertions):
            value.fail(f"{key} has no effect: no measure here compares with it.")
    search = Search(
        method,
        entry["trials"].whole_number("trials", 1, MOST_TRIALS) if "trials" in entry else None,
        objective,
        _better(entry.get("direction"), objective),
        entry["seed"].whole_number("seed", 0, 2**32 - 2) if "seed" in entry else 0,
        entry["batch"].whole_number("batch", 1, 1000) if "batch" in entry else None,
    )
    _check(search, entry, spot)
    return search, Measures(assertions, tuple(measured))


def _check(search: Search, entry: dict[str, ConfigNode], spot: ConfigNode) -> None:
    if search.method == GRID:
        for key in ("trials", "seed", "batch"):
            if key in entry:
                entry[key].fail(f"{key} has no effect on a grid, of which all is tried.")
    elif search.trials is None:
        spot.fail(f"{search.method} needs to know how much to try: trials = 24.")
    if search.method == RANDOM and "batch" in entry:
        entry["batch"].fail("batch has no effect on random, which learns nothing from scores.")
    if search.uses_optuna and search.objective is None:
        spot.fail(f'{search.method} needs an objective to get better at: objective = "clip_t".')


def _check_different(assertions: tuple[object, ...], spots: list[ConfigNode]) -> None:
    for k, (assertion, spot) in enumerate(zip(assertions, spots, strict=True)):
        if assertion in assertions[:k]:
            spot.fail(f"{spot.text('A measure')} is measured already.")


def _better(spot: ConfigNode | None, objective: str | None) -> str:
    if spot is None:
        return MEASURES[objective].better if objective and objective in MEASURES else MAX
    direction = spot.text("direction")
    if direction not in DIRECTIONS:
        spot.fail(f"direction is maximise or minimise, got {spot.kind}.")
    if objective is None:
        spot.fail("direction has no effect without an objective.")
    return DIRECTIONS[direction]
