"""``limner runs``: what was done is listed, explained, compared, done again and taken out."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.cli.commands.runs.runs import parse_since
from limner.errors import OptionError
from limner.io.save import read_record
from limner.runs.store import Store
from tests.cli.command import Command

BOX = "10,8,34,30"


@pytest.fixture(autouse=True)
def recording(limner: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user: the store is on, in the working folder. A small picture lies there."""
    monkeypatch.delenv("LIMNER_STORE", raising=False)
    pixels = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    pixels[8:30, 10:34] = (255, 0, 0)
    Image.fromarray(pixels).save("photo.png")


def listed(limner: Command, *words: object) -> list[dict[str, Any]]:
    said = limner("runs", "list", "--json", *words).stdout
    return [json.loads(line) for line in said.splitlines()]


def test_every_verb_is_recorded_and_explained(limner: Command) -> None:
    """Where the results went, by what, how long, and the id in the picture leads back."""
    limner("cutout", "photo.png", "--box", BOX, "--tag", "cup", "-o", "out.png")
    (row,) = listed(limner)
    assert (row["verb"], row["status"], row["tags"], row["words"]) == (
        "cutout",
        "done",
        ["cup"],
        "box",
    )
    record = read_record("out.png")
    assert record is not None
    assert record["run"] == row["id"]
    shown = limner("runs", "show", row["id"][:6]).stdout
    for part in ("cutout: box", "grabcut", "photo.png", str(Path("out.png").absolute()), "at most"):
        assert part in shown
    table = limner("runs", "list").stdout.splitlines()
    assert table[0].split()[:4] == ["ID", "STARTED", "VERB", "STATUS"]
    assert row["id"][:8] in table[1]
    assert "#cup" in table[1]


def test_runs_are_compared_rated_noted_and_found(limner: Command) -> None:
    limner("cutout", "photo.png", "--box", BOX, "-o", "a.png")
    limner("cutout", "photo.png", "--box", BOX, "--feather", "3", "--tag", "soft", "-o", "b.png")
    found = json.loads(limner("runs", "compare", "latest~1", "latest", "--json").stdout)
    differences = found["differences"]
    assert differences["settings.edit.feather"] == [None, 3]  # None: the verb's own
    assert differences["tags"] == [None, "soft"]
    assert differences["pixels that differ from the first"][1] > 0
    assert not {"verb", "input", "session.profile", "mask 0"} & set(differences)
    assert "settings.edit.feather" in limner("runs", "compare", "latest~1", "latest").stdout
    limner("runs", "rate", "latest", "4")
    limner("runs", "note", "latest", "soft rim")
    assert "soft rim" in limner("runs", "show", "latest").stdout
    assert [row["rating"] for row in listed(limner)] == [4, None]
    assert [row["tags"] for row in listed(limner, "--tag", "soft")] == [["soft"]]
    assert len(listed(limner, "--limit", "1")) == 1
    assert len(listed(limner, "--since", "1h", "--verb", "cutout", "--model", "grabcut")) == 2
    assert listed(limner, "--status", "failed") == []
    limner("runs", "rate", "latest", "--clear")
    assert listed(limner)[0]["rating"] is None


def test_replay_says_that_no_pixel_differs(limner: Command) -> None:
    limner("background", "photo.png", "--box", BOX, "--colour", "teal", "-o", "out.png")
    assert "0 pixels differ, the same finds" in limner("runs", "replay", "latest").stdout
    again = json.loads(limner("runs", "replay", "latest", "--no-record", "--json").stdout)
    assert (again["pixels"], again["same_finds"], again["replay"]) == (0, True, None)
    assert len(listed(limner)) == 2


def test_a_replay_that_differs_ends_with_exit_code_1(limner: Command) -> None:
    limner("cutout", "photo.png", "--box", BOX, "-o", "out.png")
    store = Store.open()
    other = Image.open(store.files.path(store.get("latest").of_role("picture")[0].name) or "")
    other.putpixel((0, 0), (9, 9, 9, 9))
    other.save("other.png")
    name = store.files.save(Path("other.png").read_bytes(), ".png")
    with store.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE run_files SET name = '{name}' WHERE role = 'picture'")
    store.close()
    answer = limner.run("runs", "replay", "latest")
    assert (answer.code, "1 pixels differ" in answer.stdout) == (1, True)


def test_open_export_delete_and_collect(limner: Command) -> None:
    limner("cutout", "photo.png", "--box", BOX, "-o", "out.png")
    path = Path(limner("runs", "open", "latest").stdout.strip())
    before = np.asarray(Image.open("out.png"))
    assert np.array_equal(np.asarray(Image.open(path)), before)
    limner("runs", "open", "latest", "--role", "input", "-o", "copy.png")
    assert Path("copy.png").read_bytes() == Path("photo.png").read_bytes()
    limner("runs", "export", "latest", "-o", "run.zip")
    with zipfile.ZipFile("run.zip") as archive:
        (line,) = archive.read("runs.jsonl").decode().splitlines()
        exported = json.loads(line)
        names = {f"files/{file['name']}" for file in exported["files"]}
        assert set(archive.namelist()) == {"runs.jsonl", *names}
        assert archive.testzip() is None
    assert json.loads(limner("runs", "export", "--all").stdout) == exported
    limner("runs", "export", "latest", "-o", "run.jsonl")
    assert json.loads(Path("run.jsonl").read_text()) == exported
    limner("runs", "delete", "latest")
    assert listed(limner) == []
    assert path.exists(), "files stay until they are collected"
    assert "0 files" in limner("runs", "gc").stdout, "they are too young"
    assert "4 files" in limner("runs", "gc", "--all", "--dry-run").stdout
    assert path.exists()
    limner("runs", "gc", "--all")
    assert not path.exists()


def test_off_means_off(limner: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By flag or by environment: no folder appears, and the results carry no id."""
    limner("cutout", "photo.png", "--box", BOX, "--no-store", "-o", "a.png")
    monkeypatch.setenv("LIMNER_STORE", "off")
    limner("cutout", "photo.png", "--box", BOX, "-o", "b.png")
    assert not Path(".limner").exists()
    assert "run" not in (read_record("a.png") or {})
    limner("cutout", "photo.png", "--box", BOX, "--store", "mine", "-o", "c.png")
    assert len(listed(limner, "--store", "mine")) == 1, "a flag is nearer than the environment"


def test_files_and_inputs_by_environment(
    limner: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LIMNER_STORE", f"sqlite:///{tmp_path}/team.db")
    monkeypatch.setenv("LIMNER_STORE_FILES", "elsewhere")
    monkeypatch.setenv("LIMNER_STORE_INPUTS", "0")
    limner("cutout", "photo.png", "--box", BOX, "-o", "a.png")
    assert Path("team.db").exists()
    assert len(list(Path("elsewhere").glob("*/??/*"))) == 3, "the input isn't copied"


def test_a_store_that_fails_is_said_once_and_the_folder_is_done(limner: Command) -> None:
    """Of a newer limner: every picture is made, the loss is one sentence, the exit code is 0."""
    Path("in").mkdir()
    for name in ("a.png", "b.png"):
        Path("in", name).write_bytes(Path("photo.png").read_bytes())
    Path(".limner").mkdir()
    Path(".limner/runs.db").write_text("no database " * 200)
    answer = limner("cutout", "in", "--box", BOX, "-o", "out")
    assert "2 done" in answer.stdout
    assert answer.stderr.count("isn't recorded") == 1
    assert len(answer.stderr.splitlines()) == 1
    assert len(list(Path("out").glob("*.png"))) == 2


BAD = {
    "no store here": (["list"], "There is no store at"),
    "no such run": (["show", "abc123", "--store", "s"], "No run's id begins with abc123"),
    "no id": (["show", "../x", "--store", "s"], "named by its id"),
    "nothing yet": (["show", "latest", "--store", "s"], "There is no run latest"),
    "since never": (["list", "--since", "yesterday", "--store", "s"], "--since takes"),
    "since too long ago": (["list", "--since", "999999w", "--store", "s"], "--since takes"),
    "unknown status": (
        ["list", "--status", "lost"],
        "--status: expected running, done",
    ),
    "no rows": (["list", "--limit", "0"], "--limit: expected a whole number from 1 up"),
    "rated 9": (["rate", "latest", "9", "--store", "s"], "from 1 to 5, got 9"),
    "rated in words": (["rate", "latest", "good", "--store", "s"], "from 1 to 5, got good"),
    "rated nothing": (["rate", "latest", "--store", "s"], "--clear"),
    "an empty note": (["note", "latest", " ", "--store", "s"], "holds words"),
    "compared alone": (["compare", "--store", "s"], "two runs or more"),
    "exported nothing": (["export", "--store", "s"], "runs or --all"),
    "exported to a picture": (["export", "--all", "-o", "x.png", "--store", "s"], ".zip or .jsonl"),
    "deleted nothing": (["delete", "--store", "s"], "RUN is missing"),
    "replayed nothing": (["replay", "--store", "s"], "RUN is missing"),
    "no database": (["list", "--store", "photo.png/x.db"], "no store at"),
    "a foreign file": (["list", "--store", "letter.db"], "another kind"),
    "an unknown database": (["list", "--store", "nosuch://x"], "SQLite or PostgreSQL"),
    "stores are off": (["list", "--store", "off"], "Stores are off"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(case: str, limner: Command) -> None:
    Store.open("s").close()
    Path("letter.db").write_text("a letter " * 300)
    words, said = BAD[case]
    answer = limner.run("runs", *words)
    assert answer.code == 2
    assert said in answer.stderr
    lines = [line for line in answer.stderr.splitlines() if line]
    usage = lines[0].startswith("Usage")  # click's own, in front of its sentence
    assert len(lines) == (3 if usage else 1), answer.stderr


BAD_FLAGS = {
    "both": (["--store", "x", "--no-store"], "exclude each other"),
    "a tag without a store": (["--tag", "x", "--no-store"], "no effect"),
    "an empty tag": (["--tag", " "], "--tag takes"),
}


@pytest.mark.parametrize("case", BAD_FLAGS)
def test_bad_flags_of_a_verb(case: str, limner: Command) -> None:
    words, said = BAD_FLAGS[case]
    answer = limner.run("cutout", "photo.png", "--box", BOX, *words)
    assert (answer.code, said in answer.stderr) == (2, True)
    assert not Path(".limner").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", "2026-11-25T11:30:00.000000+00:00"),
        ("2h", "2026-11-25T10:00:00.000000+00:00"),
        ("1w", "2026-11-18T12:00:00.000000+00:00"),
        ("2026-11-20T00:00:00+02:00", "2026-11-19T22:00:00.000000+00:00"),
    ],
)
def test_since(text: str, expected: str) -> None:
    assert parse_since(text, datetime(2026, 11, 25, 12, tzinfo=UTC)) == expected


@pytest.mark.parametrize("text", ["", "2y", "-1h", "2026-13-01", "h", "99999999d", "9" * 400])
def test_since_never(text: str) -> None:
    with pytest.raises(OptionError):
        parse_since(text, datetime(2026, 11, 25, 12, tzinfo=UTC))


# --- the cache of stages --------------------------------------------------------------------------


def seconds(limner: Command, *words: object) -> set[str]:
    """The stages that a run's record says it went through."""
    limner(*words, "--overwrite")
    return set(limner.json("runs", "show", "latest")["record"]["seconds"])


def test_a_second_try_finds_its_outline_at_hand(limner: Command, astronaut: Path) -> None:
    words = ("cutout", astronaut, "--box", "150,40,300,260", "-o", "cut.png")
    assert "cache" not in seconds(limner, *words)
    assert seconds(limner, *words, "--feather", "3") == {"cache"}
    assert "cache" not in seconds(limner, *words, "--no-cache")
    assert Path(".limner/cache").is_dir()


def test_who_keeps_no_runs_keeps_no_answers(
    limner: Command, astronaut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("cutout", astronaut, "--box", "150,40,300,260", "-o", "cut.png", "--overwrite")
    limner(*words, "--no-store")
    assert not Path(".limner").exists()
    monkeypatch.setenv("LIMNER_CACHE", "elsewhere")
    limner(*words, "--no-store")
    assert list(Path("elsewhere").rglob("*.answer"))
    monkeypatch.setenv("LIMNER_CACHE_SIZE", "much")
    answer = limner.run(*words)
    assert answer.code == 2
    assert "LIMNER_CACHE_SIZE is a number of megabytes" in answer.stderr
