"""Lists without SQLAlchemy are those with it; where there is doubt the store is opened."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from limner.runs.entries import Labels, Wanted
from limner.runs.queries import CHUNK, quick_rows
from limner.runs.store import Store
from tests.runs.conftest import beginning, ending

WANTED = {
    "all": Wanted(),
    "two": Wanted(limit=2),
    "no end": Wanted(limit=None),
    "verb": Wanted(verb="edit"),
    "done": Wanted(status="done"),
    "running": Wanted(status="running", limit=1),
    "died": Wanted(status="died"),
    "model": Wanted(model="sam"),
    "tag and model": Wanted(tag="cup's", model="grabcut"),
    "nothing": Wanted(since="2999"),
    "sweep": Wanted(sweep="s1"),
    "suite": Wanted(suite="2026"),
    "other letters": Wanted(sweep="S1"),
}
FOUND = {"all": 3, "two": 2, "no end": 3, "verb": 1, "done": 1, "running": 1, "died": 0}
FOUND |= {"model": 1, "tag and model": 1, "nothing": 0, "sweep": 1, "suite": 1, "other letters": 0}


@pytest.fixture
def kept(tmp_path: Path) -> Store:
    store = Store.open(tmp_path)
    store.begin(beginning(verb="edit", labels=Labels(("cup's", "ü"), sweep="s1-9")))
    done = store.begin(beginning(labels=Labels(suite="20261127-0910")))
    store.finish(done, ending(seed=2**40))
    store.begin(beginning(models={"segment": "sam", "inpaint": "sd"}, input_path=None))
    return store


@pytest.mark.parametrize("case", WANTED)
def test_both_ways_list_the_same(case: str, kept: Store) -> None:
    rows = quick_rows(kept.location.database or Path(), WANTED[case])
    assert rows == kept.rows(WANTED[case])
    assert rows is not None
    assert len(rows) == FOUND[case]


def test_more_runs_than_one_statement_names(kept: Store) -> None:
    for _ in range(CHUNK):
        kept.begin(beginning())
    rows = quick_rows(kept.location.database or Path(), Wanted(limit=None))
    assert rows is not None
    assert len(rows) == CHUNK + 3
    assert all(row.models for row in rows)


def test_a_store_that_is_none_of_this_version_is_left_to_be_opened(
    kept: Store, tmp_path: Path
) -> None:
    database = tmp_path / "runs.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert quick_rows(database, Wanted()) is None
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    connection.close()
    assert quick_rows(database, Wanted()) is None
    (tmp_path / "letter.db").write_text("a letter " * 300)
    for other in ("letter.db", "none.db", "letter.db/runs.db", "n\0", "x" * 5000):
        assert quick_rows(tmp_path / other, Wanted()) is None
    assert not (tmp_path / "none.db").exists()


def test_a_list_imports_no_sqlalchemy(kept: Store, tmp_path: Path) -> None:
    """Its import takes longer than all the rest of the command."""
    program = (
        "import sys; from limner.cli import main; "
        f"assert main(['runs', 'list', '--store', {str(tmp_path)!r}]) == 0; "
        "print([name for name in sys.modules if name in ('sqlalchemy', 'alembic', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) == 5
