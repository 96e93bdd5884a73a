"""The harness loses nothing, repeats nothing, and lets no cell break another."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from limner.errors import OutputError
from limner.evaluation.cells.journal import CELLS, PICTURES, journal
from limner.evaluation.cells.runner import Execution, run_cells
from limner.evaluation.suites.suite import Suite
from tests.evaluation.suites.doubles import Told, suite_of

CASES = """\
models: [grabcut, opencv-inpaint]
cases:
- {image: thing.png, find: mug, mask: mask.png, assert: [{type: iou, value: 0.9}]}
- {image: gone.png, find: mug}
- {image: thing.png, find: mug, mask: small.png, assert: [{type: iou, value: 0.9}]}
- {image: thing.png, find: bug}
- {image: thing.png, find: half, mask: mask.png, assert: [{type: iou, value: 0.9}]}
"""
STATUSES = ["pass", "error", "error", "error", "fail"]


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    (tmp_path / "asked").mkdir()
    return suite_of(tmp_path, CASES)


@pytest.fixture
def make(tmp_path: Path) -> partial[Told]:
    return partial(Told, tmp_path / "asked")


def times_asked(folder: Path) -> list[int]:
    """How often each cell that got as far as a model was asked."""
    asked = [path.name.split("-")[0] for path in (folder / "asked").iterdir()]
    return sorted(asked.count(key) for key in set(asked))


def test_a_broken_cell_is_its_own_error_and_the_rest_goes_on(
    tmp_path: Path, suite: Suite, make: partial[Told]
) -> None:
    """A missing file, a mask of another size, a bug in a model: said where they happened."""
    results = run_cells(suite.cells, make, tmp_path / "kept")
    assert [result.status for result in results] == [s for s in STATUSES for _ in range(2)]
    assert [result.name for result in results] == [cell.name for cell in suite.cells]
    said = [result.error for result in results[::2]]
    assert "gone.png" in said[1]
    assert "20x20 pixels" in said[2]
    assert said[3] == "ZeroDivisionError: a model's own"
    passed = results[0]
    assert (tmp_path / "kept" / PICTURES / passed.picture).read_bytes()[:2] == b"\xff\xd8"
    assert (passed.found, passed.seconds, passed.models) == (1, 0.5, ("told",))


def test_resume_does_only_what_is_left(tmp_path: Path, suite: Suite, make: partial[Told]) -> None:
    """As after a kill: the journal lacks its last lines, and the last of all is torn."""
    kept = tmp_path / "kept"
    whole = run_cells(suite.cells, make, kept)
    path = kept / CELLS
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(suite.cells)
    path.write_bytes(b"".join(lines[:4]) + b"no line of ours\n" + lines[4][:30])
    seen: list[bool] = []
    again = run_cells(
        suite.cells, make, kept, Execution(resume=True), on_result=lambda r, old: seen.append(old)
    )
    assert again == whole
    assert seen == [True] * 4 + [False] * 6
    keys = [json.loads(line)["key"] for line in path.read_bytes().splitlines() if b"{" in line]
    assert len(keys) == len(set(keys)) == len(suite.cells), "nothing twice, nothing lost"


def test_a_picture_that_is_gone_is_made_again(
    tmp_path: Path, suite: Suite, make: partial[Told]
) -> None:
    kept = tmp_path / "kept"
    first = run_cells(suite.cells, make, kept)[0]
    (kept / PICTURES / first.picture).unlink()
    run_cells(suite.cells, make, kept, Execution(resume=True))
    assert (kept / PICTURES / first.picture).exists()
    assert times_asked(tmp_path) == [1] * 7 + [2]


def test_errors_are_kept_by_resume_and_tried_again_when_asked(
    tmp_path: Path, suite: Suite, make: partial[Told]
) -> None:
    run_cells(suite.cells, make, tmp_path / "kept")
    (tmp_path / "gone.png").write_bytes((tmp_path / "thing.png").read_bytes())
    # The suite as read before: the cells' keys still say that the picture is missing.
    kept = run_cells(suite.cells, make, tmp_path / "kept", Execution(resume=True))
    assert [result.status for result in kept[::2]] == STATUSES
    tried = run_cells(suite.cells, make, tmp_path / "kept", Execution(retry_errors=True))
    assert [result.status for result in tried[::2]] == ["pass", "pass", *STATUSES[2:]]


def test_without_resume_everything_is_done_anew(
    tmp_path: Path, suite: Suite, make: partial[Told]
) -> None:
    for _ in range(2):
        run_cells(suite.cells, make, tmp_path / "kept")
    assert times_asked(tmp_path) == [2] * 8


def test_two_names_for_one_try_need_one(tmp_path: Path, make: partial[Told]) -> None:
    """Two settings that don't matter to a verb: one answer stands in both columns."""
    (tmp_path / "asked").mkdir()
    suite = suite_of(
        tmp_path,
        "models: [grabcut]\nsettings: [{dilate: 1}, {dilate: 2}]\n"
        "cases: [{image: thing.png, find: mug}, {image: thing.png, remove: mug}]\n",
    )
    results = run_cells(suite.cells, make, tmp_path / "kept")
    assert [result.name for result in results] == [cell.name for cell in suite.cells]
    assert times_asked(tmp_path) == [1, 1, 1]


def test_workers_do_the_same_and_a_dead_one_costs_its_cell_only(
    tmp_path: Path, make: partial[Told]
) -> None:
    (tmp_path / "asked").mkdir()
    text = CASES.replace("find: bug", "find: crash").replace(", opencv-inpaint", "")
    suite = suite_of(tmp_path, text)
    results = run_cells(suite.cells, make, tmp_path / "kept", Execution(workers=2))
    assert [result.status for result in results] == STATUSES
    assert "exit code 7" in results[3].error
    assert times_asked(tmp_path) == [1] * 4


@pytest.mark.slow
def test_killed_at_twenty_moments_nothing_is_lost_and_nothing_done_twice(tmp_path: Path) -> None:
    """A kill costs at most the cells in work: all that was written stays, byte for byte."""
    (tmp_path / "asked").mkdir()
    texts = [f'- {{image: thing.png, find: "mug {k}"}}' for k in range(600)]
    suite = suite_of(tmp_path, "models: [grabcut]\ncases:\n" + "\n".join(texts) + "\n")
    chance, killed, in_work, done = random.Random(20), 0, 0, b""
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.evaluation.suites.killed", str(tmp_path)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    orders = [
        {"jobs": 2 if k in (5, 12) else 1, "seconds": chance.random() / 16} for k in range(20)
    ]
    for order in [*orders, {"jobs": 1}]:
        program.stdin.write(json.dumps(order) + "\n")
        program.stdin.flush()
        said = json.loads(program.stdout.readline())
        killed += said["killed"]
        in_work += order["jobs"] if said["killed"] else 0
        now = (tmp_path / "kept" / CELLS).read_bytes()
        assert now.startswith(done[: done.rfind(b"\n") + 1]), "what was written stays as it was"
        done = now
    assert (killed, said["code"]) == (20, 0)
    program.communicate()
    rows = [json.loads(line) for line in done.splitlines()]
    assert {row["key"] for row in rows} == {cell.key for cell in suite.cells}
    assert len(rows) == len(suite.cells) == 600, "no cell is there twice"
    assert {row["status"] for row in rows} == {"pass"}
    asked = times_asked(tmp_path)
    assert len(asked) == 600
    assert sum(asked) <= 600 + in_work, "only what was in work is asked again"
    pictures = sorted(path.name for path in (tmp_path / "kept" / PICTURES).iterdir())
    assert pictures == sorted(row["picture"] for row in rows), "and no halves are left"


def test_two_runs_of_one_suite_at_once_are_refused(
    tmp_path: Path, suite: Suite, make: partial[Told]
) -> None:
    with (
        journal(tmp_path / "kept", keep=False),
        pytest.raises(OutputError, match="Another limner eval"),
    ):
        run_cells(suite.cells, make, tmp_path / "kept")
