"""The canvas of a cut-out and the format of its file: ``--trim --pad --square --format``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from limner import FrameOptions, Session
from limner.errors import OptionError
from limner.prompts import Mask, VisualPrompt
from tests.cli.command import Command

THING = (30, 20, 70, 40)
"""xyxy in a picture of 120 x 80."""


@pytest.fixture
def inputs(limner: Command) -> None:
    """``im.png``, and ``mask.png`` that shows the thing."""
    values = np.random.default_rng(0).integers(1, 256, (80, 120, 3), np.uint8)
    Image.fromarray(values).save("im.png")
    mask = Image.new("L", (120, 80))
    mask.paste(255, THING)
    mask.save("mask.png")


ASK = ("cutout", "im.png", "--mask", "mask.png", "--feather", 0)


@pytest.mark.parametrize(
    ("flags", "frame"),
    [
        ((), None),
        (("--trim",), (30, 20, 70, 40)),
        (("--trim", "--pad", "3"), (27, 17, 73, 43)),
        (("--trim", "--pad", "5%"), (28, 18, 72, 42)),  # of 40 px
        (("--trim", "--square"), (30, 10, 70, 50)),
        (("--trim", "--pad", "50%", "--square"), (10, -10, 90, 70)),  # beyond the picture's top
        (("--square",), (0, -20, 120, 100)),
        (("--pad", "5%"), (-6, -6, 126, 86)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "webp"])
@pytest.mark.usefixtures("inputs")
def test_the_canvas_holds_the_thing_where_the_record_says(
    limner: Command, flags: tuple[str, ...], frame: tuple[int, ...] | None, suffix: str
) -> None:
    """Each pixel of the thing is the picture's own, all else transparent black, on the canvas that
    was asked for; also in WebP, and also beyond the picture's edge."""
    record = limner.json(*ASK, *flags, "--format", suffix)
    assert record["result"].get("frame_xyxy") == (list(frame) if frame else None)
    x0, y0, x1, y1 = frame or (0, 0, 120, 80)
    with Image.open("im.png") as before, Image.open(f"im-cutout.{suffix}") as after:
        expected = Image.new("RGBA", (x1 - x0, y1 - y0))
        expected.paste(before.crop(THING), (THING[0] - x0, THING[1] - y0))
        assert after.format == suffix.upper()
        assert np.array_equal(np.asarray(after.convert("RGBA")), np.asarray(expected))


@pytest.mark.usefixtures("inputs")
def test_sixteen_bits_stay(limner: Command) -> None:
    """A canvas beyond the edge is made in the file's own depth."""
    values = np.random.default_rng(0).integers(256, 65536, (80, 120, 3), np.uint16)
    tifffile.imwrite("deep.tif", values, photometric="rgb")
    words = ("--mask", "mask.png", "--feather", 0, "--trim", "--pad", "100%", "--format", "tif")
    limner("cutout", "deep.tif", *words)
    with tifffile.TiffFile("deep-cutout.tif") as file:
        after = file.asarray()
    assert (after.dtype, after.shape) == (np.uint16, (100, 120, 4))
    assert np.array_equal(after[40:60, 40:80, :3], values[20:40, 30:70])
    assert np.array_equal(after[..., 3] > 0, np.pad(np.ones((20, 40), bool), 40))
    assert not after[after[..., 3] == 0].any(), "no colour under what is transparent"


@pytest.mark.usefixtures("inputs")
def test_transparency_of_the_picture_itself_is_trimmed_too(limner: Command) -> None:
    with Image.open("im.png") as picture:
        own = picture.convert("RGBA")
    own.paste((9, 9, 9, 0), (0, 0, 50, 80))
    own.save("im.png")
    record = limner.json(*ASK, "--trim")
    assert record["result"]["frame_xyxy"] == [50, 20, 70, 40]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--format", "jpg"), "--format jpg has no transparency"),
        (("--format", "JPEG"), "has no transparency"),
        (("--out", "x.jpg"), "has no transparency"),
        (("--format", "gif"), "--format is one of png, webp, tif, tiff; got 'gif'"),
        (("--format", "webp", "--out", "x.png"), "name two formats"),
        (("--pad", "5x"), "such as 5%; got '5x'"),
        (("--pad", "101%"), "0 to 100%"),
        (("--pad", "4097"), "0 to 4096 pixels"),
        (("--pad", "1.5"), "0 to 4096 pixels"),
        (("--pad=-3",), "0 to 4096 pixels"),
    ],
)
@pytest.mark.usefixtures("inputs")
def test_what_cannot_be_is_refused_before_anything_is_done(
    limner: Command, flags: tuple[str, ...], sentence: str
) -> None:
    """One sentence, exit 2, and no file: a format without alpha would lay it on a colour."""
    before = sorted(Path().rglob("*"))
    answer = limner.run(*ASK, *flags)
    assert answer.code == 2
    assert sentence in answer.stderr
    assert sorted(Path().rglob("*")) == before


@pytest.mark.usefixtures("inputs")
def test_a_canvas_larger_than_pictures_may_be_is_refused(limner: Command) -> None:
    """A narrow strip made square is a decompression bomb of one's own."""
    Image.new("RGB", (30_000, 10), "red").save("strip.png")
    answer = limner.run("cutout", "strip.png", "--box", "0,0,30000,10", "--square")
    assert answer.code == 2
    assert "30000x30000 pixels" in answer.stderr
    assert not Path("strip-cutout.png").exists()


@pytest.mark.usefixtures("inputs")
def test_another_canvas_is_another_result_and_the_plain_one_is_as_before(limner: Command) -> None:
    """The job of a cut-out without a frame is what it was, so that old results are still known."""
    plain, trimmed = limner.json(*ASK), limner.json(*ASK, "--trim")
    assert plain["job"] != trimmed["job"]
    assert "frame" not in str(plain["options"])
    assert limner.json(*ASK, "--trim")["job"] == trimmed["job"]


@pytest.mark.usefixtures("inputs")
def test_python_takes_the_same_settings(limner: Command) -> None:
    """By their names or as one value."""
    with Image.open("mask.png") as picture:
        mask = VisualPrompt(mask=Mask(np.asarray(picture) > 0))
    loose = Session().cutout("im.png", mask, trim=True, pad="3", feather=0)
    strict = Session().cutout("im.png", mask, frame=FrameOptions(trim=True, pad="3"), feather=0)
    assert loose.record.job == strict.record.job
    assert loose.image.size == strict.image.size == (46, 26)
    with pytest.raises(OptionError, match=r"edit has no setting 'trim'"):
        Session().edit("im.png", mask, "a cup", trim=True)  # type: ignore[call-arg]
