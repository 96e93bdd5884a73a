"""A suite of prompt tests run by sessions: from its file to its report.

from limner.session.suites import run_suite

run = run_suite(Path("suite.yaml"))
run.report["stats"]  # {"pass": 12, "fail": 1, "error": 0}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from limner.errors import OptionError, OutputError, SuiteError
from limner.evaluation.cells.cell import Cell
from limner.evaluation.cells.journal import PICTURES
from limner.evaluation.cells.results import CellResult
from limner.evaluation.cells.runner import ALONE, Execution, run_cells
from limner.evaluation.suites import html, reports
from limner.evaluation.suites.archive import Reports, new_id
from limner.evaluation.suites.baseline import Comparison, compare, read_statuses
from limner.evaluation.suites.load import read_suite
from limner.evaluation.suites.suite import Suite
from limner.home import WORKING_FOLDER
from limner.io.save import write_atomic
from limner.protocols import OnStep
from limner.session.cell_answers import AnswererConfig
from limner.untrusted.regular_files import shown

FORMATS = (".html", ".json", ".csv", ".xml")
"""Endings of reports."""


@dataclass(frozen=True)
class SuiteOptions:
    """Which cells are run, against what, and what is written of them."""

    repeat: int = 1
    """Tries of every cell; what is painted gets another seed each time."""
    pattern: str | None = None
    """A regular expression: only cases whose name matches."""
    failing: str | None = None
    """A report, the id of an eval, or ``last``: only cells that didn't pass there."""
    baseline: str | None = None
    """The same: only what is worse than there is a failure."""
    allow_python: bool = False
    """Run the Python that the suite names."""
    outputs: tuple[Path, ...] = ()
    """Reports to write, each in the format of its ending, one of ``FORMATS``."""


@dataclass(frozen=True)
class SuiteRun:
    """A suite that was run."""

    report: dict[str, Any]
    """As ``report_of`` makes it; with a baseline ``baseline``, too."""
    results: tuple[CellResult, ...]
    """In the suite's order."""
    comparison: Comparison | None = None
    """With the baseline."""

    @property
    def failed(self) -> bool:
        """Whether a cell didn't pass; with a baseline, whether one is worse."""
        if self.comparison is not None:
            return bool(self.comparison.regressions)
        return any(result.status != "pass" for result in self.results)


def run_suite(
    path: Path,
    config: AnswererConfig | None = None,
    options: SuiteOptions | None = None,
    execution: Execution = ALONE,
    *,
    on_begin: Callable[[str], None] | None = None,
    on_step: OnStep | None = None,
) -> SuiteRun:
    """Run a suite, keep its report beside its journal, and write those that are wanted.

    Args:
        config: what the cells are answered with; the suite's judges take the place of its own.
        on_begin: gets the id of the eval.

    Raises:
        SuiteError: the suite is wrong, tests nothing, or asks for Python that isn't allowed.
        OptionError: no cell is left by the filters, or there is no such report.
        OutputError: a report of no format, or nothing can be written.
        LimnerError: no cell could be answered so.
    """
    options = options or SuiteOptions()
    check_formats(options.outputs)
    suite = read_suite(path, options.repeat)
    folder = journal_folder(path)
    archive = Reports(folder)
    baseline = None
    if options.baseline is not None:
        baseline = read_statuses(archive.find(options.baseline))
    chosen = _chosen(suite, options, archive)
    eval_id = (archive.unfinished() if execution.goes_on else "") or new_id(datetime.now(UTC))
    config = config or AnswererConfig()
    labels = replace(config.labels, suite=eval_id)
    config = replace(config, judges=dict(suite.judges), labels=labels)
    config.check(cell.models for cell in chosen.cells)
    if on_begin is not None:
        on_begin(eval_id)
    count = counting(len({cell.key for cell in chosen.cells}), on_step)
    results = run_cells(chosen.cells, config, folder, execution, eval_id=eval_id, on_result=count)
    filtered = len(chosen.cells) < len(suite.cells)
    report = reports.report_of(chosen, results, eval_id=eval_id, filtered=filtered)
    comparison = None
    if baseline is not None:
        comparison = compare(report, baseline)
        report["baseline"] = comparison.to_dict()
    for output in options.outputs:
        write_report(output, report, folder / PICTURES)
    archive.keep(report)
    return SuiteRun(report, tuple(results), comparison)


def journal_folder(suite: Path) -> Path:
    """Where the results of a suite are kept while it runs: below the working folder."""
    import hashlib

    whole = str(suite.resolve())
    return (
        Path(WORKING_FOLDER)
        / "evals"
        / f"{suite.stem}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"
    )


def check_formats(outputs: Sequence[Path]) -> None:
    """Refuse a report that has no format.

    Raises:
        OutputError: another ending than ``FORMATS``, or a folder.
    """
    for path in outputs:
        if path.suffix.lower() not in FORMATS:
            raise OutputError(f"A report ends in {', '.join(FORMATS)}; got {path}.")
        if path.is_dir():
            raise OutputError(f"{path} is a folder: name a file in it.")


def write_report(path: Path, report: dict[str, Any], pictures: Path) -> None:
    """A report in the format of its ending; an old one is replaced, as test tools do."""
    writers: dict[str, Callable[[], str]] = {
        ".html": lambda: html.report_html(report, pictures),
        ".json": lambda: reports.report_json(report),
        ".csv": lambda: reports.report_csv(report),
        ".xml": lambda: reports.report_junit(report),
    }
    write_atomic(path, writers[path.suffix.lower()](), overwrite=True)


def counting(total: int, on_step: OnStep | None) -> Callable[[CellResult, bool], None]:
    """What counts results as they come; a search may go past ``total``, which then stays."""
    done = 0

    def count(result: CellResult, was_there: bool) -> None:
        nonlocal done
        done = min(done + 1, total)
        if on_step is not None:
            on_step(done, total)

    return count


# --- what is run ----------------------------------------------------------------------------------


def _chosen(suite: Suite, options: SuiteOptions, archive: Reports) -> Suite:
    """The cells that the filters leave, and that may be run.

    Raises:
        OptionError: no cell is left, no such report, or the pattern is none.
        SuiteError: nothing that counts is asserted of any cell, or Python isn't allowed.
    """
    keeps: list[Callable[[Cell], bool]] = []
    if options.pattern is not None:
        try:
            pattern = re.compile(options.pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise OptionError(
                f"--filter-pattern takes a regular expression; {options.pattern!r} is "
                f"none: {error}."
            ) from None
        keeps.append(lambda cell: bool(pattern.search(cell.case.name)))
    if options.failing is not None:
        statuses = read_statuses(archive.find(options.failing))
        keeps.append(lambda cell: statuses.get(cell.name, "pass") != "pass")
    chosen = suite.only(lambda cell: all(keep(cell) for keep in keeps))
    if not chosen.cells:
        raise OptionError(f"No cell of {suite.path} is left by the filters, of {len(suite.cells)}.")
    _check_tests(chosen)
    if not options.allow_python:
        _refuse_python(chosen)
    return chosen


def _check_tests(suite: Suite) -> None:
    """Refuse what could only pass.

    Raises:
        SuiteError: nothing that counts is asserted of any cell.
    """
    if not any(assertion.weight > 0 for cell in suite.cells for assertion in cell.case.assertions):
        raise SuiteError(
            f"{suite.path} tests nothing: no case to be run has an assertion with a weight above "
            "0, so every cell would pass. Add assert to a case or to defaults."
        )


def _refuse_python(suite: Suite) -> None:
    """Code in a suite runs only where the person who runs it said so.

    Raises:
        SuiteError: a cell has an assertion of the type python.
    """
    files = {
        assertion.value[0]: None
        for cell in suite.cells
        for assertion in cell.case.assertions
        if assertion.type == "python"
    }
    if files:
        raise SuiteError(
            f"{suite.path} asks to run Python, {', '.join(map(shown, files))}, which may do all "
            f"that you may: read it, then pass --allow-python (or set LIMNER_ALLOW_PYTHON=1 for "
            "suites of your own)."
        )
