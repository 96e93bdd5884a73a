"""The command line, and pictures of the small world for it to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command


@pytest.fixture
def limner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """In an empty working folder, with an empty model folder and no hub to ask."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / ".home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Command(capsys.readouterr)
