"""What a file holds outside the mask is in the result as it was: depth, colour space, transparency.

Counted on files, by a reader that shares no code with limner's.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.pipeline.doubles import FloodInpainter

from .command import Command
from .pictures import KINDS, Array, noise, profile_of, read, write

VERBS = ("remove", "edit", "redact", "background", "cutout", "extend")
SIZE = (46, 38)


def display_p3() -> bytes:
    """Display P3: sRGB's curve with other primaries (those of Apple's profile, adapted to D50)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        name, offset, _ = struct.unpack(">4sII", profile[at : at + 12])
        if name in primaries:
            numbers = [round(value * 65536) for value in primaries[name]]
            profile[offset + 8 : offset + 20] = struct.pack(">iii", *numbers)
    return bytes(profile)


def blob(rng: np.random.Generator) -> Array:
    """(H, W) bool: a box and a disc anywhere, the frame included."""
    width, height = SIZE
    x, y = rng.integers(0, width - 4), rng.integers(0, height - 4)
    mask = np.zeros((height, width), bool)
    mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = True
    yy, xx = np.mgrid[:height, :width]
    return mask | ((xx - x) ** 2 + (yy - y) ** 2 < rng.integers(1, 60))


def unchanged(verb: str, before: Array, after: Array, mask: Array) -> None:
    """Assert that what ``verb`` must leave alone is what it was, value by value."""
    if verb == "extend":
        after = after[3:, 5:]
        mask = np.zeros(before.shape[:2], bool)
    if verb == "background":
        mask = ~mask
    if verb == "cutout":
        alpha, white = after[..., -1], after[..., -1].max()
        assert not after[~mask].any()
        colours = before[..., :-1] if before.shape[2] in (2, 4) else before
        colours = np.broadcast_to(colours, (*colours.shape[:2], after.shape[2] - 1))
        np.testing.assert_array_equal(after[mask][:, :-1], colours[mask])
        if before.shape[2] in (2, 4):
            np.testing.assert_array_equal(alpha[mask], before[..., -1][mask])
        else:
            assert (alpha[mask] == white).all()
        return
    assert after.dtype == before.dtype
    if after.shape[2] != before.shape[2]:  # PNG of 16-bit greys with alpha
        after = after[..., [0, -1]]
    np.testing.assert_array_equal(after[~mask], before[~mask])


def edited(limner: Command, verb: str, source: Path, out: Path, **more: Any) -> str:
    words: dict[str, list[object]] = {
        "remove": ["--method", "telea", "--dilate", 0],
        "edit": ["--paint", "a cat", "--dilate", 0],
        "redact": ["--style", more.get("style", "solid"), "--dilate", 0],
        "background": ["--colour", "red", "--feather", 0],
        "cutout": ["--feather", 0],
        "extend": ["--extend", "left=5,top=3", "--method", "telea"],
    }
    mask = [] if verb == "extend" else ["--mask", "mask.png"]
    answer = limner(verb, source, *mask, *words[verb], "--no-store", "-o", out, "--overwrite")
    return answer.stdout + answer.stderr


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> None:
    """``edit`` paints without weights."""
    from limner.session.model_slots import Models
    from limner.session.verbs import paint as verbs

    own = verbs.painter_for

    def painter_for(models: Models, paint: Any, *rest: Any) -> Any:
        if paint is None:
            return own(models, paint, *rest)
        return models.painting_slot(words=False), FloodInpainter()

    monkeypatch.setattr(verbs, "painter_for", painter_for)


def random_edits(limner: Command, first: int, count: int) -> None:
    done = 0
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        mode, dtype, suffix = KINDS[seed % len(KINDS)]
        verb = VERBS[int(rng.integers(len(VERBS)))]
        if verb == "cutout" and (mode == "CMYK" or dtype not in ("uint8", "uint16")):
            verb = "redact"  # neither CMYK nor such numbers have a transparency here
        before, mask = noise(rng, mode, dtype, SIZE), blob(rng)
        if (mode.startswith("RGB") and suffix != "png") or (dtype == "uint8" and mode == "RGB"):
            profile = display_p3() if rng.random() < 0.5 else None
        else:
            profile = None
        source, out = Path(f"in.{suffix}"), Path(f"out.{suffix}")
        write(source, before, mode, profile)
        Image.fromarray(mask).save("mask.png")
        np.testing.assert_array_equal(read(source), before)  # the reader reads what was written
        said = edited(limner, verb, source, out)
        label = f"{seed} {verb} {mode} {dtype} {suffix}: {said}"
        try:
            unchanged(verb, before, read(out), mask)
        except AssertionError as error:
            raise AssertionError(label) from error
        assert profile_of(out) == profile, label
        if verb != "cutout":
            assert "0 pixels changed outside the mask" in said, label
        done += 1
    assert done == count


def test_random_edits_leave_the_files_own_values_alone(limner: Command, painter: None) -> None:
    random_edits(limner, 0, 48)


@pytest.mark.slow
def test_three_hundred_random_edits(limner: Command, painter: None) -> None:
    random_edits(limner, 1000, 300)


# --- what is said, and what must not stay ---------------------------------------------------------

LOST = {
    "16 bits in a WebP": ("RGB", "uint16", "png", "webp", "WebP holds 8 bits a value"),
    "16 bits in a JPEG": ("L", "uint16", "tif", "jpg", "JPEG holds 8 bits a value"),
    "floats in a PNG": ("RGB", "float32", "tif", "png", "32-bit floats"),
    "whole numbers of 32 bits in a PNG": ("L", "uint32", "tif", "png", "32 bits"),
    "CMYK in a PNG": ("CMYK", "uint8", "tif", "png", "PNG holds no CMYK"),
    "CMYK in a WebP": ("CMYK", "uint8", "tif", "webp", "WebP holds no CMYK"),
    "transparency in a JPEG": ("RGBA", "uint8", "png", "jpg", "JPEG holds no transparency"),
}


@pytest.mark.parametrize(
    ("mode", "dtype", "suffix", "to", "sentence"), LOST.values(), ids=LOST.keys()
)
def test_what_a_format_cannot_hold_is_said_before_and_never_counted_as_unchanged(
    limner: Command, mode: str, dtype: str, suffix: str, to: str, sentence: str
) -> None:
    rng = np.random.default_rng(0)
    write(Path(f"in.{suffix}"), noise(rng, mode, dtype, SIZE), mode)
    Image.fromarray(blob(rng)).save("mask.png")
    answer = limner(
        "remove", f"in.{suffix}", "--mask", "mask.png", "--method", "telea", "--no-store",
        "-o", f"out.{to}",
    )  # fmt: skip
    assert sentence in answer.stderr
    assert "pixels changed" not in answer.stdout
    assert "became" in answer.stdout or "re-encoded" in answer.stdout
    # The same file, into a format that holds it: nothing of the kind.
    kept = limner(
        "remove", f"in.{suffix}", "--mask", "mask.png", "--method", "telea", "--no-store",
        "-o", f"kept.{suffix}",
    )  # fmt: skip
    assert sentence not in kept.stderr
    assert "0 pixels changed outside the mask" in kept.stdout


def test_a_loss_is_said_before_a_model_is_asked(
    limner: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limner.errors import OptionError
    from limner.session import Session

    def fail(*_: Any, **__: Any) -> None:
        raise OptionError("the work has begun")

    write(Path("in.png"), noise(np.random.default_rng(0), "RGB", "uint16", SIZE), "RGB")
    monkeypatch.setattr(Session, "answer", fail)
    answer = limner.run("remove", "in.png", "--box", "2,2,9,9", "--no-store", "-o", "out.webp")
    assert answer.stderr.index("WebP holds 8 bits") < answer.stderr.index("the work has begun")


def test_bands_that_are_not_read_are_not_called_unchanged(limner: Command) -> None:
    import tifffile

    bands = np.random.default_rng(0).integers(0, 256, (40, 50, 4), dtype=np.uint8)
    tifffile.imwrite("in.tif", bands, photometric="rgb", extrasamples=["unspecified"])
    answer = limner("remove", "in.tif", "--box", "5,5,20,20", "--no-store", "-o", "out.tif")
    assert "last band was not read" in answer.stderr
    assert "1 of its bands were left out" in answer.stdout
    assert "pixels changed" not in answer.stdout


@pytest.mark.parametrize("style", ["solid", "blur", "pixelate"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_redaction_leaves_no_low_bit_and_no_transparency_of_what_it_hides(
    limner: Command, style: str, suffix: str
) -> None:
    """Two files that models see alike, with other low bits, other alphas and other colours under
    alpha 0 in the hidden part, become one."""
    rng = np.random.default_rng(0)
    mask = np.zeros(SIZE[::-1], bool)
    mask[8:30, 10:36] = True
    Image.fromarray(mask).save("mask.png")
    values = np.full((*mask.shape, 4), 65535, np.uint16)
    values[..., :3] = rng.integers(0, 256, (*mask.shape, 3)).astype(np.uint16) * 257
    values[12:20, 14:30, 3] = 0
    other = values.copy()
    # Within half a step of 8 bits, away from the ends.
    shift = rng.integers(-100, 100, (*mask.shape, 3))
    other[..., :3] = np.where(mask[..., None], np.clip(values[..., :3] + shift, 0, 65535),
                              values[..., :3])  # fmt: skip
    other[12:20, 14:30, :3] = rng.integers(0, 65536, (8, 16, 3))
    hidden = []
    for name, pixels in (("a", values), ("b", other)):
        write(Path(f"{name}.{suffix}"), pixels, "RGBA")
        edited(
            limner, "redact", Path(f"{name}.{suffix}"), Path(f"{name}-out.{suffix}"), style=style
        )
        hidden.append(read(Path(f"{name}-out.{suffix}")))
    np.testing.assert_array_equal(hidden[0], hidden[1])
    assert (hidden[0][mask][:, 3] == 65535).all()


def test_what_is_removed_from_transparency_becomes_transparent(limner: Command) -> None:
    pixels = np.zeros((40, 50, 4), np.uint8)
    pixels[10:20, 10:30] = (200, 30, 30, 255)
    write(Path("in.png"), pixels, "RGBA")
    limner("remove", "in.png", "--box", "9,9,31,21", "--method", "telea", "--no-store",
           "-o", "out.png")  # fmt: skip
    assert not read(Path("out.png"))[..., 3].any()


def test_what_is_painted_comes_in_the_files_own_colours(limner: Command, painter: None) -> None:
    """The flood is (255, 0, 200) in sRGB: P3's numbers for it are others, and 16 bits 257 times."""
    Image.fromarray(np.ones(SIZE[::-1], bool)).save("mask.png")
    mask = np.zeros(SIZE[::-1], bool)
    mask[5:30, 5:30] = True
    Image.fromarray(mask).save("mask.png")
    deep = np.full((*mask.shape, 3), 30000, np.uint16)
    write(Path("deep.png"), deep, "RGB")
    edited(limner, "edit", Path("deep.png"), Path("deep-out.png"))
    assert read(Path("deep-out.png"))[17, 17].tolist() == [65535, 0, 51400]
    wide = np.full((*mask.shape, 3), 120, np.uint8)
    write(Path("wide.png"), wide, "RGB", display_p3())
    edited(limner, "edit", Path("wide.png"), Path("wide-out.png"))
    painted = read(Path("wide-out.png"))[17, 17]
    assert painted.tolist() != [255, 0, 200]
    seen = ImageCms.profileToProfile(
        Image.fromarray(painted[None, None]),
        ImageCms.ImageCmsProfile(io.BytesIO(display_p3())),
        ImageCms.createProfile("sRGB"),
    )
    assert seen is not None
    np.testing.assert_allclose(np.asarray(seen)[0, 0].astype(int), [255, 0, 200], atol=4)


def test_scoring_an_edit_counts_the_files_own_values(limner: Command) -> None:
    """One low bit of 16, and a colour under alpha 0: no view shows them."""
    before = np.full((40, 50, 4), 65535, np.uint16)
    before[5, 5, 3] = 0
    after = before.copy()
    after[0, 0, 0] -= 1
    after[5, 5, 0] = 0
    write(Path("before.png"), before, "RGBA")
    write(Path("after.png"), after, "RGBA")
    Image.fromarray(np.pad(np.ones((5, 5), bool), ((20, 15), (20, 25)))).save("mask.png")
    report = limner.json("score", "edit", "before.png", "after.png", "-m", "mask.png")
    assert report["scores"]["outside_changed_pixels"] == 2


def test_a_picture_of_10_bits_is_not_called_unchanged(limner: Command) -> None:
    """What is read of a HEIC of 10 bits is 8, in whatever file the result is."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs limner[heif]")
    values = (np.random.default_rng(0).integers(0, 1024, (40, 50, 3)) << 6).astype(np.uint16)
    pillow_heif.encode("RGB;16", (50, 40), values.tobytes(), "in.heic", quality=-1)
    answer = limner("remove", "in.heic", "--box", "5,5,20,20", "--no-store", "-o", "out.png")
    assert "10 bits a value were read as 8" in answer.stderr
    assert "its 10 bits became 8" in answer.stdout
    assert "pixels changed" not in answer.stdout


# --- metadata -------------------------------------------------------------------------------------

THUMBNAIL, MAKER = b"\xff\xd8THUMBNAIL-OF-THE-ORIGINAL\xff\xd9", b"MAKERNOTE-WITH-A-PREVIEW"


def exif_block() -> bytes:
    """Make, orientation 6, date, a maker's note, GPS, and a second directory with a thumbnail."""
    texts: list[bytes] = []
    heads = {"zero": 5, "exif": 2, "gps": 1, "one": 3}
    at, places = 8, {}
    for name, count in heads.items():
        places[name] = at
        at += 2 + 12 * count + 4

    def entry(tag: int, kind: int, count: int, value: bytes | int) -> bytes:
        nonlocal at
        if isinstance(value, int):
            field = struct.pack("<I", value)
        elif len(value) <= 4:
            field = value.ljust(4, b"\0")
        else:
            field = struct.pack("<I", at)
            texts.append(value + b"\0" * (len(value) % 2))
            at += len(texts[-1])
        return struct.pack("<HHI", tag, kind, count) + field

    zero = [
        entry(271, 2, 8, b"TestCam\0"), entry(274, 3, 1, 6), entry(305, 2, 5, b"Soft\0"),
        entry(0x8769, 4, 1, places["exif"]), entry(0x8825, 4, 1, places["gps"]),
    ]  # fmt: skip
    exif = [
        entry(0x9003, 2, 20, b"2020:01:02 03:04:05\0"), entry(0x927C, 7, len(MAKER), MAKER)
    ]  # fmt: skip
    gps = [entry(1, 2, 2, b"N\0")]
    one = [entry(259, 3, 1, 6), entry(513, 4, 1, 0), entry(514, 4, 1, len(THUMBNAIL))]
    one[1] = struct.pack("<HHII", 513, 4, 1, at)
    texts.append(THUMBNAIL)
    block = struct.pack("<2sHI", b"II", 42, 8)
    for name, entries in (("zero", zero), ("exif", exif), ("gps", gps), ("one", one)):
        after = places["one"] if name == "zero" else 0
        block += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", after)
    return b"Exif\0\0" + block + b"".join(texts)


KEEPING = {
    "remove": ["--box", "5,5,20,20", "--method", "telea"],
    "cutout": ["--mask", "mask.png"],
    "background": ["--mask", "mask.png", "--colour", "white"],
    "extend": ["--extend", "left=4", "--method", "telea"],
}


@pytest.mark.parametrize("verb", KEEPING)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_metadata_is_carried_when_asked_for_without_what_shows_the_original(
    limner: Command, verb: str, suffix: str
) -> None:
    if verb == "cutout" and suffix == "jpg":
        return
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (46, 38, 3), dtype=np.uint8))
    photo.save("in.jpg", exif=exif_block())
    assert THUMBNAIL in Path("in.jpg").read_bytes()
    Image.fromarray(blob(np.random.default_rng(1))).save("mask.png")
    words = [verb, "in.jpg", *KEEPING[verb], "--no-store", "-o"]
    limner(*words, f"bare.{suffix}")
    limner(*words, f"kept.{suffix}", "--keep-metadata")
    with Image.open(f"bare.{suffix}") as bare:
        assert 271 not in bare.getexif()
    data = Path(f"kept.{suffix}").read_bytes()
    assert THUMBNAIL not in data
    assert MAKER not in data
    with Image.open(f"kept.{suffix}") as kept:
        exif = kept.getexif()
        assert exif[271] == "TestCam"
        assert exif.get(274, 1) == 1  # it lies upright: nobody turns it twice
        assert exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
        assert exif.get_ifd(0x8825)[1] == "N"
        assert kept.size[1] == 38  # turned


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_metadata_is_carried_into_files_of_16_bits(limner: Command, suffix: str) -> None:
    write(Path("in.tif"), noise(np.random.default_rng(0), "RGB", "uint16", SIZE), "RGB")
    import tifffile

    values = noise(np.random.default_rng(0), "RGB", "uint16", SIZE)
    tifffile.imwrite("in.tif", values, photometric="rgb", datetime="2020:01:02 03:04:05")
    limner("remove", "in.tif", "--box", "5,5,20,20", "--method", "telea", "--keep-metadata",
           "--no-store", "-o", f"out.{suffix}")  # fmt: skip
    with Image.open(f"out.{suffix}") as kept:
        assert kept.getexif()[306] == "2020:01:02 03:04:05"


def test_a_redaction_never_carries_metadata(limner: Command) -> None:
    Image.new("RGB", (40, 30), "grey").save("in.jpg", exif=exif_block())
    refused = limner.run("redact", "in.jpg", "--box", "1,1,9,9", "--keep-metadata")
    assert refused.code == 2
    limner("redact", "in.jpg", "--box", "1,1,9,9", "--no-store", "-o", "out.jpg")
    assert b"TestCam" not in Path("out.jpg").read_bytes()


# --- the help of each verb ------------------------------------------------------------------------


def test_the_help_of_a_cut_out_states_the_defaults_that_it_uses(limner: Command) -> None:
    """It said 1.5 % and 4, and used 0 and 1."""
    import re

    text = " ".join(limner("cutout", "--help").stdout.split())
    dilate = re.search(r"--dilate NUMBER.*?\[default (\d+)", text)
    feather = re.search(r"--feather NUMBER.*?\[default (\d+)", text)
    assert dilate
    assert feather
    Image.new("RGB", (60, 50), "grey").save("in.png")
    mask = np.zeros((50, 60), bool)
    mask[10:40, 10:40] = True
    Image.fromarray(mask).save("mask.png")
    limner("cutout", "in.png", "--mask", "mask.png", "--no-store", "-o", "a.png")
    limner("cutout", "in.png", "--mask", "mask.png", "--no-store", "-o", "b.png",
           "--dilate", dilate[1], "--feather", feather[1])  # fmt: skip
    np.testing.assert_array_equal(read(Path("a.png")), read(Path("b.png")))
    assert not np.array_equal(read(Path("a.png"))[..., 3] == 255, mask)  # the feather is there
