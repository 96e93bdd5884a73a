from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny_sd import Kind, save_tiny_sd
from tests.training.photos import folder_of


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base of each kind, and a second one of the first kind."""
    root = tmp_path_factory.mktemp("bases")
    kinds: tuple[Kind, ...] = ("text2img", "inpaint", "sdxl-inpaint")
    made = {kind: save_tiny_sd(root / kind, kind=kind) for kind in kinds}
    return {**made, "other": save_tiny_sd(root / "other", kind="text2img", seed=1)}


@pytest.fixture(scope="session")
def home_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests here: what is computed once is computed once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _home(home_of_tests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limner.training import generate

    monkeypatch.setenv("LIMNER_HOME", str(home_of_tests))
    monkeypatch.setattr(generate, "STEPS", 3)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs."""
    return folder_of(tmp_path_factory.mktemp("subject"), 3)
