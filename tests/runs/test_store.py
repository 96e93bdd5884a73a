"""A store keeps runs and gives them back, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest

from limner.errors import StoreError
from limner.runs.entries import Labels, Wanted
from limner.runs.files import Remote, open_files
from limner.runs.store import Store, now

from .conftest import beginning, ending


def test_a_run_comes_back_as_it_was_given(store: Store) -> None:
    """Nothing is lost or changed on the way, also names that are no Unicode and NULs."""
    picture = store.keep("picture", b"pixels", ".png")
    given = beginning(
        store,
        words="caf\u00e9 \0 \udcff",
        input_path="/p/\udcfe.png",
        asked={"prompts": [{"text": "\udcfd \0"}]},
        labels=Labels(("b", "a", "b"), parent="f" * 16, sweep="s", suite="u"),
    )
    run_id = store.begin(given)
    assert store.get(run_id).row.status == "running"
    assert store.finish(run_id, ending(seed=2**62, files=(picture,)))
    store.place(run_id, [Path("out.png")])
    entry = store.get(run_id)
    assert entry.row.status == "done"
    assert entry.row.seed == 2**62
    assert entry.row.models == ("grabcut",)
    assert entry.asked == given.asked
    assert entry.labels == Labels(("a", "b"), "f" * 16, "s", "u")
    assert entry.places == (str(Path("out.png").absolute()),)
    assert {file.role: store.files.load(file.name) for file in entry.files} == {
        "input": b"an input",
        "picture": b"pixels",
    }
    assert "caf\u00e9" in entry.row.words


def test_lists_narrow_and_are_newest_first(store: Store) -> None:
    first = store.begin(beginning(verb="edit", labels=Labels(("cup",))))
    between = now()
    second = store.begin(beginning(models={"segment": "sam", "inpaint": "sd"}))
    third = store.begin(beginning(labels=Labels(suite="20261127-0910", sweep="s_1")))
    store.fail(third, "no", 0.1)

    def ids(**wanted: object) -> list[str]:
        return [row.id for row in store.rows(Wanted(**wanted))]  # type: ignore[arg-type]

    assert ids() == [third, second, first]
    assert ids(limit=1) == [third]
    assert ids(verb="edit") == [first]
    assert ids(model="sd") == [second]
    assert ids(tag="cup") == [first]
    assert ids(since=between) == [third, second]
    assert ids(suite="20261127") == ids(sweep="s_") == [third]
    assert ids(suite="2026_127") == [], "a beginning, and no pattern"
    assert ids(status="failed") == [third]
    assert ids(status="running", limit=1) == [second]
    assert ids(status="died") == []


def test_a_store_grows_by_as_much_with_every_run(tmp_path: Path) -> None:
    """Bytes of the database itself: a file that is used again is kept once."""
    store = Store.open(tmp_path)
    asked, sizes = {"prompts": ["as long as a real one's" * 100]}, []
    for _ in range(3):
        for k in range(60):
            store.finish(store.begin(beginning(store, job=f"{k:064x}", asked=asked)), ending())
        with store.database.reading() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            sizes.append(pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one())
    store.close()
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert 0.7 < second / first < 1.4, sizes
    assert len(list((tmp_path / "files").rglob("*.png"))) == 1


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    ids = [store.begin(beginning()) for _ in range(20)]
    assert store.get(ids[3][:12]).id == ids[3]
    assert store.get("latest").id == ids[-1]
    assert store.get("latest~2").id == ids[-3]
    letter, _ = Counter(one[0] for one in ids).most_common(1)[0]  # 20 ids, 16 letters
    with pytest.raises(StoreError, match="several"):
        store.get(letter)
    for name, said in (("latest~20", "holds 20"), ("", "named by"), ("xyz", "named by")):
        with pytest.raises(StoreError, match=said):
            store.get(name)
    with pytest.raises(StoreError, match="begins with"):
        store.get("0" * 16)


def test_opinions(store: Store) -> None:
    run_id = store.begin(beginning())
    store.rate(run_id, 4)
    store.note(run_id, "good rim")
    store.note(run_id, "but the handle")
    entry = store.get(run_id)
    assert entry.row.rating == 4
    assert [note.text for note in entry.notes] == ["good rim", "but the handle"]
    store.rate(run_id, None)
    assert store.get(run_id).row.rating is None
    for wrong in (lambda: store.rate(run_id, 6), lambda: store.note(run_id, "  ")):
        with pytest.raises(StoreError):
            wrong()


def test_delete_takes_all_or_none_and_spares_what_is_going_on(store: Store) -> None:
    done, going = store.begin(beginning()), store.begin(beginning())
    store.finish(done, ending())
    store.note(done, "x")
    for names in ([done, going], [done, "0" * 16]):
        with pytest.raises(StoreError):
            store.delete(names)
    assert {row.id for row in store.rows()} == {done, going}
    assert store.delete([done]) == [done]
    assert not store.finish(done, ending()), "a deleted run stays deleted"
    assert [row.id for row in store.rows()] == [going]


def test_collecting_removes_what_no_run_names_once_it_is_old(store: Store) -> None:
    """A file that was just written may belong to a run that is about to name it."""
    run_id = store.begin(beginning(store))
    store.finish(run_id, ending())
    lost = store.files.save(b"nobody's", ".png")
    assert store.collect() == ((), 2)
    path = store.files.path(lost)
    assert path is not None
    os.utime(path, (time.time() - 7200,) * 2)
    assert store.files.save(b"nobody's", ".png") == lost, "kept again: young again"
    assert store.collect() == ((), 2)
    os.utime(path, (time.time() - 7200,) * 2)
    (file,), stay = store.collect(remove=False)
    assert (file.name, stay, path.exists()) == (lost, 1, True)
    store.collect()
    assert not path.exists()
    store.delete([run_id])
    assert len(store.collect(grace=-1)[0]) == 1
    assert store.collect(grace=-1) == ((), 0)


def test_a_file_that_was_changed_is_not_given_out(tmp_path: Path) -> None:
    files = open_files(str(tmp_path))
    name = files.save(b"pixels", ".png")
    path = files.path(name)
    assert path is not None
    path.write_bytes(b"pixelz")
    with pytest.raises(StoreError, match="changed or damaged"):
        files.load(name)


def test_files_may_lie_behind_any_fsspec_url() -> None:
    files = open_files("memory://limner-runs-test")
    assert isinstance(files, Remote)
    assert list(files.scan()) == []
    name = files.save(b"pixels", ".png")
    assert files.save(b"pixels", ".png") == name
    assert files.load(name) == b"pixels"
    assert [(file.name, file.size) for file in files.scan()] == [(name, 6)]
    files.remove(name)
    assert list(files.scan()) == []
    with pytest.raises(StoreError, match="can't be read"):
        files.load(name)
    with pytest.raises(StoreError, match="nosuchthing"):
        open_files("nosuchthing://x")


def test_a_cell_has_one_run_that_is_done(store: Store) -> None:
    """After kill -9 between the run and the journal's line the cell is answered again: 32 runs
    stood there for 30 cells. Other cells, other sweeps and what died stay."""

    def answer(cell: str | None, **labels: str) -> str:
        run_id = store.begin(beginning(labels=Labels(cell=cell, **labels)))  # type: ignore[arg-type]
        store.finish(run_id, ending())
        return run_id

    died = store.begin(beginning(labels=Labels(sweep="s", cell="a")))
    first = answer("a", sweep="s")
    kept = [answer("b", sweep="s"), answer("a", sweep="t"), answer("a", suite="s"), answer(None)]
    second = answer("a", sweep="s")
    assert {row.id for row in store.rows()} == {died, second, *kept}
    assert first not in {row.id for row in store.rows()}
    assert store.get(second).labels.cell == "a"
