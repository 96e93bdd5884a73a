"""Reports by the id of their eval: which is meant, which stay, which eval goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from limner.errors import OptionError
from limner.evaluation.cells.runner import run_cells
from limner.evaluation.suites import archive
from limner.evaluation.suites.archive import Reports, new_id

from .doubles import Told, suite_of

IDS = ("20261127-091020-371a4", "20261127-091500-002b0", "20261128-070000-9991f")


def report(eval_id: str, **more: Any) -> dict[str, Any]:
    return {"id": eval_id, "format": 1, "filtered": False, "cells": [], **more}


@pytest.fixture
def kept(tmp_path: Path) -> Reports:
    """Three evals, of which the newest was narrowed by a filter."""
    reports = Reports(tmp_path / "journal")
    for eval_id in IDS:
        reports.keep(report(eval_id, filtered=eval_id == IDS[2]))
    return reports


def test_ids_sort_by_time_and_none_comes_twice() -> None:
    start = datetime(2026, 12, 31, 23, 59, 59, 998_000, UTC)
    made = [new_id(start + timedelta(milliseconds=k)) for k in range(5)]
    assert made == sorted(set(made))
    assert len({new_id(start) for _ in range(64)}) > 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [(IDS[0], 0), ("20261127-0910", 0), ("20261128", 2), ("last", 1)],
)
def test_a_report_by_id_by_its_beginning_or_the_last_whole_one(
    kept: Reports, said: str, meant: int
) -> None:
    assert kept.find(said) == kept.path(IDS[meant])


def test_a_file_is_nearer_than_an_id(kept: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept.folder)
    Path("2026").touch()
    assert kept.find("2026") == Path("2026")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("20261127-09", "begins the ids of 2 evals: 20261127-091500-002b0, 20261127-091020-371a4"),
        ("20261127-091020-371a5", "begins so: there are 20261127-091020-371a4"),
        ("main.json", f"begins so: there are {', '.join(reversed(IDS))}."),
        ("", "There is no report"),
        ("nul\0", "There is no report"),
        ("x" * 5000, "There is no report"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(kept: Reports, said: str, sentence: str) -> None:
    with pytest.raises(OptionError) as refused:
        kept.find(said)
    assert sentence in str(refused.value)


def test_there_is_no_last_one_yet(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    reports.keep(report(IDS[0], filtered=True))
    (reports.folder / "letter.json").write_text("no report")
    with pytest.raises(OptionError, match="without filters"):
        reports.find("last")


def test_old_reports_go_and_the_one_just_written_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the clock went back, so that its id is the oldest."""
    monkeypatch.setattr(archive, "KEPT", 3)
    reports = Reports(tmp_path)
    for eval_id in ("d", "c", "e", "f", "a"):
        reports.keep(report(eval_id))
    assert reports.ids() == ["f", "e", "a"]


def test_an_eval_goes_on_under_its_id_until_it_has_a_report(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, "models: [grabcut]\ncases: [{image: thing.png, find: mug}]\n")
    reports = Reports(tmp_path / "kept")
    assert reports.unfinished() == ""
    run_cells(suite.cells, Told, reports.journal, eval_id=IDS[0])
    assert reports.unfinished() == IDS[0]
    reports.keep(report(IDS[0]))
    assert reports.unfinished() == ""
