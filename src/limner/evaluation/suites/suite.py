"""A suite of prompt tests as values: cases, what is asked of them, of which models, how set.

A *cell* is one try: a case, an ask, a choice of models, a setting and the number of its repeat.
Names follow promptfoo where it has them (prompts, vars, assert, threshold, weight).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from limner.evaluation.cells.cell import Cell


@dataclass(frozen=True)
class Suite:
    """A file of prompt tests, ready to be run."""

    path: Path
    description: str = ""
    cells: tuple[Cell, ...] = ()
    judges: Mapping[str, str] = field(default_factory=dict)
    """Which model scores: keys of ``outcome.JUDGES``."""

    def only(self, wanted: Callable[[Cell], bool]) -> Suite:
        """The same with fewer cells."""
        chosen = tuple(cell for cell in self.cells if wanted(cell))
        return Suite(self.path, self.description, chosen, self.judges)
