"""``runs gc`` removes this store's own files and nobody else's."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from limner.errors import StoreError
from limner.runs import database
from limner.runs.files import Folder, open_files
from limner.runs.location import locate
from limner.runs.store import Store
from tests.cli.command import Command
from tests.runs.conftest import beginning, ending


def old_store(place: Path, *names: str) -> None:
    """A store as limner 0.1 left it before version 3: one run that names these files."""
    location = locate(place)
    assert location.database is not None
    location.database.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(location.url)
    row = {
        "id": "0123456789abcdef", "verb": "segment", "status": "done", "words": "dog",
        "started": "2026-01-01T00:00:00.000000+00:00", "job": "a" * 64, "input_digest": "d" * 64,
        "host": "somewhere", "pid": 1, "process_started": 0.5, "asked": '{"prompts": []}',
    }  # fmt: skip
    columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    with engine.begin() as connection:
        database._migrate(connection, "0002")
        connection.execute(sa.text(f"INSERT INTO runs ({columns}) VALUES ({values})"), row)
        for k, name in enumerate(names):
            connection.execute(
                sa.text("INSERT INTO run_files VALUES (:run, 'picture', :k, :name, 1)"),
                {"run": row["id"], "k": k, "name": name},
            )
    engine.dispose()


@pytest.fixture
def limner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMNER_STORE", raising=False)
    return Command(capsys.readouterr)


@pytest.mark.parametrize(
    ("one", "other"), [("two/alice.db", "two/bob.db"), (".limner", ".limner/team.db")]
)
def test_gc_of_one_store_leaves_the_others_files(limner: Command, one: str, other: str) -> None:
    """Two SQLite stores in one folder shared their files: a gc of one emptied the other."""
    first, second = Store.open(one), Store.open(other)
    first.finish(first.begin(beginning(first)), ending())
    kept = first.keep("picture", b"alice's", ".png")
    first.finish(first.begin(beginning()), ending(files=(kept,)))
    lost = second.files.save(b"nobody's", ".png")
    said = limner("runs", "gc", "--all", "--store", other)
    assert said.stdout.startswith("1 files")
    assert second.files.path(lost) is None
    assert {first.files.load(f.name) for e in first.entries() for f in e.files} == {
        b"an input",
        b"alice's",
    }
    first.close()
    second.close()


def test_two_postgresql_stores_share_no_file(postgres_url: str, tmp_path: Path) -> None:
    """Both keep theirs in the same place by default."""
    import psycopg

    stores = []
    for name in ("own_1", "own_2"):
        with psycopg.connect(postgres_url.format(name="postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        stores.append(Store.open(postgres_url.format(name=name), tmp_path / "files"))
    first, second = stores
    kept = first.keep("picture", b"first's", ".png")
    first.finish(first.begin(beginning(files=(kept,))), ending())
    assert second.collect(grace=-1) == ((), 0)
    assert first.files.load(kept.name) == b"first's"
    for store in stores:
        store.close()


def test_what_an_older_limner_shared_is_read_and_removed_only_when_asked(limner: Command) -> None:
    """Stores written before version 3 go on working; a file of theirs may be another's."""
    shared = Folder(str(Path("old/files").absolute()))
    names = [shared.save(data, ".png") for data in (b"alice's", b"bob's", b"nobody's")]
    old_store(Path("old/alice.db"), names[0])
    old_store(Path("old/bob.db"), names[1])
    said = limner("runs", "gc", "--all", "--store", "old/bob.db")
    assert said.stdout.startswith("0 files")
    assert "1 files" in said.stderr
    assert "gc --shared" in said.stderr
    assert len(list(shared.scan())) == 3
    store = Store.open("old/alice.db")
    assert store.files.load(names[0]) == b"alice's"
    store.close()
    limner("runs", "gc", "--all", "--shared", "--store", "old/bob.db")
    assert sorted(file.name for file in shared.scan()) == sorted(names[:2])


def test_gc_refuses_where_a_neighbour_cannot_be_read(limner: Command) -> None:
    """A damaged database may name anything: nothing of what it may share is removed."""
    shared = Folder(str(Path("old/files").absolute()))
    shared.save(b"somebody's", ".png")
    old_store(Path("old/bob.db"))
    old_store(Path("old/alice.db"))
    content = Path("old/alice.db").read_bytes()
    Path("old/alice.db").write_bytes(content[:5000])
    answer = limner.run("runs", "gc", "--all", "--shared", "--store", "old/bob.db")
    assert answer.code == 2
    assert "alice.db can't be read" in answer.stderr
    assert len(list(shared.scan())) == 1
    Path("old/alice.db").write_text("a letter, and no database")
    limner("runs", "gc", "--all", "--shared", "--store", "old/bob.db")
    assert list(shared.scan()) == []


def test_a_copy_of_the_database_beside_it_still_has_its_files(limner: Command) -> None:
    """Both have one id, hence one folder of files."""
    store = Store.open("s")
    kept = store.keep("picture", b"pixels", ".png")
    run_id = store.begin(beginning(files=(kept,)))
    store.finish(run_id, ending())
    with contextlib.closing(sqlite3.connect("s/backup.db")) as backup, backup:
        with contextlib.closing(sqlite3.connect("s/runs.db")) as source, source:
            source.backup(backup)
        source.close()
    backup.close()
    store.delete([run_id])
    assert store.collect(grace=-1) == ((), 1)
    Path("s/backup.db").unlink()
    assert len(store.collect(grace=-1)[0]) == 1
    store.close()


_ON_A_FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from limner.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_gc_works_on_a_full_disk(tmp_path: Path) -> None:
    """No byte can be written, not even SQLite's index of its log: gc is what makes room."""
    store = Store.open(tmp_path / "s")
    kept = store.keep("picture", b"pixels", ".png")
    store.finish(store.begin(beginning(files=(kept,))), ending())
    lost = store.files.save(b"nobody's", ".png")
    path = store.files.path(lost)
    store.close()
    assert path is not None
    os.utime(path, (time.time() - 7200,) * 2)
    for words in (["gc"], ["list"]):
        done = subprocess.run(
            [sys.executable, "-c", _ON_A_FULL_DISK, "runs", *words, "--store", tmp_path / "s"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert not path.exists()
    again = Store.open(tmp_path / "s")
    assert again.files.load(kept.name) == b"pixels"
    again.close()


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..", "/etc/passwd", "a" * 64 + "/../x"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    """Names come from databases and archives that somebody else may have written."""
    for files in (open_files(str(tmp_path)), open_files("memory://limner-names")):
        acts: tuple[Callable[[str], object], ...] = (files.load, files.remove)
        for act in acts:
            with pytest.raises(StoreError, match="named by its SHA-256"):
                act(name)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for offset in range(4096, len(content), 4096):
        content[offset : offset + 300] = os.urandom(300)
    path.write_bytes(content)


def _without_tables(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE run_files")
        connection.execute("DROP TABLE identity")
    connection.close()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _no_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    connection.close()


def _bad_json(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET asked = '{', record = '[[', places = 'x'")
    connection.close()


SPOILT = (_cut, _scribble, _without_tables, _a_folder, _no_version, _bad_json)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_damaged_store_is_one_sentence(spoil: Callable[[Path], None], limner: Command) -> None:
    """Whatever is wrong with it: exit code 2 and one line, never a traceback."""
    store = Store.open("whole")
    store.finish(store.begin(beginning(store)), ending())
    store.close()
    shutil.copytree("whole", "s")
    spoil(Path("s/runs.db"))
    for words in (("show", "latest"), ("gc",), ("replay", "latest"), ("export", "--all"),
                  ("delete", "latest")):  # fmt: skip
        answer = limner.run("runs", *words, "--store", "s")
        assert answer.code in (0, 2), (words, answer)
        assert len(answer.stderr.splitlines()) <= 1, (words, answer.stderr)
        assert "bug in limner" not in answer.stderr


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "a/" * 3000, f"sqlite:///{'x' * 300}.db"])
def test_a_name_that_is_too_long_is_one_sentence(name: str, limner: Command) -> None:
    for words in (("list",), ("gc",), ("show", "latest")):
        answer = limner.run("runs", *words, "--store", name)
        assert answer.code == 2
        assert "bug in limner" not in answer.stderr
        assert len(answer.stderr.splitlines()) == 1
        assert len(answer.stderr) < 700, "a name is shown, not five thousand letters"
