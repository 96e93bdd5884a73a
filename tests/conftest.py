"""What all tests share: where the big data lies, and how a test without it says so."""

from __future__ import annotations

import os
from pathlib import Path

# Tiny models and two workers: more threads than cores make torch spin (9 minutes became 41 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

MISSING = "SHARED DATA MISSING"

# No timed assertions: a slow machine is no bug.
settings.register_profile(
    "limner", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("limner")


def shared_data_folder() -> Path:
    """``$LIMNER_SHARED_DATA``, else ``../shared/data`` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("LIMNER_SHARED_DATA") or beside)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of photos and published figures whose licences keep them out of the repository."""
    folder = shared_data_folder()
    if not folder.is_dir():
        pytest.skip(f"{MISSING}: {folder} is no folder; set LIMNER_SHARED_DATA to run this test.")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of data, so that green is not mistaken for whole."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if MISSING in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests were SKIPPED FOR MISSING DATA in {shared_data_folder()}: "
            "set LIMNER_SHARED_DATA.",
            red=True,
            bold=True,
        )
