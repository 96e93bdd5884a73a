"""A home of models that is empty, and a hub on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server import HubServer, Repo
from tests.registry.doubles import EXTRAS, SAM


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    import huggingface_hub

    huggingface_hub.close_session()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HubServer({"someone/tiny-sam": Repo(SAM | EXTRAS)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
        huggingface_hub.close_session()
