"""Two reports of one suite held against each other: what became worse since the baseline.

Cells are matched by name, so that a changed bar or picture doesn't hide a regression: name and
outcome are what a person sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limner.errors import FileError, FileMissing, OptionError
from limner.evaluation.cells.results import PASS, STATUSES
from limner.evaluation.suites.reports import FORMAT
from limner.untrusted.json_toml import read_json
from limner.untrusted.regular_files import shown

MOST_BYTES = 500_000_000
"""Of a report: a kilobyte for each of half a million cells."""


@dataclass(frozen=True)
class Comparison:
    """Names of cells."""

    regressions: tuple[tuple[str, str, str], ...]
    """``(name, status before, status now)``, worse now."""
    improvements: tuple[tuple[str, str, str], ...]
    new_failures: tuple[str, ...]
    """Cells that the baseline doesn't have and that don't pass."""
    gone: tuple[str, ...]
    """Cells of the baseline that were not run now."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "regressions": [list(change) for change in self.regressions],
            "improvements": [list(change) for change in self.improvements],
            "new_failures": list(self.new_failures),
            "gone": list(self.gone),
        }


def compare(report: Mapping[str, Any], baseline: Mapping[str, str]) -> Comparison:
    """What changed.

    Args:
        baseline: status by name, as ``read_statuses`` gives it.
    """
    now = {cell["name"]: cell["status"] for cell in report["cells"]}
    changes = [(name, baseline[name], now[name]) for name in now if name in baseline]
    rank = STATUSES.index
    return Comparison(
        regressions=tuple(change for change in changes if rank(change[2]) > rank(change[1])),
        improvements=tuple(change for change in changes if rank(change[2]) < rank(change[1])),
        new_failures=tuple(n for n, status in now.items() if n not in baseline and status != PASS),
        gone=tuple(name for name in baseline if name not in now),
    )


def read_statuses(path: Path) -> dict[str, str]:
    """The status of every cell of a JSON report, by name.

    Raises:
        OptionError: no such file, no report, or one of a later limner.
    """
    try:
        report = read_json(path, limit=MOST_BYTES, what="report")
        if report["format"] > FORMAT:
            raise OptionError(f"{path} was written by a newer limner, {report['limner']}: update.")
        statuses = {str(cell["name"]): str(cell["status"]) for cell in report["cells"]}
        if not set(statuses.values()) <= set(STATUSES):
            raise ValueError
    except FileMissing:
        raise OptionError(
            f"There is no report {path}: make one with limner eval suite.yaml -o {path.name}."
        ) from None
    except FileError as error:
        raise OptionError(f"{shown(path)} is no report of limner eval: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise OptionError(
            f"{path} is no report of limner eval: expected what -o report.json writes."
        ) from None
    return statuses
