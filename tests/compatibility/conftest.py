"""The samples of each older version, one after the other, in an empty working folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.command import Command

DATA = Path(__file__).parent / "data"


@pytest.fixture(params=sorted(path.name for path in DATA.iterdir() if path.is_dir()))
def samples(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A copy of what one version wrote, which is the working folder."""
    work = tmp_path / "work"
    shutil.copytree(DATA / request.param, work)
    monkeypatch.chdir(work)
    monkeypatch.setenv("LIMNER_HOME", str(work / "home"))
    return work


@pytest.fixture
def limner(samples: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line, among the samples."""
    return Command(capsys.readouterr)
