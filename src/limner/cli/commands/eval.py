"""``limner eval``: a suite of prompt tests is read, run, reported and judged by its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limner.cli.batch.output_paths import check_writable
from limner.cli.console import say
from limner.cli.help_page import HelpCommand
from limner.cli.options.flags import jobs_option, runtime_options
from limner.cli.options.run_store import caching_option, keeping_options
from limner.cli.progress import progress

if TYPE_CHECKING:
    from limner.evaluation.cells.results import CellResult
    from limner.evaluation.suites.baseline import Comparison

SOME_FAIL = 100
"""promptfoo's exit code for tests that ran and failed: 1 and 2 mean that they could not run."""

ALLOW = "LIMNER_ALLOW_PYTHON"
"""Environment variable that allows Python in all suites."""


@click.command(cls=HelpCommand)
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

    \b
    limner eval suite.yaml -o report.html -o junit.xml
    limner eval suite.yaml --baseline last

    Exits with 0 when all pass, 100 when some fail, 2 when the suite is wrong.
    """
    from limner.cli.options.answerer_config import answerer_config
    from limner.evaluation.cells.runner import Execution
    from limner.session.suites import SuiteOptions, check_formats, run_suite

    check_formats(outputs)
    for path in outputs:
        check_writable(path.parent)  # said now, and not when all is done
    options = SuiteOptions(
        repeat=given["repeat"],
        pattern=given["filter_pattern"],
        failing=given["filter_failing"],
        baseline=given["baseline"],
        allow_python=given["allow_python"],
        outputs=tuple(outputs),
    )
    with progress(f"eval {suite.name}") as on_step:
        run = run_suite(
            suite,
            answerer_config(given),
            options,
            Execution(given["jobs"], given["resume"], given["retry_errors"]),
            on_begin=lambda eval_id: say(f"eval {eval_id}"),
            on_step=on_step,
        )
    _say(run.results, run.report, run.comparison)
    if run.failed:
        raise click.exceptions.Exit(SOME_FAIL)


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
