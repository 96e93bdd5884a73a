from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from limner.runs.entries import RunEnd, RunStart
from limner.runs.store import Store
from tests.conftest import POSTGRES_MISSING

from . import postgres

NO_SERVER = f"{POSTGRES_MISSING}: apt-get install postgresql to run this test on it too."


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server's URL with a place for a database's name."""
    pytest.importorskip("psycopg", reason=NO_SERVER)
    if postgres.programs() is None:
        pytest.skip(NO_SERVER)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a store that isn't there yet, on each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "store")
    import psycopg

    url: str = request.getfixturevalue("postgres_url")
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(url.format(name="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return url.format(name=name)


@pytest.fixture
def store(place: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store.open(place, tmp_path / "files")
    yield opened
    opened.close()


def beginning(store: Store | None = None, **changes: object) -> RunStart:
    """A run of nothing in particular, with an input file where a store is given."""
    files = (store.keep("input", b"an input", ".png"),) if store else ()
    values: dict[str, object] = {
        "verb": "segment",
        "job": "a" * 64,
        "words": "dog",
        "asked": {"prompts": [], "finding": {}, "settings": {}},
        "models": {"segment": "grabcut"},
        "input_digest": "d" * 64,
        "input_path": "/pictures/dog.jpg",
        "files": files,
    }
    return RunStart(**(values | changes))  # type: ignore[arg-type]


def ending(**changes: object) -> RunEnd:
    record = {"models": [{"name": "grabcut"}], "result": {"objects": 1}}
    values: dict[str, object] = {"record": record, "seconds": 1.5, "peak_bytes": 10}
    return RunEnd(**(values | changes))  # type: ignore[arg-type]
