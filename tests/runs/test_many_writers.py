"""Eight processes write at once, from the moment when there is no store yet; one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from limner.runs.entries import Wanted
from limner.runs.store import Store

WRITERS, RUNS = 8, 20

WRITE = """
import sys
from limner.runs.entries import RunStart, RunEnd, Labels
from limner.runs.store import Store

place, files, writer, runs = sys.argv[1:]
store = Store.open(place, files, busy_seconds=300)
for k in range(int(runs)):
    same, own = store.keep("input", b"same", ".png"), f"{writer} {k}"
    begun = RunStart("segment", "a" * 64, own, {}, {"segment": "grabcut"}, "d" * 64, files=(same,),
                      labels=Labels((f"writer{writer}",)))
    run = store.begin(begun)
    picture = store.keep("picture", own.encode(), ".png")
    store.finish(run, RunEnd({"models": [{"name": "grabcut"}]}, 1.0, None, files=(picture,)))
    store.rate(run, 1 + k % 5)
"""


@pytest.mark.slow
def test_eight_writers_lose_nothing(place: str, tmp_path: Path) -> None:
    """All start on an empty place, so that they also race to make the store; every run, file, tag
    and rating is there in the end, and the common file is there once."""
    files = str(tmp_path / "files")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, place, files, str(k), str(RUNS)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(WRITERS)
    ]
    said = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS, said
    store = Store.open(place, files, create=False)
    entries = store.entries()
    assert len(entries) == WRITERS * RUNS
    wanted = {f"{writer} {k}" for writer in range(WRITERS) for k in range(RUNS)}
    assert {entry.row.words for entry in entries} == wanted
    for entry in entries:
        writer, k = entry.row.words.split()
        assert entry.row.status == "done"
        assert entry.row.rating == 1 + int(k) % 5
        assert entry.labels.tags == (f"writer{writer}",)
        (picture,) = entry.of_role("picture")
        assert store.files.load(picture.name).decode() == entry.row.words
    assert len(list(store.files.scan())) == WRITERS * RUNS + 1
    store.close()


def test_kill_9_leaves_a_run_that_died_with_what_it_had(tmp_path: Path, astronaut: Path) -> None:
    """The real command is killed in the middle of its work: its run says so, and holds what was
    asked and the input picture; the next command works."""
    Image.open(astronaut).save(tmp_path / "photo.png")
    command = [sys.executable, "-m", "limner", "remove", "photo.png", "--box", "395,0,490,160"]
    environment = {**os.environ, "LIMNER_STORE": ".limner"}
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    database = tmp_path / ".limner" / "runs.db"
    store, rows = None, []
    while run.poll() is None and not rows:
        time.sleep(0.05)
        if database.exists() and store is None:
            store = Store.open(tmp_path / ".limner")
        rows = store.rows() if store else []
    assert [row.status for row in rows] == ["running"]
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert store is not None
    entry = store.get("latest")
    assert entry.row.status == "died"
    assert [row.id for row in store.rows(Wanted(status="died"))] == [entry.id]
    assert entry.asked["prompts"] == [{"box": {"xyxy": [395.0, 0.0, 490.0, 160.0]}}]
    (copy,) = entry.of_role("input")
    assert store.files.load(copy.name) == (tmp_path / "photo.png").read_bytes()
    assert store.delete([entry.id]) == [entry.id], "what died can be deleted"
    store.close()
