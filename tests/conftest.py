"""What all tests share: where the big data lies, and how a test without it says so."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Tiny models and two workers: more threads than cores make torch spin (9 minutes became 41 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test leaves a store behind, nor finds its developer's; those of stores name their own.
os.environ["LIMNER_STORE"] = "off"
# Nor does any test find the models that its developer has fetched.
os.environ["LIMNER_HOME"] = str(Path(tempfile.gettempdir()) / f"limner-no-models-{os.getpid()}")
# Nor what its developer has settled for all commands.
os.environ.pop("LIMNER_CONFIG", None)
os.environ.pop("LIMNER_PROFILE", None)

import pytest
from hypothesis import HealthCheck, settings

MISSING = "SHARED DATA MISSING"
POSTGRES_MISSING = "POSTGRESQL MISSING"
FACES_MISSING = "FACE MODEL MISSING"
MINI_MISSING = "MINI MISSING"
"""Tests of what the shipped models can do start their reason for being skipped with this."""

# No timed assertions: a slow machine is no bug.
settings.register_profile(
    "limner", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("limner")


def shared_data_folder() -> Path:
    """``$LIMNER_SHARED_DATA``, else ``../shared/data`` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("LIMNER_SHARED_DATA") or beside)


@pytest.fixture
def astronaut() -> Path:
    """NASA's portrait of Eileen Collins, 512 x 512."""
    return Path(__file__).parents[1] / "examples" / "photos" / "astronaut.png"


@pytest.fixture
def face_home(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models with CenterFace in it, which ``make install`` fetches."""
    home = Path(os.environ.get("LIMNER_FACE_HOME") or Path(sys.prefix) / "faces")
    if not (home / "models" / "centerface").is_dir():
        pytest.skip(f"{FACES_MISSING}: CenterFace is not in {home}; `make install` fetches it.")
    monkeypatch.setenv("LIMNER_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of photos and published figures whose licences keep them out of the repository."""
    folder = shared_data_folder()
    if not folder.is_dir():
        pytest.skip(f"{MISSING}: {folder} is no folder; set LIMNER_SHARED_DATA to run this test.")
    return folder


def need_minis(*names: str) -> None:
    """Skip a test of what the shipped models can do, saying so, where their weights are not."""
    from limner.registry import bundled

    for name in names:
        if not list(bundled.folder(name).rglob("*.safetensors")):
            pytest.skip(f"{MINI_MISSING}: {name} has no weights in the package.")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of data, so that green is not mistaken for whole."""
    advice = {
        MISSING: f"MISSING DATA in {shared_data_folder()}: set LIMNER_SHARED_DATA.",
        POSTGRES_MISSING: "MISSING POSTGRESQL: apt-get install postgresql.",
        FACES_MISSING: "MISSING CENTERFACE: make install fetches it by pip.",
        MINI_MISSING: "MISSING WEIGHTS of minis in src/limner/registry/minis: make minis.",
    }
    for mark, what in advice.items():
        reports = terminalreporter.stats.get("skipped", [])
        count = sum(mark in str(report.longrepr) for report in reports)
        if count:
            line = f"{count} tests were SKIPPED FOR {what}"
            terminalreporter.write_line(line, red=True, bold=True)
