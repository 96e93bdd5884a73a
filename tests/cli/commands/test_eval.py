"""``limner eval`` with real models: what it says, writes and returns."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from junitparser import JUnitXml
from PIL import Image

from limner.evaluation.cells.journal import CELLS
from limner.runs.entries import Wanted
from limner.runs.store import Store
from tests.cli.command import Command

SUITE = """\
description: Two crops of a photograph
models: [grabcut]
prompts:
- {find: {box: "{{at}}"}}
- {find: {point: "{{on}}"}, label: a point}
settings: [{iterations: 1}, {iterations: 3}]
defaults: {mask: mask.png, assert: [{type: latency, value: 1min}]}
cases:
- {description: easy, image: thing.png, vars: {at: "20,20,70,70", on: "40,40"},
   assert: [{type: iou, value: 0.5}, {type: not-count, value: 2}]}
- {description: impossible, image: thing.png, vars: {at: "0,0,12,12", on: "3,3"},
   assert: [{type: iou, value: 0.99, weight: 2}]}
- {description: missing, image: gone.png, vars: {at: "1,1,9,9", on: "3,3"}}
- {description: removed, image: thing.png, remove: {box: [25, 25, 65, 65]},
   assert: [outside_changed_pixels, {type: peak_memory, value: 100GB},
            {type: python, value: "checks.py:kept_its_size"}]}
"""
CHECKS = "def kept_its_size(outcome, case):\n    return outcome.result.size == (96, 96)\n"


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A red disc on grey noise, its outline, and the suite about them, whose Python is allowed."""
    monkeypatch.setenv("LIMNER_ALLOW_PYTHON", "1")
    y, x = np.mgrid[:96, :96]
    disc = (x - 45) ** 2 + (y - 45) ** 2 < 20**2
    pixels = np.random.default_rng(7).integers(120, 150, (96, 96, 3)).astype(np.uint8)
    pixels[disc] = (190, 30, 30)
    Image.fromarray(pixels).save(tmp_path / "thing.png")
    Image.fromarray(disc.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    (tmp_path / "checks.py").write_text(CHECKS)
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    return path


def test_a_suite_from_the_file_to_every_report(limner: Command, suite: Path) -> None:
    """Exit 100 because some fail; each report tells of the same 14 cells."""
    outputs = [f"report{ending}" for ending in (".html", ".json", ".csv", ".xml")]
    answer = limner.run("eval", suite, *(word for name in outputs for word in ("-o", name)))
    assert answer.code == 100, answer.stderr
    assert answer.stdout.splitlines()[-1] == "14 cells: 6 passed, 4 failed, 4 with errors"
    assert "FAIL   impossible | find box {{at}} | grabcut | iterations=1: iou: 0." in answer.stdout
    assert "gone.png" in answer.stdout
    report = json.loads(Path("report.json").read_text())
    assert report["stats"] == {"pass": 6, "fail": 4, "error": 4}
    removed = [cell for cell in report["cells"] if cell["case"] == "removed"]
    assert [cell["status"] for cell in removed] == ["pass", "pass"]
    assert removed[0]["answered"] == ["grabcut", "opencv-inpaint"]
    assert removed[0]["seconds"] > 0
    assert removed[0]["verdicts"][2]["measured"] > 10_000_000, "bytes, of a whole process"
    assert len(Path("report.csv").read_text().splitlines()) == 15
    junit = JUnitXml.fromfile("report.xml")
    assert (junit.tests, junit.failures, junit.errors) == (14, 4, 4)
    assert Path("report.html").read_text().count("data:image/jpeg") == 10


def test_only_a_regression_fails_against_a_baseline(limner: Command, suite: Path) -> None:
    limner.run("eval", suite, "-o", "main.json")
    answer = limner("eval", suite, "--resume", "--baseline", "main.json")
    assert "0 worse, 0 better" in answer.stdout
    text = suite.read_text()
    suite.write_text(text.replace("value: 0.5}", "value: 0.999}"))  # the easy case is now hard
    worse = limner.run("eval", suite, "--resume", "--baseline", "main.json", "-o", "r.html")
    assert worse.code == 100
    assert "WORSE  easy | a point | grabcut | iterations=1: pass before, fail now" in worse.stdout
    assert "Worse than the baseline" in Path("r.html").read_text()


def test_a_baseline_by_id(limner: Command, suite: Path) -> None:
    """``last`` is the last eval of all cells, whatever a filter looked at since."""
    first = limner.run("eval", suite).stdout.split()[1]
    limner.run("eval", suite, "--resume", "--filter-pattern", "^eas")
    for said in ("last", first, first[:-2]):
        answer = limner("eval", suite, "--resume", "--baseline", said, "-o", "r.json")
        assert "0 worse, 0 better, 0 new that fail, 0 not run" in answer.stdout
    report = json.loads(Path("r.json").read_text())
    (kept,) = Path(".limner/evals").glob(f"*/reports/{report['id']}.json")
    assert kept.read_text() == Path("r.json").read_text()
    failing = limner.run("eval", suite, "--resume", "--filter-failing", "last").stdout
    assert "8 cells: 0 passed" in failing
    unknown = limner.run("eval", suite, "--baseline", "20010101")
    assert (unknown.code, unknown.stdout) == (2, "")
    assert f"there are {failing.split()[1]}" in unknown.stderr, "the newest is named first"


@pytest.mark.parametrize("jobs", [1, 2])
def test_answers_are_recorded_and_a_resumed_eval_keeps_their_ids(
    limner: Command, suite: Path, jobs: int
) -> None:
    """Each cell names its run, which knows its eval and tags; what only judges is no run."""
    words = ("eval", suite, "--filter-pattern", "easy|missing", "--tag", "night", "-j", jobs)
    answer = limner.run(*words, "--store", "kept", "-o", "a.json", "-o", "a.html")
    report = json.loads(Path("a.json").read_text())
    assert answer.stdout.startswith(f"eval {report['id']}\n")
    runs = [cell["run"] for cell in report["cells"]]
    assert all(runs[:4])
    assert runs[4:] == ["", "", "", ""], "there was no picture to open"
    listed = limner("runs", "list", "--store", "kept", "--suite", report["id"], "--json").stdout
    rows = [json.loads(line) for line in listed.splitlines()]
    assert {row["id"] for row in rows} == set(runs[:4])
    assert {(row["verb"], row["status"], *row["tags"]) for row in rows} == {
        ("segment", "done", "night")
    }
    shown = limner("runs", "show", runs[0], "--store", "kept").stdout
    assert report["id"] in shown
    assert f"run {runs[0][:8]}" in Path("a.html").read_text()
    again = limner.run(*words, "--store", "kept", "--resume", "-o", "b.json")
    resumed = json.loads(Path("b.json").read_text())
    assert [cell["run"] for cell in resumed["cells"]] == runs
    assert resumed["id"] > report["id"], "the first one was finished: this is another"
    assert again.code == 100
    none = limner("runs", "list", "--store", "kept", "--suite", resumed["id"])
    assert none.stderr == "limner: No run is like that.\n"


def test_an_unfinished_eval_goes_on_under_its_id(limner: Command, suite: Path) -> None:
    first = limner.run("eval", suite).stdout.split()[1]
    for report in Path(".limner/evals").glob("*/reports/*.json"):
        report.unlink()  # as if it had been killed before
    assert limner.run("eval", suite, "--resume").stdout.split()[1] == first
    assert limner.run("eval", suite, "--resume").stdout.split()[1] != first


def test_filters(limner: Command, suite: Path) -> None:
    """By name; and only what failed before, which --resume then finds done."""
    easy = limner("eval", suite, "--filter-pattern", "^eas")
    assert "4 cells: 4 passed" in easy.stdout
    limner.run("eval", suite, "-o", "old.json")
    failing = limner.run("eval", suite, "--filter-failing", "old.json")
    assert "8 cells: 0 passed, 4 failed, 4 with errors" in failing.stdout
    none = limner.run("eval", suite, "--filter-pattern", "nowhere")
    assert (none.code, "No cell of" in none.stderr) == (2, True)
    broken = limner.run("eval", suite, "--filter-pattern", "(")
    assert (broken.code, "regular expression" in broken.stderr) == (2, True)


def test_errors_can_be_tried_again_when_what_was_missing_is_there(
    limner: Command, suite: Path
) -> None:
    limner.run("eval", suite, "-j", 2)
    Image.open(suite.parent / "thing.png").save("gone.png")
    answer = limner.run("eval", suite, "--retry-errors", "--no-cache")
    assert answer.stdout.splitlines()[-1] == "14 cells: 10 passed, 4 failed"


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        ([], "modles: [a]\n", "suite.yaml:1: A suite has no key 'modles'. Did you mean models"),
        ([], SUITE.replace("iou, value: 0.5", "iuo, value: 0.5"), "suite.yaml:10: There is no"),
        ([], SUITE.replace("[grabcut]", "[grabcot]"), "suite.yaml:2: There is no model 'grabcot'"),
        (["--filter-pattern", "a{99999999999}"], SUITE, "takes a regular expression"),
        ([], "models: [grabcut]\ncases: [{image: a.png, find: mug}]\n", "tests nothing"),
        (
            [],
            "models: [grabcut]\ncases:\n- {image: a.png, find: mug, assert: [{type: seam, value: "
            "0.1, weight: 0}]}\n".replace("seam", "count").replace("0.1", "1"),
            "tests nothing",
        ),
        ([], SUITE.replace("thing.png", "\"{{ 'a' * 3000000000 }}\""), "suite.yaml:9: "),
        ([], SUITE.replace("at: ", "art: "), "needs the variable at, and vars has art, on"),
        (["-o", "report.pdf"], SUITE, "A report ends in .html, .json, .csv, .xml"),
        (["-o", "."], SUITE, "A report ends in"),
        (["--device", "gpu"], SUITE, "gpu"),
        (["--commercial-safe"], SUITE.replace("[grabcut]", "[./sam]"), "suite.yaml:2: The folder"),
        (
            ["--commercial-safe"],
            SUITE.replace("[grabcut]", "[sd15-inpaint]"),
            "--commercial-safe refuses sd15-inpaint",
        ),
        (["--baseline", "gone.json"], SUITE, "There is no report gone.json"),
        (["--baseline", "last"], SUITE, "There is no last report"),
        (["--filter-failing", "2026"], SUITE, "There is no report 2026"),
        (["--store", "x", "--no-store"], SUITE, "exclude each other"),
        (["--filter-failing", "suite.yaml"], SUITE, "is no report of limner eval"),
    ],
)
def test_a_wrong_suite_exits_with_2_and_runs_nothing(
    limner: Command, suite: Path, words: list[str], text: str, said: str
) -> None:
    suite.write_text(text)
    answer = limner.run("eval", "suite.yaml", *words)
    assert (answer.code, answer.stdout) == (2, "")
    assert said in answer.stderr
    assert not Path(".limner").exists()


def test_python_of_a_suite_runs_only_where_somebody_allowed_it(
    limner: Command, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file would leave a mark as soon as it is loaded; nothing is computed before the refusal,
    and cells that a filter leaves out ask for nothing."""
    (suite.parent / "checks.py").write_text(
        "import pathlib\npathlib.Path('ran').touch()\n" + CHECKS
    )
    for value in (None, "0"):
        monkeypatch.delenv("LIMNER_ALLOW_PYTHON")
        if value is not None:
            monkeypatch.setenv("LIMNER_ALLOW_PYTHON", value)
        answer = limner.run("eval", suite)
        assert (answer.code, answer.stdout) == (2, "")
        assert "checks.py" in answer.stderr
        assert "--allow-python" in answer.stderr
        assert not Path(".limner").exists()
        monkeypatch.setenv("LIMNER_ALLOW_PYTHON", "0")
    assert limner.run("eval", suite, "--filter-pattern", "^missing").code == 100
    assert not Path("ran").exists()
    assert limner.run("eval", suite, "--filter-pattern", "^removed", "--allow-python").code == 0
    assert Path("ran").exists()


@pytest.mark.parametrize(
    "body", ["import sys; sys.exit(3)", "raise BaseException('x')", "return Odd()"]
)
def test_python_that_ends_the_process_is_its_cells_error(
    limner: Command, suite: Path, body: str
) -> None:
    """sys.exit(3) ended the whole evaluation, with 141 and no report."""
    odd = "class Odd:\n    def __repr__(self): raise SystemExit(4)\n"
    (suite.parent / "checks.py").write_text(f"{odd}def kept_its_size(outcome, case): {body}\n")
    answer = limner.run("eval", suite, "--filter-pattern", "removed|easy", "-o", "r.json")
    assert answer.code == 100
    statuses = [cell["status"] for cell in json.loads(Path("r.json").read_text())["cells"]]
    assert statuses == ["pass"] * 4 + ["error"] * 2
    assert "checks.py:kept_its_size raised" in answer.stdout


@pytest.mark.slow
def test_kill_9_then_resume_loses_nothing_and_repeats_nothing(suite: Path) -> None:
    """Killed at random moments: after each the journal has whole lines of different cells, and in
    the end one of every cell, with its run in the store, all of one eval. More moments, of a
    double: tests/evaluation/suites."""
    chance = random.Random(4)
    command = [sys.executable, "-m", "limner", "eval", "suite.yaml", "--repeat", "4", "--resume"]
    command += ["--store", "kept", "-o", "report.json"]
    environment = {**os.environ, "LIMNER_HOME": str(suite.parent / "home")}
    cells = 14 * 4
    done: list[bytes] = []
    for wanted, jobs in ((1, "1"), (12, "2"), (28, "1")):
        run = subprocess.Popen(
            [*command, "-j", jobs], cwd=suite.parent, env=environment, stdout=subprocess.PIPE
        )
        while run.poll() is None and len(lines(suite.parent)) < max(wanted, len(done) + 1):
            time.sleep(0.01)
        time.sleep(chance.random() / 10)
        children = psutil.Process(run.pid).children()
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert len(children) >= (2 if jobs == "2" else 0)
        assert not psutil.wait_procs(children, timeout=120)[1], "no worker outlives its run"
        now = lines(suite.parent)
        assert now[: len(done)] == done, "what was done stays as it was"
        assert len(now) >= wanted
        done = now
    assert len(done) < cells, "the last run has something left to do"
    last = subprocess.run(
        command, cwd=suite.parent, env=environment, capture_output=True, text=True
    )
    assert last.returncode == 100, last.stderr
    assert last.stdout.splitlines()[-1].startswith(f"{cells} cells: 24 passed, 16 failed")
    keys = [json.loads(line)["key"] for line in lines(suite.parent)]
    assert len(keys) == len(set(keys)) == cells
    assert lines(suite.parent)[: len(done)] == done
    report = json.loads((suite.parent / "report.json").read_text())
    store = Store.open(suite.parent / "kept", create=False)
    rows = {row.id: row for row in store.rows(Wanted(suite=report["id"], limit=None))}
    store.close()
    runs = [cell["run"] for cell in report["cells"] if cell["status"] != "error"]
    assert len(runs) == len(set(runs)) == 40
    assert {rows[run].status for run in runs} == {"done"}
    others = [row.status for row in rows.values() if row.id not in runs]
    assert len(others) <= 4, "at most what was in work when it was killed"


def lines(folder: Path) -> list[bytes]:
    """The whole lines of the one journal there."""
    found = list(folder.glob(f".limner/evals/*/{CELLS}"))
    text = found[0].read_bytes() if found else b""
    return [line for line in text.split(b"\n")[:-1] if line]
