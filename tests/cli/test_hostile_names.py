"""Names with escapes, line breaks and marks of direction are shown as text, in pipes too."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from limner.cli.progress import new_bar
from limner.io.csv_text import csv_text
from limner.untrusted.plain_text import visible

from .command import Answer, Command

HOSTILE = "a\x1b]0;owned\x07\x1b[31m\nlimner: all done\r\u202egpj.\u2066\x9b2J\u200f\u2028z"
"""A title for the window, red, a forged line, a name read backwards, the screen cleared."""


def assert_clean(answer: Answer) -> None:
    for text in (answer.stdout, answer.stderr):
        obeyed = {sign for sign in text if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")}
        assert obeyed <= {"\n"}
        assert "\nlimner: all done" not in text


@pytest.fixture
def photo(limner: Command) -> Path:
    path = Path(f"{HOSTILE.replace('/', '')}.png")
    Image.effect_noise((32, 32), 80).convert("RGB").save(path)
    return path


BOX = ("--box", "2,2,12,12")
COMMANDS: dict[str, tuple[str, ...]] = {
    "a result": ("redact", "{}", *BOX, "-o", "out.png"),
    "a named result": ("redact", "{}", *BOX, "-o", "{}-out.png"),
    "a plan": ("redact", "{}", *BOX, "--dry-run"),
    "a phrase": ("detect", "{}", "--text", "{}"),
    "a phrase refused": ("redact", "{}", *BOX, "--text", "a", "--threshold-for", "{}=0.5"),
    "JSON": ("redact", "{}", *BOX, "-o", "out.png", "--json"),
    "no such picture": ("redact", "b{}", *BOX),
    "no such option": ("redact", "{}", "--b{}"),
    "no such verb": ("b{}",),
    "no such model": ("models", "show", "{}"),
    "a model that isn't": ("detect", "{}", "--text", "a", "--detector", "{}"),
    "no such subject": ("teach", "show", "{}"),
    "no such run": ("runs", "show", "{}"),
    "a tag": ("redact", "{}", *BOX, "--store", "s", "--tag", "{}"),
    "no such suite": ("eval", "{}.yaml"),
    "a mask refused": ("cutout", "{}", "--mask", "{}"),
    "a compared picture": ("compare", "{}", "--text", "{}", "--models", "{}"),
    "where": ("models", "where", "{}"),
    "score": ("score", "edit", "{}", "{}"),
}


@pytest.mark.parametrize("case", COMMANDS, ids=str)
def test_names_are_shown_as_text(limner: Command, photo: Path, case: str) -> None:
    """A file called so recoloured the terminal, and forged a line that limner never said."""
    words = [word.replace("{}", photo.name) for word in COMMANDS[case]]
    answer = limner.run(*words)
    assert answer.code in (0, 1, 2)
    assert_clean(answer)
    assert answer.stdout or answer.stderr


def test_runs_are_listed_and_explained_in_plain_text(limner: Command, photo: Path) -> None:
    limner("redact", photo, *BOX, "--store", "s", "--tag", "b\x1b[31m")
    listed = limner("runs", "list", "--store", "s")
    assert_clean(listed)
    run = listed.stdout.splitlines()[-1].split()[0]
    limner("runs", "note", run, "red\x1b[31m\nline", "--store", "s")
    for words in (("show", run), ("show", run, "--json"), ("export", run)):
        assert_clean(limner("runs", *words, "--store", "s"))


def test_a_suites_pages_stay_clean(limner: Command, photo: Path) -> None:
    """JUnit's XML can hold no escape; the table for spreadsheets no formula."""
    case = {
        "image": photo.name,
        "find": {"box": [2, 2, 12, 12]},
        "assert": [{"type": "count", "value": 1}],
    }
    suite = {
        "description": HOSTILE,
        "models": ["grabcut"],
        "cases": [
            {**case, "description": f"=HYPERLINK({HOSTILE})"},
            {**case, "description": "gone", "image": f"{HOSTILE}.gone"},
        ],
    }
    Path("s.yaml").write_text(json.dumps(suite))
    words = [word for end in ("xml", "html", "csv") for word in ("-o", f"r.{end}")]
    answer = limner.run("eval", "s.yaml", *words, "--no-store")
    assert answer.code == 100  # a cell with an error
    assert_clean(answer)
    for end in ("xml", "html"):
        assert "\x1b" not in Path(f"r.{end}").read_text(encoding="utf-8")
    assert "'=HYPERLINK" in Path("r.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.png", "plain name.png"),
        ("größe 图片 עברית.png", "größe 图片 עברית.png"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("a\x1b[0mb", r"a\x1b[0mb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("a\u202eb\u061c", r"a\u202eb\u061c"),
        ("a\x9bb\x7f", r"a\x9bb\x7f"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("\ufeffa\U000e0041", r"\ufeffa\U000e0041"),
    ],
)
def test_what_is_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_cell_of_a_table_is_a_formula() -> None:
    """A spreadsheet runs ``=HYPERLINK(…)`` of a stranger's suite; numbers stay numbers."""
    hostile = ["=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"]
    numbers = [-1.5, 3, "-1.5", "+2e-3", "-50%"]
    text = csv_text([[*hostile, *numbers, None, "a,b", "a=b"]])
    (row,) = csv.reader(io.StringIO(text, newline=""))
    assert row[: len(hostile)] == [f"'{cell}" for cell in hostile]
    assert row[len(hostile) :] == ["-1.5", "3", "-1.5", "+2e-3", "-50%", "", "a,b", "a=b"]


@pytest.mark.parametrize("name", ["photo.png", "a very long name of a picture, " * 4])
def test_a_narrow_terminal_shows_count_and_time_left(name: str) -> None:
    """On 40 cells the name took the room, and nobody saw how far it was."""
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    bar = new_bar(console=console)
    task = bar.add_task(f"edit [red]{name}", total=1000)
    bar.update(task, completed=120)
    with console.capture() as capture:
        console.print(bar.get_renderable())
    (line,) = capture.get().splitlines()
    assert " 120/1000" in line
    assert "--:--" in line
    assert "edit [red]" in line
