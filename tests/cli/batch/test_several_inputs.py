"""One verb over several files and folders, as a shell expands its globs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import Command

BOX = ("--box", "4,4,20,20")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((24, 32, 3), 200, np.uint8)
    values[6:18, 6:18] = (200, 30, 30)
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def two(limner: Command) -> list[Path]:
    return [picture(Path("a.png")), picture(Path("b.jpg"))]


@pytest.mark.parametrize(
    ("verb", "ending"),
    [
        (("segment",), "segment.json"),
        (("remove",), "remove.png"),
        (("cutout",), "cutout.png"),
        (("background", "--colour", "white"), "background.png"),
        (("redact",), "redact.png"),
    ],
)
def test_each_file_gets_its_result(
    limner: Command, two: list[Path], verb: tuple[str, ...], ending: str
) -> None:
    """click took one IMAGE and called the second an extra argument."""
    answer = limner(*verb, *two, *BOX)
    assert Path(f"a-{ending}").is_file()
    assert Path(f"b-{ending}").is_file()
    assert "2 images: 2 done" in answer.stdout


def test_extend_takes_several_too(limner: Command, two: list[Path]) -> None:
    limner("extend", *two, "--extend", "left=4")
    for name in "ab":
        with Image.open(f"{name}-extend.png") as extended:
            assert extended.size == (36, 24)


def test_classes_are_numbered_alike(limner: Command, two: list[Path]) -> None:
    """Numbers follow the prompts, in every file."""
    limner("segment", *two, *BOX, "--out", "out")
    contents = [json.loads(Path(f"out/{name}-segment.json").read_text()) for name in "ab"]
    assert contents[0]["categories"] == contents[1]["categories"]


def test_names_are_told_apart_and_doubles_are_one(limner: Command) -> None:
    """Two stems of one name, and a file that is named twice or by its folder as well."""
    files = [picture(Path("p/a.png")), picture(Path("q/a.jpg")), picture(Path("p/c.png"))]
    answer = limner("remove", files[0], files[0], *files, "p", *BOX, "--out", "out")
    names = {path.name for path in Path("out").glob("*")}
    assert names == {"a-png-remove.png", "a-jpg-remove.png", "c-remove.png"}
    assert "3 images: 3 done" in answer.stdout


def test_what_the_verb_wrote_is_no_input_of_the_same_glob(limner: Command, two: list[Path]) -> None:
    """``limner segment *`` a second time would outline its own overlays."""
    limner("segment", *two, *BOX)
    inputs = sorted(path for path in Path().iterdir() if path.suffix in (".png", ".jpg"))
    assert len(inputs) == 4
    answer = limner("segment", *inputs, *BOX)
    assert "2 images: 0 done, 2 done already" in answer.stdout
    assert "Left out: a-segment.png and 1 more: made by segment" in answer.stderr


def test_subfolders_are_named_or_taken(limner: Command) -> None:
    """in/sub/b.jpg is said to be skipped, beside another file as well."""
    alone = picture(Path("a.png"))
    picture(Path("in/x.png"))
    picture(Path("in/sub/b.jpg"))
    answer = limner("remove", alone, "in", *BOX)
    assert "Left out: 1 subfolder (sub) with pictures; --recursive takes them." in answer.stderr
    limner("remove", alone, "in", *BOX, "--recursive")
    assert Path("in-remove/sub/b-remove.png").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("a.png", "nix.png"), "There is no nix.png"),
        (("a.png", "b.jpg", "--out", "one.png"), "--out must be a folder"),
        (("a.png", "b.jpg", "--recursive"), "give a folder"),
        (("a.png", ""), "got nothing"),
        (("https://example.org/a.png",), "download the picture first"),
        ((), "IMAGE is missing"),
    ],
)
def test_what_fails_for_all_fails_before_the_first(
    limner: Command, two: list[Path], words: tuple[str, ...], sentence: str
) -> None:
    answer = limner.run("remove", *words, *BOX)
    assert answer.code == 2
    assert sentence in answer.stderr
    assert not [path for path in Path().iterdir() if "remove" in path.name]


def test_one_that_is_damaged_costs_only_itself(limner: Command, two: list[Path]) -> None:
    Path("c.png").write_bytes(b"no picture")
    answer = limner.run("remove", "c.png", *two, *BOX)
    assert answer.code == 2
    assert "3 images: 2 done, 1 failed" in answer.stdout


def test_a_redaction_of_several_says_that_it_lists_nothing(limner: Command) -> None:
    """The sheet to look at is of one folder; whoever gives two must know."""
    picture(Path("in/x.png"))
    answer = limner("redact", "in", picture(Path("a.png")), *BOX)
    assert "of one folder alone" in answer.stderr


def test_two_formats_are_two_files(limner: Command, two: list[Path]) -> None:
    """-o x.jpeg, then -o x.png."""
    limner("segment", two[0], *BOX, "-o", "x.jpeg")
    answer = limner("segment", two[0], *BOX, "-o", "x.png")
    assert "x.png" in answer.stdout
    for name, kind in (("x.jpeg", "JPEG"), ("x.png", "PNG")):
        with Image.open(name) as overlay:
            assert overlay.format == kind
