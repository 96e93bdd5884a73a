"""Bad input gets one clear sentence, exit code 2, and leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .command import Command

BAD = {
    "point outside": (["segment", "ok.png", "--point", "90,10"], "outside the image"),
    "box inside out": (["segment", "ok.png", "--box", "30,5,10,25"], "right > left"),
    "box of no area": (["segment", "ok.png", "--box", "10,5,10,25"], "right > left"),
    "box leaves the image": (["segment", "ok.png", "--box", "10,5,70,25"], "leaves the image"),
    "mask of another size": (["segment", "ok.png", "--mask", "small.png"], "pixel for pixel"),
    "mask of nothing": (["segment", "ok.png", "--mask", "black.png"], "brightest pixel"),
    "no image named": (["segment", "", "--point", "1,1"], "got nothing"),
    "no such device": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--device", "banana"],
        "cpu, cuda",
    ),
    "empty phrase": (["detect", "ok.png", "--text", "  "], "needs a phrase"),
    "background points only": (["segment", "ok.png", "--point", "9,9:bg"], "foreground point"),
    "no number": (["segment", "ok.png", "--point", "nine,9"], "x,y"),
    "nothing asked": (["segment", "ok.png"], "Nothing was asked for"),
    "nothing asked of remove": (["remove", "ok.png"], "Nothing was asked for"),
    "dangling --object": (["segment", "ok.png", "--point", "9,9", "--object"], "between two"),
    "--not before --text": (["detect", "ok.png", "--not", "cat"], "follows the --text"),
    "two boxes": (["segment", "ok.png", "--box", "1,1,5,5", "--box", "2,2,6,6"], "--object"),
    "unknown selection": (["detect", "ok.png", "-t", "face", "--select", "big"], "largest"),
    "unknown model": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--segmenter", "sam-vit-bse"],
        "sam-vit-base",
    ),
    "model of another task": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--segmenter", "haar"],
        "grabcut",
    ),
    "unknown profile": (["segment", "ok.png", "--box", "1,1,9,9", "--profile", "big"], "classical"),
    "phrase the detector doesn't know": (["detect", "ok.png", "--text", "a dragon"], "face"),
    "where, not what": (["detect", "ok.png", "--box", "1,1,9,9"], "segment"),
    "weights not here": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--segmenter", "slimsam-77"],
        "limner models pull slimsam-77",
    ),
    "everything without a model for it": (["segment", "ok.png", "--everything"], "sam"),
    "everything's settings alone": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--points-per-side", "8"],
        "--everything",
    ),
    "words for a model that can't follow": (
        ["edit", "ok.png", "--box", "1,1,9,9", "--paint", "a cat"],
        "remove",
    ),
    "a setting without effect": (
        ["remove", "ok.png", "--box", "1,1,9,9", "--guidance-scale", "3"],
        "no effect",
    ),
    "a misspelt model that nothing needs": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--detector", "owlvit-base-patch33"],
        "owlvit-base-patch32",
    ),
    "a detector's setting without words": (
        ["remove", "ok.png", "--box", "1,1,9,9", "--threshold", "0.5"],
        "--threshold has no effect without --text, --exemplar or --like",
    ),
    "only what it is not like": (
        ["detect", "ok.png", "--not-like", "1,1,9,9"],
        "Only what it is not like was given",
    ),
    "a detector without words": (
        ["redact", "ok.png", "--box", "1,1,9,9", "--detector", "haar"],
        "--detector has no effect",
    ),
    "a threshold for another phrase": (
        ["detect", "ok.png", "-t", "face", "--threshold-for", "cat=0.9"],
        "--threshold-for 'cat' has no effect: what was asked for is 'face'",
    ),
    "a mask with too many pixels": (
        ["segment", "tiny.png", "--mask", "black.png", "--max-pixels", "100"],
        "black.png is 60x40",
    ),
    "an example with too many pixels": (
        ["detect", "tiny.png", "--exemplar", "black.png", "--max-pixels", "100"],
        "black.png is 60x40",
    ),
    "a background with too many pixels": (
        ["background", "tiny.png", "--box=1,1,5,5", "--picture=black.png", "--max-pixels=100"],
        "black.png is 60x40",
    ),
    "a name too long": (["segment", "x" * 300 + ".png", "--box", "1,1,9,9"], "can't be read"),
    "an output's name too long": (
        ["remove", "ok.png", "--box", "1,1,9,9", "-o", "x" * 300 + ".png"],
        "can't be written",
    ),
    "an output folder's name too long": (
        ["remove", "ok.png", "--box", "1,1,9,9", "-o", "x" * 300],
        "can't be written",
    ),
    "results beside the root": (["detect", "/", "-t", "face"], "/"),
    "out of range": (["detect", "ok.png", "-t", "face", "--threshold", "1.5"], "between 0 and 1"),
    "two backgrounds": (
        ["background", "ok.png", "--box", "1,1,9,9", "--blur", "3", "--colour", "red"],
        "--blur and --colour",
    ),
    "no such colour": (
        ["background", "ok.png", "--box", "1,1,9,9", "--colour", "reddish"],
        "CSS name",
    ),
    "not an image": (["segment", "text.jpg", "--box", "1,1,9,9"], "text.jpg"),
    "empty file": (["segment", "empty.png", "--box", "1,1,9,9"], "empty.png"),
    "no such file": (["segment", "none.png", "--box", "1,1,9,9"], "none.png"),
    "folder without images": (["segment", "folder", "--box", "1,1,9,9"], "folder"),
    "too many pixels": (
        ["segment", "ok.png", "--box", "1,1,9,9", "--max-pixels", "100"],
        "pixels",
    ),
    "output exists": (["remove", "ok.png", "--box", "1,1,9,9", "-o", "small.png"], "--overwrite"),
    "output that can't be": (["remove", "ok.png", "--box", "1,1,9,9", "-o", "x/y.gif"], "saved as"),
    "a folder's results in one picture": (
        ["remove", "photos", "--box", "1,1,9,9", "-o", "one.png"],
        "must be a folder",
    ),
    "results among the inputs": (
        ["remove", "photos", "--box", "1,1,9,9", "-o", "photos"],
        "another folder",
    ),
    "transparency in a JPEG": (
        ["cutout", "ok.png", "--box", "1,1,9,9", "-o", "cut.jpg"],
        "transparency",
    ),
    "unknown verb": (["paint", "ok.png"], "paint"),
    "unknown flag": (["segment", "ok.png", "--pont", "9,9"], "--point"),
}


@pytest.fixture
def files(limner: Command) -> set[Path]:
    """A small world of usable and unusable files in the working folder."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save("ok.png")
    Image.new("L", (30, 20), 255).save("small.png")
    Image.new("RGB", (8, 8)).save("tiny.png")
    Image.new("L", (60, 40), 0).save("black.png")
    Path("text.jpg").write_text("not an image")
    Path("empty.png").write_bytes(b"")
    Path("folder").mkdir()
    Path("photos").mkdir()
    Image.new("RGB", (60, 40)).save("photos/a.png")
    return set(Path().rglob("*"))


@pytest.mark.parametrize(("words", "part"), BAD.values(), ids=BAD.keys())
def test_bad_input_gets_one_sentence_and_exit_code_2(
    limner: Command, files: set[Path], words: list[str], part: str
) -> None:
    answer = limner.run(*words)
    assert answer.code == 2
    assert answer.stdout == ""
    said = answer.stderr.strip()
    assert part in said
    assert "Error" not in said, "no exception's name"
    assert set(Path().rglob("*")) - {Path(".home")} == files, "nothing was written"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: read-only can't be tested")
def test_a_read_only_folder_is_said(limner: Command, files: set[Path]) -> None:
    Path("folder").chmod(0o500)
    answer = limner.run("remove", "ok.png", "--box", "1,1,9,9", "-o", "folder/x.png")
    assert answer.code == 2
    assert "can't be written" in answer.stderr


def test_a_place_under_a_file_is_said(limner: Command, files: set[Path]) -> None:
    """What root meets instead of a read-only folder: a folder that can't be made."""
    answer = limner.run("remove", "ok.png", "--box", "1,1,9,9", "-o", "text.jpg/x.png")
    assert answer.code == 2
    assert "can't be written" in answer.stderr


def test_running_out_of_memory_is_said(
    limner: Command, files: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("limner.models.classical.adapters.grabcut_candidates", full)
    answer = limner.run("segment", "ok.png", "--box", "1,1,9,9")
    assert answer.code == 2
    assert "emory" in answer.stderr


def test_a_bug_of_ours_is_one_sentence_too(
    limner: Command, files: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 70 and where to turn, so that a bug is never mistaken for bad input."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("here")

    monkeypatch.setattr("limner.models.classical.adapters.grabcut_candidates", broken)
    answer = limner.run("segment", "ok.png", "--box", "1,1,9,9")
    assert answer.code == 70
    assert "LIMNER_DEBUG" in answer.stderr


def test_a_name_with_a_nul_is_no_file(limner: Command) -> None:
    """Found by fuzzing: "embedded null byte", a bug in limner."""
    Image.new("RGB", (4, 4)).save("in.png")
    answer = limner.run("background", "in.png", "--picture", "a\0b")
    assert answer.code == 2
    assert "can't be a file's name" in answer.stderr
