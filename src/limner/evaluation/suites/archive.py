"""The reports of one suite, kept by the ids of their evals: what ``--baseline last`` looks into.

An eval is one from its start to its report: one that was killed goes on under the id that it had.
"""

from __future__ import annotations

import contextlib
import difflib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from limner.errors import FileError, OptionError
from limner.evaluation.cells.journal import begun
from limner.evaluation.suites.baseline import MOST_BYTES
from limner.evaluation.suites.reports import report_json
from limner.io.save import write_atomic
from limner.untrusted.json_toml import read_json

KEPT = 50
"""Reports of a suite that stay; older ones go."""

LAST = "last"
"""The newest report of all cells: one that a filter narrowed would hide what became worse."""

SHOWN = 3
"""Ids that a refusal names."""


def new_id(now: datetime) -> str:
    """``20261127-091020-371a4``: to the millisecond, and a little chance; ids sort by time."""
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03}{secrets.token_hex(1)}"


@dataclass(frozen=True)
class Reports:
    """The reports beside a suite's journal, ``reports/<id>.json``."""

    journal: Path

    @property
    def folder(self) -> Path:
        return self.journal / "reports"

    def ids(self) -> list[str]:
        """Newest first."""
        return sorted((path.stem for path in self.folder.glob("*.json")), reverse=True)

    def path(self, eval_id: str) -> Path:
        return self.folder / f"{eval_id}.json"

    def unfinished(self) -> str:
        """The id of the eval that was begun last, if it has no report yet; else empty."""
        eval_id = begun(self.journal)
        return "" if self.path(eval_id).exists() else eval_id

    def keep(self, report: Mapping[str, Any]) -> Path:
        """Write a finished report; the oldest above ``KEPT`` go."""
        path = write_atomic(self.path(report["id"]), report_json(report), overwrite=True)
        for old in [eval_id for eval_id in self.ids() if eval_id != report["id"]][KEPT - 1 :]:
            self.path(old).unlink(missing_ok=True)
        return path

    def find(self, name: str) -> Path:
        """A report as a person names it: a file, the id of an eval, its beginning, or ``last``.

        Raises:
            OptionError: none, or several, are meant.
        """
        if name == LAST:
            return self._last()
        ids = self.ids()
        with contextlib.suppress(OSError, ValueError):  # no name that a file could have
            if name and Path(name).exists():
                return Path(name)
        matches = [eval_id for eval_id in ids if eval_id.startswith(name)] if name else []
        if len(matches) == 1:
            return self.path(matches[0])
        if matches:
            raise OptionError(
                f"{name} begins the ids of {len(matches)} evals: {_listed(matches)}; type more of "
                "it."
            )
        if not ids:
            raise OptionError(
                f"There is no report {name}: make one with limner eval suite.yaml -o report.json."
            )
        near = difflib.get_close_matches(name, ids, SHOWN, cutoff=0.7)
        raise OptionError(
            f"There is no report {name}, and no eval of this suite whose id begins so: there "
            f"{'is' if len(near or ids) == 1 else 'are'} {_listed(near or ids)}."
        )

    def _last(self) -> Path:
        for eval_id in self.ids():
            try:
                if not read_json(self.path(eval_id), limit=MOST_BYTES)["filtered"]:
                    return self.path(eval_id)
            except (FileError, KeyError, TypeError):
                continue  # somebody else's, or damaged: it is no baseline
        raise OptionError(
            f"There is no last report of all cells of this suite in {self.folder}: run it once "
            "without filters, or name a report."
        )


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} older" if len(ids) > SHOWN else "")
