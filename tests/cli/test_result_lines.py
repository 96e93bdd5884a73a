"""What a command prints of its results: objects, lines that fit, progress, notes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from limner.cli import fitting, progress, terminal_session
from limner.cli.object_lines import say_objects
from limner.cli.options.session import session_of
from tests.cli.batch.test_output_paths import picture

from .command import Command

TWO = ("--box", "2,3,20,30", "--label", "mug", "--object", "--box", "22,4,38,36")


@pytest.fixture
def photo(limner: Command) -> Path:
    picture("p.png")
    return Path("p.png")


def test_each_object_is_printed_and_is_that_of_the_file(limner: Command, photo: Path) -> None:
    """A person had to open the JSON to see one box."""
    fresh = limner("segment", photo, *TWO).stdout.splitlines()
    again = limner("segment", photo, *TWO).stdout.splitlines()
    assert again[0].endswith("done already")
    assert fresh[-2:] == again[-2:]
    rows = json.loads(Path("p-segment.json").read_text())["annotations"]
    for line, row, label in zip(fresh[-2:], rows, ("mug", "box"), strict=True):
        x, y, width, height = row["bbox"]
        assert line.split()[0] == label
        assert line.split()[-1] == f"{x:.0f},{y:.0f},{x + width:.0f},{y + height:.0f}"
        assert ("score" in row) == (len(line.split()) == 3)


def test_of_many_objects_the_first_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"category_id": 1, "bbox": [k, 0, 5, 5], "score": 0.5} for k in range(300)]
    say_objects({"categories": [{"id": 1, "name": "cup"}], "annotations": rows})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 21
    assert lines[0] == "  cup  0.50  0,0,5,5"
    assert lines[-1] == "  and 280 more"


def test_json_objects_holds_four_facts_of_each(limner: Command, photo: Path) -> None:
    """--json is the whole record: hundreds of lines for two boxes. Each mask file is the object's
    own."""
    for _ in range(2):  # made, and done already
        row = json.loads(limner("segment", photo, *TWO, "--json-objects").stdout)
        assert set(row) == {"image", "objects"}
        assert row["image"] == "p.png"
        assert [set(each) for each in row["objects"]] == [{"label", "score", "box", "mask"}] * 2
        assert [each["label"] for each in row["objects"]] == ["mug", "box"]
        for each in row["objects"]:
            with Image.open(each["mask"]) as mask:
                assert list(mask.getbbox() or ()) == each["box"]
    boxes = json.loads(limner("detect", photo, "--text", "face", "--json-objects").stdout)
    assert boxes == {"image": "p.png", "objects": []}
    both = limner.run("segment", photo, *TWO, "--json-objects", "--json")
    assert (both.code, "--json-objects" in both.stderr) == (2, True)


def test_a_folder_has_one_line_a_result(limner: Command) -> None:
    for name in "ab":
        picture(f"in/{name}.png")
    lines = limner("segment", "in", *TWO).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "in-segment/a-segment.png",
        "in-segment/b-segment.png",
        "2",
    ]
    rows = limner("segment", "in", *TWO, "--json-objects").stdout.splitlines()
    assert [json.loads(row)["image"] for row in rows] == ["in/a.png", "in/b.png"]


FACTS = ["1 object", "12.5% of the picture repainted", "0 pixels changed outside the mask"]


@pytest.mark.parametrize("name", ["p.png", "folder/" + "a-long-name-" * 9 + "z.png", "向日葵" * 30])
@pytest.mark.parametrize("facts", [FACTS[:1], FACTS, [*FACTS, *FACTS, "word " * 40]])
def test_a_line_fits_a_terminal_and_loses_no_fact(name: str, facts: list[str]) -> None:
    """Names are shortened in the middle; facts never are. In a pipe all is one line."""
    lines = fitting.fitted(name, facts, "(mini-sam)", 80)
    assert all(cell_len(line) <= 80 for line in lines)
    words = " ".join(lines).split()
    for fact in [*facts, "(mini-sam)"]:
        assert " ".join(fact.split()) in " ".join(words)
    assert lines[0][0] == name[0]
    if len(facts) == 1:
        assert len(lines) == 1
        assert name[-5:] in lines[0]
    assert fitting.fitted(name, facts, "", None) == [f"{name}  {', '.join(facts)}"]


class Terminal(io.StringIO):
    """A stream that somebody watches."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stderr is a terminal of 80 cells, and bars start at once; pytest would undo a fixture's."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "BAR_AFTER", 0)
    return stream


def test_a_folder_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a picture's own steps were shown: of 50 pictures nobody saw how many are left."""
    watched(monkeypatch)
    name = "a-name-" * 20 + "end.png"
    with progress.BatchProgress("segment", 50) as bar:
        for _ in range(3):
            bar.advance()
        with bar.picture(name) as on_step:
            on_step(1, 2)
            assert bar._bar is not None
            paper = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
            with paper.capture() as capture:
                paper.print(bar._bar.get_renderable())
    (line,) = capture.get().splitlines()
    assert cell_len(line) <= 80
    for part in (" 3/50", "segment a-name", "…", "end.png"):
        assert part in line


def test_piped_there_is_no_noise(limner: Command) -> None:
    for name in "ab":
        picture(f"in/{name}.png")
    assert limner("remove", "in", *TWO).stderr == ""


def test_notes_stand_above_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence about minis was printed on the bar's own line."""
    from limner.cli.console import say_note

    terminal = watched(monkeypatch)
    bar = progress.new_bar()
    with bar:
        task = bar.add_task("segment p.png", total=3)
        bar.update(task, completed=1, refresh=True)
        say_note("mini-sam is a mini")
    lines = terminal.getvalue().replace("\r", "\n").split("\n")
    (line,) = [line for line in lines if "is a mini" in line]
    assert "segment p.png" not in line


def test_minis_are_spoken_of_once_a_terminal(
    limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came with every command; in a pipe, where nobody remembers, it still does."""
    from limner.session.model_slots import MINI_SAID

    terminal = watched(monkeypatch)

    def command() -> None:
        given = {"profile": "mini", "commercial_safe": False, "device": None, "dtype": None}
        session_of(given).models._say(f"mini-sam{MINI_SAID}")

    command()
    command()
    assert terminal.getvalue().count("is a mini") == 1
    monkeypatch.setattr(terminal_session, "_terminal", lambda: "another one")
    command()
    assert terminal.getvalue().count("is a mini") == 2
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    command()
    assert terminal.getvalue().count("is a mini") == 3


def test_a_home_that_cant_be_written_costs_nothing(
    limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched(monkeypatch)
    Path("file").write_text("")
    monkeypatch.setenv("LIMNER_HOME", str(Path("file").absolute() / "below"))
    assert terminal_session.is_first_here("minis")
    assert terminal_session.is_first_here("minis")
