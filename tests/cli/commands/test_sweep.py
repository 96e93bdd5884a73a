"""``limner sweep`` with classical models: what it says, writes, refuses and survives."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import multiprocessing
import os
import random
import shlex
import signal
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from limner.cli import main
from limner.cli.commands import sweep as sweep_command
from limner.evaluation.cells.journal import CELLS
from limner.runs.entries import Wanted
from limner.runs.store import Store
from tests.cli.command import Command

SEGMENT = """\
image = "thing.png"
mask = "mask.png"
[segment]
[sweep]
iterations = [1, 3]
find = [{box = [20, 20, 70, 70]}, {point = [40, 40]}, {mask = "gone.png"}]
[search]
objective = "iou"
measure = ["boundary_f"]
"""
REMOVE = """\
description = "Without the disc"
image = "thing.png"
[remove]
find = {mask = "mask.png"}
[sweep]
method = ["telea", "navier-stokes"]
radius = {from = 1, to = 5, step = 2}
dilate = [0, 4]
[search]
objective = "seam"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    """A red disc on grey noise, and its outline."""
    y, x = np.mgrid[:96, :96]
    disc = (x - 45) ** 2 + (y - 45) ** 2 < 20**2
    pixels = np.random.default_rng(7).integers(120, 150, (96, 96, 3)).astype(np.uint8)
    pixels[disc] = (190, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "thing.png")
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    return tmp_path


def test_a_sweep_from_the_recipe_to_everything_it_writes(limner: Command, folder: Path) -> None:
    """The best is said with the command that makes it again; what fails stands where it failed."""
    (folder / "r.toml").write_text(SEGMENT)
    answer = limner.run("sweep", "r.toml", "-o", "out")
    assert answer.code == 1, "some cells failed"
    lines = answer.stdout.splitlines()
    assert lines[-1] == "6 settings tried, 6 pictures, 2 with errors: out/index.html, out/sheet.png"
    assert "gone.png" in answer.stderr
    report = json.loads(Path("out/results.json").read_text())
    scores = [trial["score"] for trial in report["trials"]]
    assert [score is None for score in scores] == [False, False, True] * 2
    best = report["trials"][report["best"]]
    assert best["score"] == max(score for score in scores if score is not None) > 0.8
    assert lines[0].startswith(f"best: iterations {best['labels'][0]}, find {best['labels'][1]}")
    rows = list(csv.DictReader(Path("out/results.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert float(rows[0]["boundary_f"]) > 0.5
    for name in ("sheet.png", "curves.png", "curves.svg", "index.html", "sweep.json"):
        assert (folder / "out" / name).stat().st_size > 0
    words = shlex.split(lines[1].strip())
    assert words[:3] == ["limner", "segment", "thing.png"]
    found = limner.json(*words[1:])
    assert found["result"]["objects"] == 1


def test_the_command_that_is_said_paints_the_very_same_picture(
    limner: Command, folder: Path
) -> None:
    (folder / "r.toml").write_text(REMOVE)
    answer = limner("sweep", "r.toml", "-o", "out")
    assert "12 settings tried, 12 pictures: out/index.html" in answer.stdout
    assert {path.name for path in Path("out").glob("sheet*.png")} == {
        "sheet-0.png",
        "sheet-4.png",
    }
    report = json.loads(Path("out/results.json").read_text())
    best = report["trials"][report["best"]]
    assert best["score"] == min(trial["score"] for trial in report["trials"])
    words = shlex.split(answer.stdout.splitlines()[1])
    limner(*words[1:], "-o", "again.png")
    kept = folder / "out" / "pictures" / best["cells"][0]["whole"]
    assert np.array_equal(Image.open("again.png"), Image.open(kept))


def test_runs_are_recorded_as_the_sweeps_and_found_by_their_tag(
    limner: Command, folder: Path
) -> None:
    (folder / "r.toml").write_text(REMOVE)
    limner("sweep", "r.toml", "-o", "out", "--store", "kept", "--tag", "disc")
    report = json.loads(Path("out/results.json").read_text())
    store = Store.open("kept")
    ids = [cell["run"] for trial in report["trials"] for cell in trial["cells"]]
    entries = [store.get(run) for run in ids]
    assert len(set(ids)) == 12
    assert {entry.labels.sweep for entry in entries} == {report["sweep"]}
    assert {entry.labels.tags for entry in entries} == {("disc",)}
    assert len(store.rows()) == 12
    store.close()


def test_a_folder_that_holds_a_sweep_or_other_things_is_not_written_over(
    limner: Command, folder: Path
) -> None:
    (folder / "r.toml").write_text(REMOVE)
    limner("sweep", "r.toml")
    again = limner.run("sweep", "r.toml")
    assert (again.code, "r-sweep holds a sweep already: --resume" in again.stderr) == (2, True)
    before = (folder / "r-sweep" / CELLS).read_bytes()
    limner("sweep", "r.toml", "--resume")
    assert (folder / "r-sweep" / CELLS).read_bytes() == before, "nothing was done twice"
    limner("sweep", "r.toml", "--overwrite")
    assert len((folder / "r-sweep" / CELLS).read_bytes().splitlines()) == 12
    other = folder / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    refused = limner.run("sweep", "r.toml", "-o", "other")
    assert (refused.code, "other holds other things" in refused.stderr) == (2, True)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_a_changed_recipe_keeps_what_is_the_same_and_drops_old_sheets(
    limner: Command, folder: Path
) -> None:
    (folder / "r.toml").write_text(REMOVE)
    limner("sweep", "r.toml", "-o", "out")
    (folder / "r.toml").write_text(
        REMOVE.replace("[0, 4]", "[0]").replace('navier-stokes"]', 'navier-stokes", "fsr"]')
    )
    limner.run("sweep", "r.toml", "-o", "out", "--resume")
    lines = (folder / "out" / CELLS).read_bytes().splitlines()
    assert len(lines) == 12 + 3
    assert [path.name for path in Path("out").glob("sheet*.png")] == ["sheet-0.png"]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        (None, [], "There is no recipe r.toml. It is a TOML file"),
        ("a = ", [], "r.toml:1: This is not TOML"),
        (REMOVE.replace("radius", "radios"), [], "r.toml:7: Nothing is called 'radios' that could"),
        (REMOVE.replace("thing", "gone"), [], "r.toml:2: There is no picture gone.png"),
        (REMOVE, ["--overwrite", "--resume"], "--overwrite begins anew and --resume goes on"),
        (REMOVE, ["-o", "thing.png"], "thing.png is a file, not a folder"),
        (REMOVE, ["--device", "gpu"], "gpu"),
        (REMOVE.replace('"seam"', '"rating"'), ["--no-store"], "read from recorded runs"),
        (
            REMOVE.replace("[sweep]", '[sweep]\nmodels.detect = ["haar", "yolox"]'),
            [],
            "r.toml:6: There is no model 'yolox'",
        ),
        (
            REMOVE.replace("[sweep]", '[sweep]\nmodels.inpaint = ["sd15-inpaint"]'),
            ["--commercial-safe"],
            "--commercial-safe refuses sd15-inpaint",
        ),
    ],
)
def test_bad_input_exits_with_2_and_makes_nothing(
    limner: Command, folder: Path, text: str | None, words: list[str], said: str
) -> None:
    if text is not None:
        (folder / "r.toml").write_text(text)
    before = {path.name for path in folder.iterdir()}
    answer = limner.run("sweep", "r.toml", *words)
    assert (answer.code, answer.stdout) == (2, "")
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == before


def test_a_sweep_of_which_nothing_can_be_made_exits_with_2(limner: Command, folder: Path) -> None:
    (folder / "r.toml").write_text(REMOVE.replace('["telea", "navier-stokes"]', '["paper"]'))
    answer = limner.run("sweep", "r.toml")
    assert answer.code == 2
    assert "6 with errors" in answer.stdout
    assert Path("r-sweep/index.html").exists()


def test_values_that_cant_be_meant_together_are_the_error_of_their_cells(
    limner: Command, folder: Path
) -> None:
    """A box from right to left, of two axes that are fine by themselves."""
    (folder / "r.toml").write_text(
        'image = "thing.png"\n[remove]\nfind = {box = "{{left}},20,{{right}},70"}\n'
        "[sweep]\nvars.left = [20, 60]\nvars.right = [40, 70]\n"
    )
    answer = limner.run("sweep", "r.toml")
    assert answer.code == 1
    assert "4 settings tried, 4 pictures, 1 with errors" in answer.stdout
    assert "ERROR  thing.png, left 60, right 40: r.toml:3: " in answer.stderr


def test_a_sweep_that_finds_nothing_right_names_no_best(limner: Command, folder: Path) -> None:
    """A best of score 0 was named with the command that makes it again."""
    (folder / "r.toml").write_text(
        'image = "thing.png"\nbox = [60, 60, 90, 90]\n[segment]\nfind = {box = [1, 1, 20, 20]}\n'
        '[sweep]\niterations = [1, 2]\n[search]\nobjective = "box_iou"\n'
    )
    answer = limner("sweep", "r.toml", "-o", "out")
    assert answer.stdout.startswith("best: none")
    assert json.loads(Path("out/results.json").read_text())["best"] is None
    assert "No best" in Path("out/index.html").read_text()


LARGE = """\
image = "thing.png"
[segment]
find = {box = [1, 1, "{{x}}", 20]}
[sweep]
vars.x = {from = 10.5, to = 90.5, step = 0.04}
iterations = {from = 1, to = 20, step = 1}
"""


def test_a_sweep_of_forty_thousand_cells_asks_first(
    limner: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can answer it is refused with the count, before anything is written."""
    (folder / "r.toml").write_text(LARGE)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    answer = limner.run("sweep", "r.toml", "-o", "out")
    assert (answer.code, answer.stdout) == (2, "")
    assert "makes 40,020 cells" in answer.stderr
    assert "--yes" in answer.stderr
    assert not Path("out").exists()
    assert answer.stderr.count("\n") == 1
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    assert limner.run("sweep", "r.toml", "-o", "out").code == 1
    assert not Path("out").exists()


def test_yes_begins_a_large_sweep_without_a_question(
    limner: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_command, "ASKED_ABOVE", 3)
    four = LARGE.replace("step = 0.04", "count = 2").replace("to = 20", "to = 2")
    (folder / "r.toml").write_text(four)
    assert limner.run("sweep", "r.toml").code == 2
    assert "4 settings tried" in limner("sweep", "r.toml", "--yes").stdout


RATED = """\
image = "thing.png"
[remove]
find = {mask = "mask.png"}
[sweep]
context = {from = 0.1, to = 2.0}
[search]
method = "tpe"
trials = 5
batch = 3
objective = "rating"
"""


def test_a_search_by_ratings_says_how_to_rate_and_goes_on(
    limner: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the commands that it names itself, to its end."""
    monkeypatch.setenv("LIMNER_STORE", "kept")
    (folder / "r.toml").write_text(RATED)
    answer = limner("sweep", "r.toml")
    for waiting, rating in ((3, 2), (2, 4)):
        said = answer.stdout.splitlines()[-1]
        assert said.startswith(f"{waiting} wait for your rating: limner runs rate RUN 1 to 5")
        for run in said.partition("each of ")[2].partition(";")[0].split(", "):
            limner("runs", "rate", run, rating)
        answer = limner("sweep", "r.toml", "--resume")
    assert "best: context" in answer.stdout
    assert "(rating 4)" in answer.stdout
    assert "wait" not in answer.stdout
    report = json.loads(Path("r-sweep/results.json").read_text())
    assert [trial["score"] for trial in report["trials"]] == [2, 2, 2, 4, 4]


# --- kills ----------------------------------------------------------------------------------------

MANY = REMOVE.replace("{from = 1, to = 5, step = 2}", "{from = 1, to = 12, step = 1}").replace(
    "[0, 4]", "[0, 1, 2, 3]"
)
POINTS = 2 * 12 * 4
KILLS = 20
PRELOADED = [
    __name__,
    "limner.cli.commands.sweep",
    "limner.session.cell_answers",
    "limner.evaluation.sweeps.run",
    "limner.runs.store",
    "limner.models.classical.adapters",
    "alembic.command",
    "psutil",
]


def _sweep(folder: str) -> None:
    """In a process of its own, as from a shell."""
    os.chdir(folder)
    os.environ["LIMNER_STORE"] = "kept"
    with Path("said.txt").open("a") as said, contextlib.redirect_stdout(said):
        code = main(["sweep", "many.toml", "-o", "out", "--resume"])
    os._exit(code)


@pytest.mark.slow
def test_kill_9_at_twenty_moments_then_resume_loses_nothing_and_repeats_nothing(
    folder: Path,
) -> None:
    """After each kill the journal has whole lines, the old ones untouched; in the end one of every
    cell, and its pictures. Processes are forked from one that has everything imported."""
    (folder / "many.toml").write_text(MANY)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    chance = random.Random(4)
    done: list[bytes] = []
    for _ in range(KILLS):
        process = context.Process(target=_sweep, args=(str(folder),))
        process.start()
        more, limit = chance.randint(0, 5), time.monotonic() + 60
        while len(lines(folder)) < len(done) + more and process.is_alive():
            assert time.monotonic() < limit
            time.sleep(0.002)
        time.sleep(chance.random() / 20)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        now = lines(folder)
        assert now[: len(done)] == done, "what was done stays as it was"
        done = now
    assert KILLS < len(done) < POINTS, "each kill came while there was work"
    last = context.Process(target=_sweep, args=(str(folder),))
    last.start()
    last.join()
    assert last.exitcode == 0
    results = [json.loads(line) for line in lines(folder)]
    assert lines(folder)[: len(done)] == done
    assert len({result["key"] for result in results}) == len(results) == POINTS
    report = json.loads((folder / "out" / "results.json").read_text())
    assert len(report["trials"]) == POINTS
    cells = [cell for trial in report["trials"] for cell in trial["cells"]]
    for cell in cells:
        for name in (cell["picture"], cell["whole"]):
            Image.open(folder / "out" / "pictures" / name).verify()
    store = Store.open(folder / "kept")
    statuses = {row.id: row.status for row in store.rows(Wanted(limit=None))}
    assert all(statuses[cell["run"]] == "done" for cell in cells)
    assert list(statuses.values()).count("done") == POINTS, "32 done runs stood for 30 cells"
    assert len(statuses) <= POINTS + KILLS, "a kill repeats what was at work, and nothing else"
    store.close()


def lines(folder: Path) -> list[bytes]:
    """The whole lines of the journal."""
    path = folder / "out" / CELLS
    text = path.read_bytes() if path.exists() else b""
    return [line for line in text.split(b"\n")[:-1] if line]
