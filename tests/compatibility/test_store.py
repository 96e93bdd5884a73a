"""A store of runs, and what was exported of one, are read as they were written."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Command

from .verbs import pixels, unlike
from .write_samples import ELSEWHERE

VERBS = ["segment", "cutout", "remove", "background", "extend", "redact", "edit", "detect"]
PAINTED = "edit"
"""Whose pixels a tiny model paints: on another processor a level may differ."""


def listed(limner: Command, *words: object) -> list[dict[str, Any]]:
    """Oldest first."""
    lines = limner("runs", "list", "--store", "store", "--json", *words).stdout.splitlines()
    return [json.loads(line) for line in reversed(lines)]


def test_runs_are_listed_and_found(limner: Command, samples: Path) -> None:
    """By verb, tag, model and eval; a rating, a replay and a killed eval's runs among them."""
    rows = listed(limner)
    assert [row["verb"] for row in rows][: len(VERBS) + 1] == [*VERBS, "remove"]
    assert {row["status"] for row in rows} <= {"done", "died"}
    assert [row["tags"] for row in listed(limner, "--tag", "cup")] == [["cup"], ["cup"]]
    assert [row["verb"] for row in listed(limner, "--model", "painter")] == ["edit"]
    assert [row["rating"] for row in listed(limner, "--verb", "redact")] == [4]
    eval_id = (samples / "journal" / "begun").read_text()
    assert len(listed(limner, "--suite", eval_id)) >= 4
    again = limner.json("runs", "show", rows[len(VERBS)]["id"], "--store", "store")
    assert again["parent"] == rows[2]["id"]


def test_runs_are_explained_and_compared(limner: Command) -> None:
    rows = listed(limner, "--limit", "100")
    for row in rows:
        text = limner("runs", "show", row["id"], "--store", "store").stdout
        assert row["verb"] in text
        assert "/home/somebody/pictures" in text
        whole = limner.json("runs", "show", row["id"], "--store", "store")
        assert whole["record"]["job"] == whole["job"]
        assert whole["files"]
    redaction = next(row for row in rows if row["verb"] == "redact")
    assert "the rim is soft" in limner("runs", "show", redaction["id"], "--store", "store").stdout
    pair = [row["id"] for row in rows[:2]]
    told = limner.json("runs", "compare", *pair, "--store", "store")
    assert told["differences"]["verb"] == ["segment", "cutout"]
    assert told["differences"]["settings.edit.feather"][1] == 2


def move_models(samples: Path) -> None:
    """Have the store's runs name the painter where it lies here: a model's folder isn't looked for
    elsewhere."""
    with contextlib.closing(sqlite3.connect(samples / "store" / "runs.db")) as store:
        places = (f"{ELSEWHERE}/painter", str(samples / "painter"))
        store.execute("UPDATE runs SET asked = replace(asked, ?, ?)", places)
        store.commit()


def test_a_run_is_done_again_to_the_same_pixels(limner: Command, samples: Path) -> None:
    """From its record alone: each verb's prompts and options are read as they were meant. Inputs
    lie in the store; a redaction's, which isn't copied, is found by its content."""
    move_models(samples)
    for row in listed(limner):
        words = ("runs", "replay", row["id"], "--store", "store", "--no-record", "--json")
        answer = limner.run(*words)
        assert answer.stdout, f"{row['verb']}: {answer.stderr}"
        again = json.loads(answer.stdout)
        assert again["same_finds"]
        if row["verb"] != PAINTED:
            assert (answer.code, again["pixels"]) == (0, 0), row["verb"]


def test_a_recorded_painting_is_painted_again(limner: Command, samples: Path) -> None:
    """Within what processors differ by."""
    move_models(samples)
    (row,) = listed(limner, "--verb", PAINTED)
    limner.run("runs", "replay", row["id"], "--store", "store")
    for run, name in ((row["id"], "before.png"), ("latest", "now.png")):
        limner("runs", "open", run, "--store", "store", "-o", name)
    assert limner.json("runs", "show", "latest", "--store", "store")["parent"] == row["id"]
    assert not unlike(pixels(Path("before.png")), pixels(Path("now.png")), exact=False)


def test_a_store_goes_on(limner: Command) -> None:
    """New runs join the old ones, which can be rated, exported, deleted and collected."""
    count = len(listed(limner))
    limner("remove", "small.png", "--box", "30,20,50,35", "--store", "store", "-o", "new.png")
    limner("runs", "rate", "latest~1", "2", "--store", "store")
    assert [row["rating"] for row in listed(limner)][-2:] == [2, None]
    limner("runs", "export", "--all", "--store", "store", "-o", "all.zip")
    limner("runs", "import", "all.zip", "--store", "second")
    again = limner("runs", "list", "--store", "second", "--json").stdout.splitlines()
    assert len(again) == count + 1
    limner("runs", "delete", listed(limner)[0]["id"], "--store", "store")
    limner("runs", "gc", "--all", "--store", "store")
    assert len(listed(limner)) == count
    limner("runs", "forget", "small.png", "--store", "store")
    assert {row["verb"] for row in listed(limner)} == {"redact", "detect"}


def test_an_export_is_imported_and_says_what_it_said(limner: Command) -> None:
    """JSON lines of the same run hold the same."""
    limner("runs", "import", "exported.zip", "--store", "taken")
    exported = json.loads(Path("exported.jsonl").read_text(encoding="utf-8"))
    again = json.loads(limner("runs", "export", "latest", "--store", "taken").stdout)
    assert again == {**exported, "pid": again["pid"]}
    original = limner("runs", "export", exported["id"], "--store", "store").stdout
    assert json.loads(original) == exported
    assert limner("runs", "replay", "latest", "--store", "taken").code == 0


def test_a_result_leads_to_its_run(limner: Command) -> None:
    """By the record that the picture carries."""
    (run, *_) = listed(limner, "--verb", "remove")
    assert limner.json("runs", "show", "result.png", "--store", "store")["id"] == run["id"]
    answer = limner("runs", "replay", "result.png", "--store", "store")
    assert "0 pixels differ" in answer.stdout


def test_kept_answers_are_served_or_computed_anew_but_never_stale(
    limner: Command, samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outline with the old version's cache and without any."""
    words = ("segment", "small.png", "--box", "18,3,42,30", "--store", "fresh")
    monkeypatch.setenv("LIMNER_CACHE", str(samples / "cache"))
    assert list((samples / "cache").rglob("*.answer"))
    limner(*words, "-o", "kept.png")
    limner(*words, "-o", "anew.png", "--no-cache")
    shutil.rmtree(samples / "cache")
    assert not unlike(pixels(Path("anew.png")), pixels(Path("kept.png")), exact=True)
    kept, anew = (
        json.loads(Path(f"{name}.json").read_text(encoding="utf-8"))["annotations"]
        for name in ("kept", "anew")
    )
    assert kept == anew
