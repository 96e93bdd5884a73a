from __future__ import annotations

from pathlib import Path

import pytest

from .command import Command


@pytest.fixture
def limner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command line, in an empty working folder, with an empty model folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / ".home"))
    return Command(capsys.readouterr)
