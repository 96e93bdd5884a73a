"""A redacted folder: what is hidden is shown, what nobody checked named, nothing done twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.io.save import read_record
from tests.cli.command import Command
from tests.hidden_content import Hidden, traces
from tests.pipeline.doubles import ColourDetector

FIND = ("redact", "in", "--text", "red", "--detector", "haar", "-o", "out")
BOX = (20, 20, 60, 50)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> ColourDetector:
    """A detector that counts how often it is asked, in haar's place."""
    detector = ColourDetector()
    monkeypatch.setattr("limner.session.model_slots.Models._load", lambda *args: detector)
    return detector


@pytest.fixture
def folder() -> Path:
    """One picture with a red part, two without; one of them has a place in its EXIF."""
    Path("in").mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        picture = Image.fromarray(rng.integers(0, 200, (80, 120, 3), dtype=np.uint8))
        if name == "b":
            picture.paste("red", BOX)
        exif = Image.Exif()
        exif[0x010E] = "SECRETPLACE"
        picture.save(f"in/{name}.png", exif=exif)
    return Path("in")


def rows() -> list[dict[str, str]]:
    with Path("out/summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_nobody_checked_comes_last_by_name(
    limner: Command, folder: Path, looking: ColourDetector
) -> None:
    answer = limner(*FIND)
    assert [(r["picture"], r["state"]) for r in rows()] == [
        ("b.png", "redacted"),
        ("a.png", "nothing found, not checked by anybody"),
        ("c.png", "nothing found, not checked by anybody"),
    ]
    assert rows()[0]["check"] == "not found again (haar finds none)"
    assert "2 without a find, not checked by anybody" in answer.stderr
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "b-redact.png", "contact-sheet.jpg", "summary.csv",
    ]  # fmt: skip
    with Image.open("out/contact-sheet.jpg") as sheet:
        assert sheet.width > 2 * 192
    assert limner.run(*FIND, "--fail-if-empty").code == 1


def test_a_run_again_computes_nothing(
    limner: Command, folder: Path, looking: ColourDetector
) -> None:
    """Those without a find leave no file, and were looked at anew by every run."""
    limner(*FIND)
    calls, before = looking.calls, rows()
    answer = limner(*FIND)
    assert looking.calls == calls
    assert "in/a.png  nothing found before" in answer.stdout
    assert "3 images: 0 done, 3 done already, 2 with nothing found" in answer.stdout
    assert rows() == before
    assert limner.run(*FIND, "--fail-if-empty").code == 1
    as_json = [json.loads(line) for line in limner(*FIND, "--json").stdout.splitlines()]
    assert [each["result"]["objects"] for each in as_json] == [0, 1, 0]
    assert looking.calls == calls
    Image.new("RGB", (80, 60), "red").save("in/a.png")  # another picture under the name
    limner(*FIND)
    assert looking.calls > calls
    assert [r["state"] for r in rows()][:2] == ["redacted", "redacted"]


def test_pictures_without_a_find_are_copied_if_asked(
    limner: Command, folder: Path, looking: ColourDetector
) -> None:
    """Bare of metadata, as a redaction is, and said to be unchecked."""
    limner(*FIND)
    answer = limner(*FIND, "--copy-unchanged")
    assert "a-redact.png  nothing found, copied as it is, not checked by anybody" in answer.stdout
    same = [np.array_equal(Image.open(f"in/{n}.png"), Image.open(f"out/{n}-redact.png"))
            for n in "abc"]  # fmt: skip
    assert same == [True, False, True]
    for file in Path("out").glob("*.png"):
        assert b"SECRETPLACE" not in file.read_bytes()
        record = read_record(file)
        assert record is not None
        assert "path" not in record["input"]
    calls = looking.calls
    assert "3 done already" in limner(*FIND, "--copy-unchanged").stdout
    assert looking.calls == calls
    assert [r["result"] for r in rows()] == [f"{n}-redact.png" for n in "bac"]


def test_a_refused_picture_is_in_the_list(
    limner: Command, folder: Path, looking: ColourDetector
) -> None:
    answer = limner.run(*FIND, "--colour", "red")
    assert answer.code == 1
    assert (rows()[0]["picture"], rows()[0]["state"]) == ("b.png", "failed")
    assert "can still be found" in rows()[0]["check"]
    assert not list(Path("out").glob("*.png"))


@pytest.mark.parametrize("name", ["summary.csv", "contact-sheet.jpg"])
def test_a_file_of_somebody_elses_is_not_replaced(
    limner: Command, folder: Path, looking: ColourDetector, name: str
) -> None:
    Path("out").mkdir()
    Image.new("RGB", (9, 9)).save("out/contact-sheet.jpg")
    Path("out/summary.csv").write_text("year,income\n2026,5\n")
    for other in {"summary.csv", "contact-sheet.jpg"} - {name}:
        Path("out", other).unlink()
    before = Path("out", name).read_bytes()
    answer = limner.run(*FIND, "--overwrite")
    assert answer.code == 2
    assert f"out/{name} isn't limner's" in answer.stderr
    assert Path("out", name).read_bytes() == before
    assert looking.calls == 0


def textured(number: int, suffix: str) -> Path:
    """Flat and textured parts, from small squares to stripes."""
    rng = np.random.default_rng(number)
    picture = np.full((80, 120, 3), rng.integers(40, 200, 3), np.uint8)
    picture[:, 60:] = rng.integers(0, 256, (80, 60, 3), dtype=np.uint8)
    picture[24:46, 24:56] = rng.integers(0, 256, (22, 32, 3), dtype=np.uint8)
    path = Path(f"clinic/patient-{number:02}x.{suffix}")
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


@pytest.mark.parametrize(
    ("style", "count"),
    [
        *((style, 3) for style in ("solid", "blur", "pixelate")),
        *(pytest.param(*many, marks=pytest.mark.slow)
          for many in (("solid", 8), ("blur", 6), ("pixelate", 6))),
    ],
)  # fmt: skip
def test_nothing_hidden_is_published(limner: Command, style: str, count: int) -> None:
    """20 pictures in all: no textured 8 x 8 block, path, name or digest of one in its result, its
    record or the sheet, for each format; names stand in the results' names and the list alone."""
    paths = [textured(k, ("png", "tif")[k % 2]) for k in range(count)]
    hidden = [Hidden.of(path, BOX) for path in paths]
    for k, suffix in enumerate(("png", "webp", "tif")):
        for path in paths[k::3]:
            limner("redact", path, "--box", ",".join(map(str, BOX)), "--style", style,
                   "-o", f"public/{path.stem[-3:]}.{suffix}")  # fmt: skip
    assert len(list(Path("public").iterdir())) == count
    assert traces(hidden, Path("public")) == []
    limner("redact", "clinic", "--box", ",".join(map(str, BOX)), "--style", style, "-o", "all")
    files = sorted(Path("all").iterdir())
    assert len(files) == count + 2
    named = Path("all/summary.csv")
    assert traces(hidden, *(file for file in files if file != named)) == []
    blocks = [each for each in traces(hidden, named) if "the text patient" not in each]
    assert blocks == []
