"""A picture's runs are removed with their files, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from limner.errors import StoreError
from limner.runs.entries import Labels
from limner.runs.files import Folder
from limner.runs.forget import forget, holding, runs_of
from limner.runs.store import Store
from limner.trackers.local_copies import forget as forget_tracked
from tests.runs.conftest import beginning, ending

PHOTO = b"a photograph"
DIGEST = hashlib.sha256(PHOTO).hexdigest()


def test_a_picture_goes_with_all_that_was_made_of_it(store: Store) -> None:
    """Runs of it, their replays and runs on their results; what another run names too stays."""
    copy = store.keep("input", PHOTO, ".png")
    mask = store.keep("mask", b"an empty mask", ".png")
    overlay = store.keep("picture", b"an overlay", ".png")
    own = beginning(input_digest=DIGEST, input_path="/p/photo.png", files=(copy,))
    first = store.begin(own)
    store.finish(first, ending(files=(mask, overlay)))
    store.place(first, [Path("/p/result.png")])
    replayed = store.begin(beginning(labels=Labels(parent=first)))
    store.finish(replayed, ending())
    next_one = store.begin(beginning(input_digest="e" * 64, input_path="/p/result.png"))
    store.finish(next_one, ending())
    other = store.begin(beginning(input_digest="f" * 64, input_path="/p/other.png"))
    store.finish(other, ending(files=(mask,)))
    left = store.files.save(b"half", ".png")
    assert holding(store, DIGEST) == [first]
    entries, digests = runs_of(store, {DIGEST}, ())
    assert {entry.id for entry in entries} == {first, replayed, next_one}
    done = forget(store, entries, digests)
    assert done.compacted
    assert [row.id for row in store.rows()] == [other]
    assert {file.name for file in store.files.scan()} == {mask.name, left}
    assert DIGEST.encode() in done.needles
    assert first.encode() in done.needles


def test_what_older_limners_shared_goes_too(store: Store) -> None:
    """The copy lies where other stores may read it: it is the picture all the same."""
    shared = store.files.shared  # type: ignore[attr-defined]
    assert isinstance(shared, Folder)
    shared.save(PHOTO, ".png")
    kept = shared.save(b"another", ".png")
    forget(store, (), frozenset({DIGEST}))
    assert [file.name for file in shared.scan()] == [kept]


def test_a_run_that_goes_on_is_not_forgotten(store: Store) -> None:
    store.begin(beginning(input_digest=DIGEST))
    entries, digests = runs_of(store, {DIGEST}, ())
    with pytest.raises(StoreError, match="still going on"):
        forget(store, entries, digests)
    assert len(store.rows()) == 1


def test_only_the_experiments_that_name_it_go(tmp_path: Path) -> None:
    """Each tracker's own layout; other experiments, and Trackio's other projects, stay."""
    for name, content in (
        ("comet/a.zip", DIGEST), ("comet/b.zip", "other"),
        ("tensorboard/1/events", DIGEST), ("tensorboard/2/events", "other"),
        ("trackio/limner.db", DIGEST), ("trackio/media/limner/r/x.png", "pixels"),
        ("trackio/mine.db", DIGEST), ("trackio/media/mine/x.png", "pixels"),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    forget_tracked(tmp_path, {DIGEST.encode()})
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {
        "comet/b.zip", "tensorboard/2/events", "trackio/mine.db", "trackio/media/mine/x.png",
    }  # fmt: skip
