"""A suite, a sweep's recipe and their journals, killed half way by an older version, go on."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from tests.cli.command import Command


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def place_journal(samples: Path) -> Path:
    """Lay the journal where the suite's place has it looked for: by the SHA-256 of its path."""
    place = hashlib.sha256(str(samples / "suite.yaml").encode()).hexdigest()[:8]
    folder = samples / ".limner" / "evals" / f"suite-{place}"
    shutil.copytree(samples / "journal", folder)
    return folder


def test_an_eval_goes_on_where_it_was_killed(limner: Command, samples: Path) -> None:
    """What was done isn't done again: the cells keep their lines, their seconds and their runs, and
    the eval its id."""
    folder = place_journal(samples)
    before = lines(folder / "cells.jsonl")
    assert 0 < len(before) < 8
    answer = limner.run("eval", "suite.yaml", "--resume", "-o", "now.json", "-o", "now.xml")
    assert answer.code == 100, answer.stderr
    assert f"eval {(samples / 'journal' / 'begun').read_text()}" in answer.stdout
    after = lines(folder / "cells.jsonl")
    assert after[: len(before)] == before
    assert len({each["key"] for each in after}) == len(after) == 8
    report = json.loads(Path("now.json").read_text(encoding="utf-8"))
    whole = json.loads(Path("report.json").read_text(encoding="utf-8"))
    assert [statuses(each) for each in (report, whole)] == [statuses(whole)] * 2


def statuses(report: dict[str, Any]) -> dict[str, tuple[str, list[Any]]]:
    """What each cell of a report measured, but for times and memory."""
    return {
        cell["name"]: (cell["status"], [each["measured"] for each in cell["verdicts"]])
        for cell in report["cells"]
    }


def test_an_old_report_is_a_baseline_and_a_filter(limner: Command, samples: Path) -> None:
    """By its file, and as the last one that the journal's folder keeps."""
    place_journal(samples)
    told = limner("eval", "suite.yaml", "--baseline", "report.json").stdout
    assert "0 worse, 0 better" in told
    shutil.rmtree(".limner")
    place_journal(samples)
    assert "0 worse, 0 better" in limner("eval", "suite.yaml", "--baseline", "last").stdout
    shutil.rmtree(".limner")
    place_journal(samples)
    again = limner.run("eval", "suite.yaml", "--filter-failing", "report.json")
    report = statuses(json.loads(Path("report.json").read_text(encoding="utf-8")))
    failing = sum(status == "fail" for status, _ in report.values())
    assert f"{failing} cells: 0 passed, {failing} failed" in again.stdout


def test_a_sweep_goes_on_where_it_was_killed(limner: Command, samples: Path) -> None:
    """What was tried isn't tried again, and the sheet, tables and curves come of all of it."""
    folder = samples / "swept"
    before = lines(folder / "cells.jsonl")
    pictures = {path: path.read_bytes() for path in (folder / "pictures").iterdir()}
    assert 0 < len(before) < 9
    told = limner("sweep", "sweep.toml", "-o", "swept", "--resume", "--no-store").stdout
    assert "9 settings tried" in told
    after = lines(folder / "cells.jsonl")
    assert after[: len(before)] == before
    assert len({each["key"] for each in after}) == len(after) == 9
    assert all(path.read_bytes() == content for path, content in pictures.items())
    with (folder / "results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == 10
    for name in ("index.html", "sheet.png", "curves.png", "results.json"):
        assert (folder / name).stat().st_size
