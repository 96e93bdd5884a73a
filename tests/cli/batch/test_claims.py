"""Several processes on one folder: no picture is done twice, and none is lost."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from limner.cli.batch import claims
from limner.cli.batch.claims import claim_of, claimed
from limner.io.save import read_record
from limner.runs.process import Process
from tests.cli.command import Command

HIDE = ("redact", "in", "--box", "2,2,12,12", "-o", "out")
ELSEWHERE = Process("another-machine", 1, 1.0)


@pytest.fixture
def pictures(limner: Command) -> list[Path]:
    Path("in").mkdir()
    names = [Path("in") / f"{k}.png" for k in range(3)]
    for name in names:
        Image.effect_noise((32, 32), 80).convert("RGB").save(name)
    return names


def result(name: str) -> Path:
    return Path("out") / f"{name}-redact.png"


def hold(name: str, process: Process | None, age: float = 0.0) -> Path:
    claim = claim_of(result(name))
    claim.parent.mkdir(exist_ok=True)
    claim.write_text(json.dumps(asdict(process)) if process else "")
    os.utime(claim, (time.time() - age,) * 2)
    return claim


@pytest.fixture
def sleeper() -> Process:
    """Another process that lives."""
    import psutil

    asleep = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield Process(platform.node(), asleep.pid, psutil.Process(asleep.pid).create_time())
    asleep.communicate()


def test_what_another_process_does_is_left_to_it(
    limner: Command, pictures: list[Path], sleeper: Process
) -> None:
    """Eight writers on one folder did all the work eight times."""
    claim = hold("1", sleeper)
    answer = limner(*HIDE)
    assert "3 images: 2 done, 1 being done by another process" in answer.stdout
    assert f"in/1.png is being done by another process ({sleeper.pid})" in answer.stderr
    assert not result("1").exists()
    assert claim.exists()
    one = limner("redact", "in/1.png", *HIDE[2:4], "-o", result("1"))
    assert "isn't done twice" in one.stderr


DEAD = Process(platform.node(), 2**22 + 1, 1.0)
STALE: dict[str, tuple[Process | None, float]] = {
    "a process that died": (DEAD, 0),
    "its number is another process's now": (Process(platform.node(), 1, 1.0), 0),
    "half-written long ago": (None, 120),
    "another machine, days ago": (ELSEWHERE, 2 * claims.FOREIGN_HOLDS),
}


@pytest.mark.parametrize("case", STALE, ids=str)
def test_a_dead_claim_is_taken_over(limner: Command, pictures: list[Path], case: str) -> None:
    """Killed by ``kill -9``, it must keep nobody from the picture."""
    hold("1", *STALE[case])
    assert "3 images: 3 done" in limner(*HIDE).stdout
    assert not list(Path().rglob(".limner-*"))


@pytest.mark.parametrize("process", [None, ELSEWHERE], ids=["half-written", "another machine"])
def test_a_claim_that_may_live_holds(
    limner: Command, pictures: list[Path], process: Process | None
) -> None:
    hold("1", process)
    assert "1 being done by another process" in limner(*HIDE).stdout


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_what_another_process_has_finished_meanwhile_counts(
    limner: Command,
    pictures: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    sleeper: Process,
    overwrite: tuple[str, ...],
) -> None:
    """Claimed at first, there in the end: it is looked at again and not done again."""
    limner(*HIDE)
    whole = result("0").read_bytes()
    result("0").unlink()
    claim = hold("0", sleeper)
    taken = claims._take

    def take(path: Path) -> tuple[bool, Process | None]:
        if path == claim_of(result("2")):  # meanwhile the other one ends
            result("0").write_bytes(whole)
            claim.unlink(missing_ok=True)
        return taken(path)

    monkeypatch.setattr(claims, "_take", take)
    if not overwrite:
        result("2").unlink()
    answer = limner(*HIDE, *overwrite)
    assert "out/0-redact.png  done already" in answer.stdout
    assert "another process" not in answer.stdout


def test_claims_leave_nothing_behind(limner: Command, pictures: list[Path]) -> None:
    """But the list and the sheet, where nothing was found, or it went wrong."""
    Path("in/3.png").write_bytes(b"no picture")
    answer = limner.run("redact", "in", "--text", "face", "-o", "deep/out")
    assert answer.code == 2
    listed = {Path("deep/out/contact-sheet.jpg"), Path("deep/out/summary.csv")}
    assert {path for path in Path("deep").rglob("*") if path.is_file()} == listed
    try:
        with claimed(Path("other/out/a.png")) as other:
            assert other is None
            assert claim_of(Path("other/out/a.png")).exists()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert not Path("other").exists()


def test_one_process_does_not_keep_itself_from_a_picture(limner: Command) -> None:
    with claimed(Path("a.png")) as first, claimed(Path("a.png")) as second:
        assert first is None
        assert second is None


def test_where_no_claim_can_be_written_the_work_is_done(
    limner: Command, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "claim_of", lambda finished: Path("/proc/none/a.claim"))
    assert "3 images: 3 done" in limner(*HIDE).stdout


@pytest.mark.slow
def test_four_writers_do_each_picture_once(tmp_path: Path) -> None:
    """In real processes, one of which is killed."""
    (tmp_path / "in").mkdir()
    count = 24
    for k in range(count):
        picture = Image.effect_noise((400, 400), 80).convert("RGB")
        picture.save(tmp_path / "in" / f"{k:02}.png")
    command = [sys.executable, "-m", "limner", *HIDE, "--no-cache", "--store", "s"]
    environment = {**os.environ, "LIMNER_HOME": str(tmp_path / "home")}
    writers = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    while len(list((tmp_path / "out").glob("*.png"))) < 3:
        time.sleep(0.05)
    writers[0].kill()
    said = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers[1:]] == [0, 0, 0]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.PIPE)
    results = sorted((tmp_path / "out").glob("*.png"))
    assert len(results) == count
    assert all(read_record(path) for path in results)
    done = sum(line.count("pixels changed outside") for text in said for line in text.splitlines())
    assert done <= count, "none was done twice"
    assert not list((tmp_path / "out").glob(".limner-*.claim"))
