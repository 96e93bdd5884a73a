"""Trying prompts without --out: each question has a result of its own, and nothing is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command

from .test_output_paths import picture

ONE, TWO = ("--box", "2,2,20,20"), ("--box", "4,4,30,30")


@pytest.fixture
def photo(limner: Command) -> Path:
    picture("p.png")
    return Path("p.png")


def contents() -> dict[str, bytes]:
    """Of all files but what limner keeps for itself, by name."""
    files = (path for path in Path().rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if not str(path).startswith(".")}


@pytest.mark.parametrize("verb", ["segment", "remove", "cutout", "redact"])
def test_another_prompt_gets_its_own_name(limner: Command, photo: Path, verb: str) -> None:
    """It was refused: "exists and was made otherwise"."""
    limner(verb, photo, *ONE)
    before = contents()
    second = limner(verb, photo, *TWO)
    assert second.stdout.splitlines()[0].startswith(f"p-{verb}-try2.png")
    after = contents()
    assert before.items() <= after.items(), "nothing is replaced"
    for words, name in ((ONE, f"p-{verb}."), (TWO, f"p-{verb}-try2.")):
        again = limner(verb, photo, *words).stdout
        assert "done already" in again
        assert again.startswith(name)
    assert contents() == after


def test_a_file_of_somebody_elses_is_left_alone(limner: Command, photo: Path) -> None:
    """The work was done before it was refused."""
    Path("p-segment.png").write_bytes(b"a plan of mine")
    assert limner("segment", photo, *ONE).stdout.startswith("p-segment-try2.png")
    assert Path("p-segment.png").read_bytes() == b"a plan of mine"


def test_a_folder_of_another_prompt_is_another_folder(limner: Command) -> None:
    """Its lists and numbers belong together: one prompt, one folder."""
    for name in ("a", "b"):
        picture(f"in/{name}.png")
    limner("segment", "in", *ONE)
    before = contents()
    second = limner("segment", "in", *TWO)
    assert second.stderr.splitlines()[0].endswith("these go to in-segment-try2.")
    assert before.items() <= contents().items()
    assert Path("in-segment-try2/annotations-segment.json").is_file()
    assert "2 done already" in limner("segment", "in", *TWO).stdout
    assert "2 done already" in limner("segment", "in", *ONE).stdout


def test_overwrite_and_out_mean_that_very_name(limner: Command, photo: Path) -> None:
    """A name that was asked for is never another."""
    limner("remove", photo, *ONE)
    assert limner("remove", photo, *TWO, "--overwrite").stdout.startswith("p-remove.png")
    limner("remove", photo, *ONE, "-o", "x.png")
    refused = limner.run("remove", photo, *TWO, "-o", "x.png")
    assert (refused.code, "made otherwise" in refused.stderr) == (2, True)


def test_two_formats_of_one_result_are_two_files(limner: Command, photo: Path) -> None:
    """natural.md: ``-o x.jpeg``, then ``-o x.png``."""
    limner("segment", photo, *ONE, "-o", "x.jpeg")
    limner("segment", photo, *ONE, "-o", "x.png")
    assert Path("x.jpeg").is_file()
    assert Path("x.png").is_file()


HOPELESS = {
    "a wrong vocabulary": (("--text", "cup"), "haar knows face", 260),
    "no weights": (
        ("--text", "cup", "--detector", "owlvit-base-patch32"),
        "limner models pull owlvit-base-patch32",
        700,
    ),
    "no such model": (("--text", "cup", "--detector", "owlvitt"), "owlvit", 700),
}


@pytest.mark.parametrize(("words", "sentence", "longest"), HOPELESS.values(), ids=HOPELESS.keys())
def test_what_fails_for_all_fails_once_before_the_first(
    limner: Command, words: tuple[str, ...], sentence: str, longest: int
) -> None:
    """A wrong vocabulary was said of each picture, at length, and after the first was refused."""
    Path("in").mkdir()
    Path("in/a.png").write_bytes(b"no picture")  # would be said first, if it were opened
    picture("in/b.png")
    picture("in/c.png")
    answer = limner.run("detect", "in", *words)
    assert answer.code == 2
    (line,) = answer.stderr.splitlines()
    assert sentence in line
    assert len(line) < longest
    assert not Path("in-detect").exists()


def test_a_real_error_isnt_hidden_by_a_result_that_exists(limner: Command, photo: Path) -> None:
    """Of two things that are wrong, --overwrite mends one only."""
    limner("detect", photo, "--text", "face", "-o", "x.png")
    answers = [limner.run("detect", photo, "--text", "cup", "-o", "x.png") for _ in range(2)]
    assert [answer.code for answer in answers] == [2, 2]
    assert answers[0].stderr == answers[1].stderr
    assert "haar knows" in answers[0].stderr
    assert "exists" not in answers[0].stderr
