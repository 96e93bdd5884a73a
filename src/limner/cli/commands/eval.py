"""``limner eval``: a suite of prompt tests is read, run, reported and judged by its exit code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import check_writable
from limner.cli.console import say
from limner.cli.options.flags import jobs_option, runtime_options
from limner.cli.options.run_store import caching_option, keeping_options
from limner.cli.progress import progress
from limner.errors import OptionError, OutputError, SuiteError
from limner.untrusted.regular_files import shown

if TYPE_CHECKING:
    from limner.cli.cell_answers import SuiteModels
    from limner.evaluation.cells.cell import Cell
    from limner.evaluation.cells.results import CellResult
    from limner.evaluation.suites.archive import Reports
    from limner.evaluation.suites.baseline import Comparison
    from limner.evaluation.suites.suite import Suite

SOME_FAIL = 100
"""promptfoo's exit code for tests that ran and failed: 1 and 2 mean that they could not run."""

ALLOW = "LIMNER_ALLOW_PYTHON"
"""Environment variable that allows Python in all suites."""

FORMATS = (".html", ".json", ".csv", ".xml")


@click.command()
@click.argument("suite", type=click.Path(path_type=Path))
@click.option(
    "--out",
    "-o",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Write a report: .html (the matrix), .json, .csv, .xml (JUnit); once for each.",
)
@click.option(
    "--baseline",
    metavar="REPORT",
    help="Only what is worse than there is a failure: an earlier report.json, the id of an eval or "
    "its beginning, or last.",
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Try every cell so often; what is painted gets another seed each time.",
)
@jobs_option
@click.option("--resume", is_flag=True, help="Go on where the last run of this suite stopped.")
@click.option("--retry-errors", is_flag=True, help="The same, and try cells with errors again.")
@click.option(
    "--filter-failing",
    metavar="REPORT",
    help="Only cells that didn't pass there: a report.json, an eval's id, or last.",
)
@click.option(
    "--allow-python",
    is_flag=True,
    envvar=ALLOW,
    show_envvar=True,
    help="Run the Python that the suite names: code, which may do all that you may.",
)
@click.option("--filter-pattern", help="Only cases whose name matches this regular expression.")
@caching_option
@runtime_options
@keeping_options
def eval(suite: Path, outputs: Sequence[Path], **given: Any) -> None:
    """Run a suite of prompt tests: pictures x prompts x models, and what must hold.

    Exits with 0 when all pass, 100 when some fail, 2 when the suite is wrong.

    \b
    limner eval suite.yaml -o report.html -o junit.xml
    limner eval suite.yaml --baseline last
    """
    from limner.cli.cell_answers import journal_folder
    from limner.evaluation.cells.journal import PICTURES
    from limner.evaluation.cells.runner import run_suite
    from limner.evaluation.suites.archive import Reports, new_id
    from limner.evaluation.suites.baseline import compare, read_statuses
    from limner.evaluation.suites.load import read_suite
    from limner.evaluation.suites.reports import report_of

    _check_outputs(outputs)
    whole = read_suite(suite, given["repeat"])
    folder = journal_folder(suite)
    reports = Reports(folder)
    said = given["baseline"]
    baseline = read_statuses(reports.find(said)) if said is not None else None
    chosen = _chosen(whole, given, reports)
    _check_tests(chosen)
    if not given["allow_python"]:
        _refuse_python(chosen)
    goes_on = given["resume"] or given["retry_errors"]
    eval_id = (reports.unfinished() if goes_on else "") or new_id(datetime.now(UTC))
    models = _models(chosen, given, eval_id)
    say(f"eval {eval_id}")
    with progress(f"eval {suite.name}") as on_step:
        results = run_suite(
            chosen,
            models,
            folder,
            workers=given["jobs"],
            resume=given["resume"],
            retry_errors=given["retry_errors"],
            eval_id=eval_id,
            on_result=_counting(len({cell.key for cell in chosen.cells}), on_step),
        )
    filtered = len(chosen.cells) < len(whole.cells)
    report = report_of(chosen, results, eval_id=eval_id, filtered=filtered)
    compared = None
    if baseline is not None:
        compared = compare(report, baseline)
        report["baseline"] = compared.to_dict()
    for path in outputs:
        _write(path, report, folder / PICTURES)
    reports.keep(report)
    _say(results, report, compared)
    failed = compared.regressions if compared else any(each.status != "pass" for each in results)
    if failed:
        raise click.exceptions.Exit(SOME_FAIL)


def _models(suite: Suite, given: Mapping[str, Any], eval_id: str) -> SuiteModels:
    """What the workers' sessions are made of.

    Raises:
        LimnerError: no cell could be answered so, or the store's options exclude each other.
    """
    from limner.cli.cell_answers import SuiteModels
    from limner.runs.entries import Labels

    models = SuiteModels.of(given, suite.judges, Labels(given["tags"], suite=eval_id))
    models.check(cell.models for cell in suite.cells)
    return models


def _check_outputs(outputs: Sequence[Path]) -> None:
    for path in outputs:
        if path.suffix.lower() not in FORMATS:
            raise OutputError(f"A report ends in {', '.join(FORMATS)}; got {path}.")
        if path.is_dir():
            raise OutputError(f"{path} is a folder: name a file in it.")
        check_writable(path.parent)  # said now, and not when all is done


def _chosen(suite: Suite, given: Mapping[str, Any], reports: Reports) -> Suite:
    """The cells that the filters leave.

    Raises:
        OptionError: no cell is left, no such report, or the pattern is none.
    """
    from limner.evaluation.suites.baseline import read_statuses

    keeps: list[Callable[[Cell], bool]] = []
    if given["filter_pattern"] is not None:
        try:
            pattern = re.compile(given["filter_pattern"])
        except (re.error, OverflowError, RecursionError) as error:
            raise OptionError(
                f"--filter-pattern takes a regular expression; {given['filter_pattern']!r} is "
                f"none: {error}."
            ) from None
        keeps.append(lambda cell: bool(pattern.search(cell.case.name)))
    if given["filter_failing"] is not None:
        statuses = read_statuses(reports.find(given["filter_failing"]))
        keeps.append(lambda cell: statuses.get(cell.name, "pass") != "pass")
    chosen = suite.only(lambda cell: all(keep(cell) for keep in keeps))
    if not chosen.cells:
        raise OptionError(f"No cell of {suite.path} is left by the filters, of {len(suite.cells)}.")
    return chosen


def _check_tests(suite: Suite) -> None:
    """Refuse what could only pass.

    Raises:
        SuiteError: nothing that counts is asserted of any cell.
    """
    if not any(each.weight > 0 for cell in suite.cells for each in cell.case.assertions):
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
            f"that you may: read it, then pass --allow-python (or set {ALLOW}=1 for suites of your "
            "own)."
        )


def _counting(
    total: int, on_step: Callable[[int, int], None]
) -> Callable[[CellResult, bool], None]:
    done = 0

    def count(result: CellResult, kept: bool) -> None:
        nonlocal done
        done += 1
        on_step(done, total)

    return count


def _write(path: Path, report: dict[str, Any], pictures: Path) -> None:
    """A report in the format of its ending; an old one is replaced, as test tools do."""
    from limner.evaluation.suites import html, reports
    from limner.io.save import write_atomic

    writers: dict[str, Callable[[], str]] = {
        ".html": lambda: html.report_html(report, pictures),
        ".json": lambda: reports.report_json(report),
        ".csv": lambda: reports.report_csv(report),
        ".xml": lambda: reports.report_junit(report),
    }
    write_atomic(path, writers[path.suffix.lower()](), overwrite=True)


def _say(
    results: Sequence[CellResult], report: Mapping[str, Any], compared: Comparison | None
) -> None:
    """A line for each cell that didn't pass, what is worse than before, and the sum."""
    for result in results:
        if result.status == "error":
            say(f"ERROR  {result.name}: {result.error}")
        elif result.status == "fail":
            reasons = [f"{v['type']}: {v['reason']}" for v in result.verdicts if not v["pass"]]
            say(f"FAIL   {result.name}: {'; '.join(reasons)}")
    if compared is not None:
        for name, before, now in compared.regressions:
            say(f"WORSE  {name}: {before} before, {now} now")
        say(
            f"against the baseline: {len(compared.regressions)} worse, "
            f"{len(compared.improvements)} better, {len(compared.new_failures)} new that fail, "
            f"{len(compared.gone)} not run"
        )
    stats = report["stats"]
    parts = [f"{stats['pass']} passed"]
    parts += [f"{stats['fail']} failed"] if stats["fail"] else []
    parts += [f"{stats['error']} with errors"] if stats["error"] else []
    say(f"{len(results)} cells: {', '.join(parts)}")
