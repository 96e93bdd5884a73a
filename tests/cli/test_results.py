"""What counts as done, what is counted and said, and what is left of older results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.cli.app import BROKEN_PIPE
from limner.io.save import read_record, save_image

from .command import Command

BOX = ("--box", "40,0,130,150")


@pytest.fixture
def photo(limner: Command, astronaut: Path) -> Path:
    """A part of the astronaut's picture, in the working folder."""
    Image.open(astronaut).convert("RGB").crop((350, 0, 512, 200)).save("a.png")
    return Path("a.png")


def files() -> set[str]:
    return {path.as_posix() for path in Path().rglob("*") if path.is_file()}


# --- done already -----------------------------------------------------------------------------


def test_a_result_without_what_is_asked_for_now_is_not_done(limner: Command, photo: Path) -> None:
    limner("segment", photo, *BOX)
    limner("segment", photo, *BOX, "--semantic", "--panoptic")
    maps = {"a-segment-semantic.png", "a-segment-panoptic.png", "a-segment-panoptic.json"}
    assert maps <= files()
    assert "done already" in limner("segment", photo, *BOX, "--semantic", "--panoptic").stdout
    assert "done already" in limner("segment", photo, *BOX).stdout


@pytest.mark.parametrize("lost", ["a-segment.png", "a-segment-masks"])
def test_a_result_that_lost_a_file_is_made_again(limner: Command, photo: Path, lost: str) -> None:
    limner("segment", photo, *BOX)
    before = files()
    gone = Path(lost)
    for path in gone.iterdir() if gone.is_dir() else [gone]:
        path.unlink()
    assert "done already" not in limner("segment", photo, *BOX).stdout
    assert files() == before


def test_a_kept_result_answers_like_a_new_one(limner: Command, photo: Path) -> None:
    """The same JSON and the same exit code the second time."""
    first = limner.json("segment", photo, *BOX)
    again = limner.json("segment", photo, *BOX)
    assert again["job"] == first["job"]
    for key in ("annotations", "categories", "outputs", "result"):
        assert again[key] == first[key]
    first, again = (limner.json("remove", photo, *BOX) for _ in range(2))
    assert again["outputs"] == first["outputs"] == ["a-remove.png"]
    assert again["result"] == first["result"]


def test_a_kept_list_of_nothing_is_empty_again(limner: Command) -> None:
    Image.new("RGB", (99, 99), "white").save("blank.png")
    detect = ("detect", "blank.png", "--text", "face", "--fail-if-empty")
    for _ in range(2):
        answer = limner.run(*detect)
        assert answer.code == 1
        assert "Nothing was found" in answer.stderr
    assert "done already" in answer.stdout


# --- counts and exit codes --------------------------------------------------------------------


def test_a_refused_redaction_counts_as_failed(limner: Command, astronaut: Path) -> None:
    Path("in").mkdir()
    Image.open(astronaut).save("in/face.png")
    Image.new("RGB", (99, 99), "white").save("in/none.png")
    mistaken = ("--box", "0,0,9,9", "--verify", "face")
    answer = limner.run("redact", "in", *mistaken, "-o", "out")
    assert answer.code == 1
    assert "2 images: 1 done, 1 failed" in answer.stdout


def test_the_largest_exit_code_counts(limner: Command) -> None:
    """Nothing found (1) in one picture and a broken other (2): 2, and both are said."""
    Path("in").mkdir()
    Image.new("RGB", (99, 99), "white").save("in/blank.png")
    Path("in/broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    answer = limner.run("detect", "in", "--text", "face", "--fail-if-empty", "-o", "out")
    assert answer.code == 2
    assert "Nothing was found in 1 of 2" in answer.stderr
    assert "broken.jpg" in answer.stderr


def test_a_reader_that_goes_away_is_no_success(tmp_path: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-m", "limner", "models", "list", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdout
    assert run.stderr
    run.stdout.close()
    assert run.wait() == BROKEN_PIPE
    assert run.stderr.read() == b""
    run.stderr.close()


# --- what is said -----------------------------------------------------------------------------


def test_a_jpeg_carries_no_proof_that_it_cannot_keep(limner: Command, photo: Path) -> None:
    said = limner("remove", photo, *BOX, "-o", "out.jpg").stdout
    assert "pixels changed outside" not in said
    assert "JPEG: the whole picture was re-encoded" in said
    notes = (read_record("out.jpg") or {})["notes"]
    assert any("re-encoded" in note for note in notes)
    assert "0 pixels changed outside" in limner("remove", photo, *BOX, "-o", "out.png").stdout


def test_no_models_no_brackets(limner: Command, photo: Path) -> None:
    assert "(" not in limner("redact", photo, *BOX).stdout


def test_a_dry_run_adds_the_models_memory_up(limner: Command, photo: Path) -> None:
    """They are kept together: 0.2 + 0.3 + 0.3 GB."""
    said = limner("remove", photo, "--text", "face", "--dry-run").stdout
    assert "0.8 GB on this machine" in said


# --- masks ------------------------------------------------------------------------------------


def test_a_cutout_is_a_mask(limner: Command, photo: Path) -> None:
    """Of a picture with transparency the opaque part is the object, however dark it is."""
    rgba = np.zeros((200, 162, 4), np.uint8)
    rgba[50:90, 30:80, 3] = 255
    Image.fromarray(rgba).save("cut.png")
    answer = limner.run("redact", photo, "--mask", "cut.png", "--style", "solid", "--json")
    assert "transparent" not in answer.stderr
    coverage = json.loads(answer.stdout)["annotations"][0]["area"]
    assert 0.5 < coverage / (40 * 50) < 2


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_a_mask_lies_as_its_exif_says(limner: Command, turn: int) -> None:
    from limner.io.images import open_image
    from limner.session.prompt_files import Opener

    alpha = np.full((20, 30), 0, np.uint8)
    alpha[2:6, 3:20] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = Image.merge("RGBA", [*Image.new("RGB", (30, 20)).split(), Image.fromarray(alpha)])
    picture.save("turned.png", exif=exif)
    Image.fromarray(alpha).save("grey.png", exif=exif)
    expected = np.asarray(open_image("grey.png").image.convert("L")) >= 128
    assert np.array_equal(Opener(10_000, print).mask("turned.png").array, expected)


def test_notes_of_named_pictures_are_said_once(limner: Command, photo: Path) -> None:
    Path("in").mkdir()
    for name in ("b.png", "c.png"):
        Image.open(photo).save(Path("in") / name)
    mask = Image.new("L", (162, 200), 0)
    mask.paste(255, (40, 40, 90, 90))
    mask.save("mask.gif", save_all=True, append_images=[Image.new("L", (162, 200), 0)])
    said = limner("segment", "in", "--mask", "mask.gif", "-o", "out").stderr
    assert said.count("mask.gif holds 2 pictures") == 1


def test_every_picture_is_opened_by_the_limit_that_was_given(
    limner: Command, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the check of what was saved: a large input that was allowed can be read back."""
    from limner.io import images

    limits: dict[str, int | None] = {}

    def opened(path: Path, *, max_pixels: int | None = None) -> images.OpenedImage:
        limits[Path(path).name] = max_pixels
        return real(path, max_pixels=max_pixels or images.MAX_PIXELS)

    real = images.open_image
    monkeypatch.setattr(images, "open_image", opened)
    Image.new("L", (162, 200), 255).save("mask.png")
    limner("redact", photo, "--mask", "mask.png", "-o", "out.png", "--max-pixels", "200000000")
    assert limits == dict.fromkeys(("a.png", "mask.png", "out.png"), 200_000_000)


# --- overwriting ------------------------------------------------------------------------------


def test_overwriting_leaves_nothing_of_the_older_result(limner: Command, photo: Path) -> None:
    limner("segment", photo, "--point", "90,70", "--object", *BOX, "--semantic", "--panoptic")
    Path("a-segment-masks/mine.png").write_bytes(photo.read_bytes())
    limner("segment", photo, *BOX, "--overwrite")
    masks = {path.name for path in Path("a-segment-masks").iterdir()}
    assert masks == {"a-segment-0-box.png", "mine.png"}
    assert not [name for name in files() if "semantic" in name or "panoptic" in name]


def test_overwriting_keeps_what_only_looks_like_a_companion(limner: Command, photo: Path) -> None:
    limner("remove", photo, *BOX, "-o", "out-1.png")
    Path("out-2.png").write_bytes(photo.read_bytes())
    limner("remove", photo, *BOX, "-o", "out.png")
    limner("remove", photo, "--box", "40,0,130,140", "-o", "out.png", "--overwrite")
    assert {"out-1.png", "out-2.png", "out.png"} <= files()


def test_second_pictures_of_an_older_result_go(limner: Command, photo: Path) -> None:
    limner("remove", photo, *BOX, "-o", "out.png")
    record = {**(read_record("out.png") or {}), "job": "another"}
    save_image(Image.open(photo), "out-1.png", record=record)
    limner("remove", photo, *BOX, "-o", "out.png", "--overwrite")
    assert "out-1.png" not in files()


def test_an_old_redaction_does_not_pass_for_a_new_one(limner: Command, photo: Path) -> None:
    """Nothing to hide any more: the old picture goes if it is limner's, and stays if it isn't."""
    Image.new("RGB", (99, 99), "white").save("blank.png")
    limner("redact", photo, *BOX, "-o", "out.png")
    again = ("redact", "blank.png", "--text", "face", "-o", "out.png", "--overwrite")
    assert "removed" in limner(*again).stderr
    assert "out.png" not in files()
    Path("out.png").write_bytes(photo.read_bytes())
    assert "stays" in limner(*again).stderr
    assert Path("out.png").read_bytes() == photo.read_bytes()


def test_done_is_the_picture_that_was_asked_for(limner: Command, photo: Path) -> None:
    """``-o x.jpeg``, then ``-o x.png``, answered "x.json done already" and wrote nothing."""
    limner("segment", photo, *BOX, "-o", "x.jpeg")
    for name in ("x.png", "x.jpeg"):
        again = limner("segment", photo, *BOX, "-o", name)
        assert "done already" not in again.stdout
        assert Path(name).exists()
        assert "done already" in limner("segment", photo, *BOX, "-o", name).stdout
    limner("remove", photo, *BOX, "-o", "y.png")
    limner("remove", photo, *BOX, "-o", "y.webp")
    assert Path("y.webp").exists()


# --- folders below ----------------------------------------------------------------------------


@pytest.fixture
def tree(limner: Command) -> Path:
    """Two pictures of one name, a hidden one, and one two folders down."""
    for name in ("a.png", "one/a.png", "one/two/b.png", "none/readme.txt", ".hidden/c.png"):
        path = Path("in") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.effect_noise((24, 24), 60).convert("RGB").save(path)
        else:
            path.write_text("")
    return Path("in")


def test_subfolders_are_left_out_aloud(limner: Command, tree: Path) -> None:
    """They were skipped in silence; hidden ones and those without a picture are no news."""
    answer = limner("redact", tree, "--box", "2,2,9,9", "-o", "out")
    assert "Left out: 1 subfolder (one) with pictures; --recursive takes them" in answer.stderr
    assert files() >= {"out/a-redact.png"}
    (tree / "a.png").unlink()
    refused = limner.run("redact", tree, "--box", "2,2,9,9", "-o", "out")
    assert refused.code == 2
    assert "1 subfolder (one) have some: --recursive" in refused.stderr


@pytest.mark.parametrize("out", ["out", "in/results"])
def test_subfolders_are_taken_and_mirrored(limner: Command, tree: Path, out: str) -> None:
    """Results of results would follow, where these lie in a folder of the input."""
    hide = ("redact", tree, "--box", "2,2,9,9", "-o", out, "--recursive")
    answer = limner(*hide)
    assert "3 images: 3 done" in answer.stdout
    assert "Left out" not in answer.stderr
    wanted = {"a-redact.png", "one/a-redact.png", "one/two/b-redact.png"}
    wanted |= {"contact-sheet.jpg", "summary.csv"}
    assert {path for path in files() if path.startswith(out)} == {f"{out}/{p}" for p in wanted}
    assert "3 done already" in limner(*hide).stdout


def test_recursive_needs_a_folder(limner: Command, photo: Path) -> None:
    answer = limner.run("redact", photo, *BOX, "--recursive")
    assert (answer.code, "no effect on one picture" in answer.stderr) == (2, True)
