"""Opening a store: older ones are brought up, newer ones refused, what is wrong is said."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from limner.errors import LimnerError, MissingExtra, StoreError
from limner.runs import database
from limner.runs.entries import VERSIONS
from limner.runs.location import locate
from limner.runs.schema import metadata
from limner.runs.store import Store

from .conftest import beginning, ending

VERSION_1_ROW = {
    "id": "0123456789abcdef",
    "verb": "segment",
    "status": "done",
    "started": "2026-01-01T00:00:00.000000+00:00",
    "words": "dog",
    "job": "a" * 64,
    "input_digest": "d" * 64,
    "host": "somewhere",
    "pid": 1,
    "process_started": 0.5,
    "asked": '{"prompts": []}',
}


def test_a_store_of_version_1_is_brought_up_and_keeps_its_rows(place: str, tmp_path: Path) -> None:
    location = locate(place)
    if location.database:
        location.database.parent.mkdir()
    engine = sa.create_engine(location.url)
    names = ", ".join(VERSION_1_ROW)
    values = ", ".join(f":{name}" for name in VERSION_1_ROW)
    with engine.begin() as connection:
        database._migrate(connection, "0001")
        connection.execute(sa.text(f"INSERT INTO runs ({names}) VALUES ({values})"), VERSION_1_ROW)
        connection.execute(
            sa.text("INSERT INTO run_models VALUES (:run, 'grabcut', 0)"),
            {"run": VERSION_1_ROW["id"]},
        )
    engine.dispose()
    store = Store.open(place, tmp_path / "files")
    entry = store.get("latest")
    assert (entry.id, entry.row.words, entry.row.models) == (
        VERSION_1_ROW["id"],
        "dog",
        ("grabcut",),
    )
    assert entry.row.rating is None
    store.rate(entry.id, 5)
    assert store.get("0123").row.rating == 5
    store.close()


def test_the_migrations_make_what_the_schema_says(store: Store) -> None:
    """Table by table and column by column, as alembic compares them; and the last is the newest."""
    with store.database.reading() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert found == []
    config = Config()
    config.set_main_option("script_location", str(database.migrations_folder()))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == VERSIONS


def test_a_newer_store_is_refused_and_left_alone(store: Store, place: str) -> None:
    run_id = store.begin(beginning())
    with store.database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    for create in (True, False):
        with pytest.raises(StoreError, match=r"newer limner \(store version 0999.*update limner"):
            Store.open(place, create=create)
    assert store.get(run_id).row.status == "running"


def test_a_store_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    """Lists work, and what would write says why it can't."""
    store = Store.open(tmp_path)
    run_id = store.begin(beginning())
    store.close()
    locked = Store.open(f"sqlite:///file:{tmp_path}/runs.db?mode=ro&uri=true", create=False)
    assert locked.rows()[0].id == run_id
    with pytest.raises(StoreError, match="read-only"):
        locked.rate(run_id, 3)
    locked.close()


def test_where_not_even_a_reader_may_write_the_file_is_taken_as_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only disk; SQLite's reader of a WAL file would make files beside it."""
    store = Store.open(tmp_path)
    run_id = store.begin(beginning())
    store.close()
    monkeypatch.setattr(database.os, "access", lambda path, how: False)
    looked = Store.open(tmp_path, create=False)
    assert looked.rows()[0].id == run_id
    assert not (tmp_path / "runs.db-shm").exists()
    looked.close()


def test_a_locked_store_says_so_after_waiting(tmp_path: Path) -> None:
    store = Store.open(tmp_path, busy_seconds=0.2)
    holder = sqlite3.connect(tmp_path / "runs.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match="another program has locked it"):
            store.begin(beginning())
        assert store.rows() == [], "reading goes on meanwhile"
    finally:
        holder.rollback()
        holder.close()
    store.finish(store.begin(beginning()), ending())
    store.close()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreError, match="disk is full"):
        store.begin(beginning(asked={"long": "x" * 50_000}))
    store.close()


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("sqlite://", StoreError, "in memory"),
        ("sqlite:///:memory:", StoreError, "in memory"),
        ("nosuch://x/y", StoreError, "SQLite or PostgreSQL"),
        ("postgresql://me:secret@[::1/x", StoreError, "database URL"),
        ("mysql+nosuchdriver://x/y", StoreError, "SQLite or PostgreSQL"),
        ("text.db", StoreError, "another kind"),
        ("text.db/below", StoreError, "can't be opened"),
        ("folder.db", StoreError, "can't be opened"),
        ("postgresql://me:secret@127.0.0.1:1/x", StoreError, "can't be opened"),
    ],
)
def test_a_place_that_is_no_store_is_one_sentence(
    place: str, error: type[LimnerError], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.db").write_text("This is a letter to a friend, and no database at all. " * 20)
    Path("folder.db").mkdir()
    with pytest.raises(error, match=said) as caught:
        Store.open(place)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_driver_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"limner\[postgres\]"):
        Store.open("postgresql://x/y")


def test_a_new_folder_is_kept_out_of_git_and_an_old_one_untouched(tmp_path: Path) -> None:
    Store.open(tmp_path / "new").close()
    assert (tmp_path / "new" / ".gitignore").read_text() == "*\n"
    Store.open(tmp_path).close()
    assert not (tmp_path / ".gitignore").exists()
