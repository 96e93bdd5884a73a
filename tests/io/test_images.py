"""Opening whatever people have."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from limner.errors import ImageError, MissingExtra
from limner.io import images
from tests.io.orientations import ORIENTATIONS

WIDE = np.zeros((4, 6, 3), np.uint8)  # 6 wide, 4 high; every pixel unlike every other
WIDE[..., 0] = np.arange(6) * 40
WIDE[..., 1] = np.arange(4)[:, None] * 60
WIDE[..., 2] = 90


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **how)
    return buffer.getvalue()


def pixels(data: bytes | Path) -> np.ndarray:
    opened = images.open_image(data)
    assert opened.image.mode == "RGB"
    assert type(opened.image) is Image.Image
    assert opened.image.info == {}
    return np.asarray(opened.image)


# Orientation ----------------------------------------------------------------------------------

LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True, "exact": True}, "TIFF": {}}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", LOSSLESS)
def test_all_orientations_come_out_upright(kind: str, orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[orientation](WIDE)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(
        pixels(encoded(stored, kind, exif=exif, **LOSSLESS[kind])), WIDE
    )  # fmt: skip


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_jpeg_orientations_by_their_corners(orientation: int) -> None:
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:16, :16] = 255, 0, 0
    upright[:16, -16:] = 0, 255, 0
    upright[-16:, :16] = 0, 0, 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(ORIENTATIONS[orientation](upright)))
    out = pixels(encoded(stored, "JPEG", exif=exif, quality=95)).astype(int)
    np.testing.assert_allclose(out[8, 8], (255, 0, 0), atol=9)
    np.testing.assert_allclose(out[8, 88], (0, 255, 0), atol=9)
    np.testing.assert_allclose(out[56, 8], (0, 0, 255), atol=9)
    assert out.shape == (64, 96, 3)


@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_broken_exif_does_not_stop_the_picture(exif: bytes) -> None:
    assert pixels(encoded(Image.fromarray(WIDE), "JPEG", exif=exif)).shape == (4, 6, 3)


def test_orientation_zero_means_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 0
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(WIDE), "PNG", exif=exif)), WIDE)


# Modes ----------------------------------------------------------------------------------------


def grey(values: list[int], mode: str = "L") -> Image.Image:
    kinds = {"L": np.uint8, "I;16": np.uint16, "I": np.int32, "F": np.float32}
    return Image.fromarray(np.array([values], dtype=kinds[mode]))


def with_alpha(mode: str, *colours: tuple[int, ...]) -> Image.Image:
    image = Image.new(mode, (len(colours), 1))
    for x, colour in enumerate(colours):
        image.putpixel((x, 0), colour)
    return image


def palette(transparency: int | bytes | None = None) -> tuple[Image.Image, dict[str, object]]:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image, {} if transparency is None else {"transparency": transparency}


RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
HALF = (127, 127, 127)  # black at an alpha of 128, on white
MODES: dict[str, tuple[bytes, list[tuple[int, ...]], str]] = {
    "1": (encoded(grey([0, 255]).convert("1"), "PNG"), [BLACK, WHITE], ""),
    "L": (encoded(grey([7, 200]), "PNG"), [(7,) * 3, (200,) * 3], ""),
    "L with a transparent grey": (
        encoded(grey([7, 200]), "PNG", transparency=7), [WHITE, (200,) * 3], "white"),
    "LA": (encoded(with_alpha("LA", (0, 128), (9, 255)), "PNG"), [HALF, (9,) * 3], "white"),
    "P": (encoded(palette()[0], "PNG"), [RED, BLUE], ""),
    "P, one colour transparent": (
        encoded(palette()[0], "PNG", transparency=0), [WHITE, BLUE], "white"),
    "P, alpha for each colour": (
        encoded(palette()[0], "PNG", transparency=b"\x00\xff"), [WHITE, BLUE], "white"),
    "P, GIF": (encoded(palette()[0], "GIF"), [RED, BLUE], ""),
    "P, GIF transparent": (encoded(palette()[0], "GIF", transparency=1), [RED, WHITE], "white"),
    "RGB": (encoded(with_alpha("RGB", (1, 2, 3), (4, 5, 6)), "PNG"), [(1, 2, 3), (4, 5, 6)], ""),
    "RGB with a transparent colour": (
        encoded(with_alpha("RGB", (1, 2, 3), (4, 5, 6)), "PNG", transparency=(1, 2, 3)),
        [WHITE, (4, 5, 6)], "white"),
    "RGBA": (
        encoded(with_alpha("RGBA", (0, 0, 0, 128), (9, 8, 7, 255)), "PNG"), [HALF, (9, 8, 7)],
        "white"),
    "RGBA without transparency": (
        encoded(with_alpha("RGBA", (1, 2, 3, 255), (9, 8, 7, 255)), "PNG"),
        [(1, 2, 3), (9, 8, 7)], ""),
    "CMYK": (
        encoded(with_alpha("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "TIFF"), [RED, WHITE], ""),
    "I;16": (
        encoded(grey([1000, 2000], "I;16"), "PNG"), [(62,) * 3, (125,) * 3], "read as 12 bits"),
    "I;16 holding 8 bits": (
        encoded(grey([3, 255], "I;16"), "PNG"), [(3,) * 3, WHITE], "read as 8 bits"),
    "I": (encoded(grey([-70000, 70000], "I"), "TIFF"), [BLACK, WHITE], "-70000 to 70000"),
    "F": (encoded(grey([0.25, 0.5], "F"), "TIFF"), [BLACK, WHITE], "0.25 to 0.5"),
    "F with NaN": (
        encoded(grey([float("nan"), 1.0, 2.0], "F"), "TIFF"), [BLACK, BLACK, WHITE], "1 to 2"),
    "F constant": (encoded(grey([5.0, 5.0], "F"), "TIFF"), [BLACK, BLACK], "5 to 5"),
    "BMP": (encoded(with_alpha("RGB", RED, BLUE), "BMP"), [RED, BLUE], ""),
    "TIFF, LZW": (
        encoded(with_alpha("RGB", RED, BLUE), "TIFF", compression="tiff_lzw"), [RED, BLUE], ""),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected", "note"), MODES.values(), ids=MODES.keys())
def test_every_mode_becomes_rgb(data: bytes, expected: list[tuple[int, ...]], note: str) -> None:
    assert pixels(data)[0].tolist() == [list(colour) for colour in expected]
    notes = images.open_image(data).notes
    assert len(notes) == bool(note)
    assert note in " ".join(notes)


def test_lab_is_converted() -> None:
    data = encoded(with_alpha("LAB", (0, 128, 128), (255, 128, 128)), "TIFF")
    np.testing.assert_allclose(pixels(data)[0], [BLACK, WHITE], atol=1)


def test_cmyk_jpeg_is_not_inverted() -> None:
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    np.testing.assert_allclose(pixels(data)[4, 4], RED, atol=6)


FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp",
           "GIF": ".gif", "AVIF": ".avif"}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_formats_are_named_and_digested(kind: str, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(WIDE), kind)
    path = tmp_path / f"photo{FORMATS[kind]}"
    path.write_bytes(data)
    opened = images.open_image(str(path))
    assert (opened.format, opened.path, opened.notes) == (kind, path, ())
    assert opened.digest == hashlib.sha256(data).hexdigest()
    assert opened.image.size == (6, 4)
    assert images.open_image(data).path is None


def test_heic_is_read_upright_and_names_its_extra_when_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heif = pytest.importorskip("pillow_heif")
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:, :48] = 250, 10, 10
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright)))
    heif.from_pillow(stored).save(buffer, format="HEIF", exif=exif.tobytes(), quality=95)
    opened = images.open_image(buffer.getvalue())
    assert (opened.format, opened.image.size) == ("HEIF", (96, 64))
    left, right = opened.image.getpixel((10, 30)), opened.image.getpixel((90, 30))
    np.testing.assert_allclose(left, (250, 10, 10), atol=12)
    np.testing.assert_allclose(right, (0, 0, 0), atol=12)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtra, match=r"limner\[heif\]"):
        images.open_image(buffer.getvalue())


# Colour profiles ------------------------------------------------------------------------------


def matrix_profile(gamma: float) -> bytes:
    """An RGB profile with sRGB's primaries and another tone curve, from lcms's own sRGB one."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    at = len(data)
    for entry in range(132, 132 + 12 * count, 12):
        if data[entry : entry + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            data[entry + 4 : entry + 12] = struct.pack(">II", at, len(curve))
    data += curve
    data[0:4] = struct.pack(">I", len(data))
    return bytes(data)


def test_an_embedded_profile_is_converted_to_srgb() -> None:
    data = encoded(Image.new("RGB", (4, 4), (128, 128, 128)), "PNG", icc_profile=matrix_profile(1))
    # linear 128/255 through sRGB's curve
    expected = 255 * (1.055 * (128 / 255) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(pixels(data)[0, 0], expected, atol=1.5)


def test_srgb_profile_leaves_every_byte_alone() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(Image.fromarray(noise), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(pixels(data), noise)


CMYK_ONLY = b"\0" * 12 + b"prtrCMYKLab " + b"\0" * 104
PROFILES = {
    "junk": b"junk",
    "cut off": matrix_profile(1)[:200],
    "wrong kind": CMYK_ONLY,
    "no tone curve": matrix_profile(1).replace(b"rTRC", b"none"),
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_broken_profile_is_ignored_aloud(profile: bytes) -> None:
    data = encoded(Image.fromarray(WIDE), "PNG", icc_profile=profile)
    np.testing.assert_array_equal(pixels(data), WIDE)
    assert any("profile is broken" in note for note in images.open_image(data).notes)


def test_an_rgb_profile_on_a_grey_picture_is_ignored_aloud() -> None:
    data = encoded(grey([7, 200]), "PNG", icc_profile=matrix_profile(1))
    assert pixels(data)[0].tolist() == [[7] * 3, [200] * 3]
    assert len(images.open_image(data).notes) == 1


# Several pictures in a file -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_pictures_the_first_is_used_aloud(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE, WHITE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(pixels(data)[4, 4], RED, atol=3)
    (note,) = images.open_image(data).notes
    assert "3 pictures; the first" in note


# Refusals -------------------------------------------------------------------------------------


def png_claiming(width: int, height: int) -> bytes:
    """A few bytes that say they are a huge picture."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9))
        + chunk(b"IEND", b"")
    )  # fmt: skip


PHOTO = Image.effect_noise((200, 150), 60).convert("RGB")
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "JPEG cut in half": (encoded(PHOTO, "JPEG")[:4000], "damaged or cut off"),
    "JPEG's first bytes": (encoded(PHOTO, "JPEG")[:30], "damaged or cut off"),
    "PNG cut in half": (encoded(PHOTO, "PNG")[:9000], "damaged or cut off"),
    "PNG's signature": (encoded(PHOTO, "PNG")[:8], "damaged or cut off"),
    "WebP cut": (encoded(PHOTO, "WEBP")[:900], "damaged or cut off"),
    "TIFF cut": (encoded(PHOTO, "TIFF")[:900], "damaged or cut off"),
    "GIF cut": (encoded(PHOTO, "GIF")[:20], "damaged or cut off"),
    "BMP cut": (encoded(PHOTO, "BMP")[:900], "damaged or cut off"),
    "AVIF cut": (encoded(PHOTO, "AVIF")[:300], "damaged or cut off"),
    "text": (b"Dear diary", "expected JPEG, PNG.* got text"),
    "web page": (b"\n<!DOCTYPE html><html>", "web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    "PDF": (b"%PDF-1.7", "a PDF"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "expected JPEG"),
    "other bytes": (bytes(range(256)), "something else"),
    "no pixels": (png_claiming(0, 10), "nothing to see|damaged"),
    "bomb": (png_claiming(60_000, 60_000), "3,600,000,000 pixels and the limit is 100,000,000"),
    "above Pillow's warning": (png_claiming(9_999, 10_001 + 2), "the limit is 100,000,000"),
    "ISO media that is no picture": (b"\0\0\0\x18ftypisom" + b"\0" * 12, "expected JPEG"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "sentence"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_picture_is_one_sentence(data: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=sentence) as caught:
        images.open_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices as files are POSIX's")
def test_a_device_or_a_pipe_is_no_picture_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path, kind in ((Path("/dev/zero"), "a device"), (tmp_path / "pipe.png", "a pipe")):
        with pytest.raises(ImageError, match=f"is {kind}"):
            images.open_image(path)


def test_missing_folder_and_address(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no file .*cat\.jpg"):
        images.open_image(tmp_path / "cat.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        images.open_image(tmp_path)
    with pytest.raises(ImageError, match="download"):
        images.open_image("https://example.org/cat.jpg")
    with pytest.raises(ImageError, match="can't be read"):
        images.open_image("a\0b.jpg")
    with pytest.raises(ImageError, match=r"x\.png can't be read: File name too long\."):
        images.open_image("x" * 300 + ".png")


def test_memory_that_ran_out_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", run_out)
    with pytest.raises(MemoryError):
        images.open_image(encoded(Image.fromarray(WIDE), "PNG"))


def test_mislabelled_files_open_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(WIDE), "PNG"))
    opened = images.open_image(path)
    assert opened.format == "PNG"
    assert opened.notes == ("photo.jpg is named like a JPEG file and holds a PNG picture.",)
    np.testing.assert_array_equal(np.asarray(opened.image), WIDE)


def test_pixel_limit_is_the_callers_and_inclusive() -> None:
    data = encoded(Image.fromarray(WIDE), "PNG")
    assert images.open_image(data, max_pixels=24).image.size == (6, 4)
    with pytest.raises(ImageError, match="24 pixels and the limit is 23"):
        images.open_image(data, max_pixels=23)


def test_a_raised_limit_reaches_past_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    for kind in ("PNG", "JPEG", "BMP", "GIF"):
        assert images.open_image(encoded(Image.fromarray(WIDE), kind)).image.size == (6, 4)
    with pytest.raises(ImageError, match="Pillow"):
        images.open_image(encoded(Image.fromarray(WIDE), "TIFF"))


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    noisy = encoded(Image.fromarray(WIDE), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                images.open_image(noisy)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == before


# Folders and digests --------------------------------------------------------------------------


def test_find_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", ".hidden.png", "deep/d.webp", ".git/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in images.find_images(tmp_path)] == ["a.png", "b.JPG"]
    deep = [p.name for p in images.find_images(tmp_path, recursive=True)]
    assert deep == ["a.png", "b.JPG", "d.webp"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"no image in .*\.jpg.*\.heic"):
        images.find_images(tmp_path / "empty")
    with pytest.raises(ImageError, match="no folder"):
        images.find_images(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"x can't be read: File name too long\."):
        images.find_images("x" * 300)


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_that_can_not_be_read_is_said(
    recursive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: object = ".") -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("os.listdir", refuse)  # root may read everything
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(ImageError, match=r"can't be read: Permission denied\.") as caught:
        images.find_images(tmp_path, recursive=recursive)
    assert str(tmp_path) in str(caught.value)


def test_digest_sees_size_and_pixels() -> None:
    tall = Image.fromarray(WIDE.reshape(6, 4, 3))
    changed = WIDE.copy()
    changed[0, 0, 0] += 1
    digests = {images.digest(Image.fromarray(a)) for a in (WIDE, changed)} | {images.digest(tall)}
    assert len(digests) == 3
    assert images.digest(Image.fromarray(WIDE)) == images.digest(Image.fromarray(WIDE.copy()))
    with pytest.raises(ImageError, match="mode RGB, got L"):
        images.digest(Image.new("L", (2, 2)))


def test_a_digest_is_of_size_and_values_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashed in stripes, so that a picture of 100 megapixels needs no copy: the same digest."""
    picture = Image.fromarray(np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3))
    expected = hashlib.sha256(b"5x7 RGB " + picture.tobytes()).hexdigest()
    monkeypatch.setattr(images, "_HASHED_AT_ONCE", 11)
    assert images.digest(picture) == expected
