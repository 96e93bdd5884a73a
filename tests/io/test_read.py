"""Wide, odd and hostile pictures: seen as they are, or refused for what is true of them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from limner.errors import ImageError
from limner.io.images import open_image, upright_size
from tests.io.orientations import ORIENTATIONS

Y, X = np.mgrid[:24, :40]
RGB = np.stack([X * 6, Y * 10, np.full(X.shape, 60)], axis=-1).astype(np.uint8)
NEAR_INFRARED = np.where((X // 10) % 2 == 0, 255, 20).astype(np.uint8)
FOUR = np.dstack([RGB, NEAR_INFRARED])


def tiff(values: npt.NDArray[np.generic], **how: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **how)
    return buffer.getvalue()


def grey(values: npt.NDArray[np.generic]) -> bytes:
    return tiff(values, photometric="minisblack")


UNSPECIFIED = {"extrasamples": ["unspecified"]}
RGB_FILES: dict[str, tuple[bytes, str]] = {
    "16 bits": (tiff(RGB.astype(np.uint16) * 257, photometric="rgb"), ""),
    "16 bits, planes": (
        tiff(np.moveaxis(RGB.astype(np.uint16) * 257, -1, 0), photometric="rgb",
             planarconfig="separate"), ""),
    "12 bits in 16": (
        tiff((RGB * (4095 / 255)).round().astype(np.uint16), photometric="rgb"),
        "read as 12 bits"),
    "floats": (tiff((RGB / 255).astype(np.float32), photometric="rgb"), ""),
    "floats of 64 bits": (tiff(RGB / 255, photometric="rgb"), ""),
    "and near infrared": (tiff(FOUR, photometric="rgb", **UNSPECIFIED), "last band"),
    "four bands": (
        tiff(FOUR, photometric="minisblack", planarconfig="contig",
             extrasamples=["unspecified"] * 3), "last band"),
    "four planes": (
        tiff(np.moveaxis(FOUR, -1, 0), photometric="minisblack", planarconfig="separate"),
        "last band"),
    "four bands of 16 bits": (
        tiff(FOUR.astype(np.uint16) * 257, photometric="rgb", **UNSPECIFIED), "last band"),
    "zipped, tiled": (
        tiff(RGB.astype(np.uint16) * 257, photometric="rgb", compression="zlib", tile=(16, 16)),
        ""),
}  # fmt: skip


@pytest.mark.parametrize(("data", "note"), RGB_FILES.values(), ids=RGB_FILES.keys())
def test_colours_are_seen_as_they_are(data: bytes, note: str) -> None:
    """12 bits were read nearly black; floats and bands were called damaged."""
    opened = open_image(data)
    np.testing.assert_allclose(np.asarray(opened.image).astype(int), RGB, atol=1)
    assert (note in " ".join(opened.notes)) if note else opened.notes == ()


GREY_KINDS = ["float16", "float32", "float64", "int8", "int16", "int32", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", GREY_KINDS)
def test_other_numbers_are_stretched_aloud_and_kept(dtype: str) -> None:
    values = (X.astype(np.float64) * 3 - (60 if dtype.startswith(("f", "i")) else 0)).astype(dtype)
    values[0, 0] = 120
    opened = open_image(grey(values))
    seen = np.asarray(opened.image)[..., 0].astype(float)
    low, high = float(values.min()), float(values.max())
    if dtype.startswith("u"):  # all within 0-255: as they are
        low, high = 0.0, 255.0
    else:
        assert "were stretched" in " ".join(opened.notes)
    np.testing.assert_allclose(seen, (values.astype(float) - low) * 255 / (high - low), atol=1)
    assert opened.raster.dtype == dtype
    np.testing.assert_array_equal(opened.raster.window((0, 0, 40, 24))[..., 0], values)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_wide_pictures_are_turned_as_others_are(orientation: int) -> None:
    wide = np.ascontiguousarray(ORIENTATIONS[orientation](RGB)).astype(np.uint16) * 257
    data = tiff(wide, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal(np.asarray(open_image(data).image), RGB)


def lzw(values: npt.NDArray[np.generic]) -> bytes:
    """By OpenCV, whose colours are BGR: the packing that most programs take, with differences."""
    import cv2

    values = values[..., ::-1] if values.ndim == 3 else values
    done, encoded = cv2.imencode(".tif", values, [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    assert done
    with tifffile.TiffFile(io.BytesIO(encoded.tobytes())) as file:
        if values.dtype == np.float32 and int(file.pages.first.compression) == 1:
            pytest.skip("this OpenCV (4.13) writes floats without packing them")
        assert int(file.pages.first.compression) == 5
    return encoded.tobytes()


WIDE = RGB.astype(np.uint16) * 257 + np.arange(40, dtype=np.uint16)[None, :, None]
PACKED = {
    "RGB": WIDE,
    "grey": WIDE[..., :1],
    "floats": (WIDE / 65535).astype(np.float32),
}


@pytest.mark.parametrize("values", PACKED.values(), ids=PACKED.keys())
def test_wide_pictures_packed_by_lzw_keep_their_values(values: npt.NDArray[np.generic]) -> None:
    """tifffile needs another package for it: OpenCV steps in."""
    raster = open_image(lzw(values[..., 0] if values.shape[2] == 1 else values)).raster
    np.testing.assert_array_equal(raster.window((0, 0, 40, 24)), values)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_wide_pictures_packed_by_lzw_are_turned_once(orientation: int) -> None:
    data = bytearray(lzw(np.ascontiguousarray(ORIENTATIONS[orientation](WIDE))))
    # OpenCV writes no orientation: it takes the place of PlanarConfiguration, whose value is the
    # default anyway.
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        offsets = [tag.offset for tag in file.pages.first.tags]
    entries = [bytes(data[at : at + 12]) for at in offsets]
    turn = struct.pack("<HHIHH", 274, 3, 1, orientation, 0)
    entries = [turn if entry.startswith(struct.pack("<H", 284)) else entry for entry in entries]
    assert turn in entries
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    data[offsets[0] : offsets[0] + 12 * len(entries)] = b"".join(entries)
    raster = open_image(bytes(data)).raster
    np.testing.assert_array_equal(raster.window((0, 0, 40, 24)), WIDE)


def test_the_size_of_a_turned_picture_is_that_of_its_view(tmp_path: object) -> None:
    import pathlib

    path = pathlib.Path(str(tmp_path)) / "turned.tif"
    for values in (RGB, RGB.astype(np.uint16) * 257, RGB.astype(np.float32)):
        path.write_bytes(tiff(values, photometric="rgb", extratags=[(274, "H", 1, 6, True)]))
        assert upright_size(path) == open_image(path).image.size == (24, 40)


def repacked(data: bytes, packing: int) -> bytes:
    """The same TIFF with another number of its compression."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages.first.tags[259].offset
    return data[: at + 8] + struct.pack("<H", packing) + data[at + 10 :]


@pytest.mark.parametrize(("packing", "name"), [(34712, "JPEG2000"), (50002, "JPEGXL")])
def test_a_packing_that_is_not_read_is_named(packing: int, name: str) -> None:
    """Such files were called damaged: "export it again" gave the same file."""
    with pytest.raises(ImageError, match=name) as refusal:
        open_image(repacked(tiff(RGB, photometric="rgb"), packing))
    assert "damaged" not in str(refusal.value)
    assert "save it" in str(refusal.value)


def test_a_strip_that_unpacks_to_more_than_its_part_is_refused() -> None:
    """100 kB that would become 100 MB."""
    bomb = zlib.compress(bytes(100_000_000), 9)
    data = bytearray(tiff(RGB.astype(np.uint16), photometric="rgb", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        tags = file.pages.first.tags
        offset_at, count_at = tags[273].valueoffset, tags[279].valueoffset
        sizes = ["<H" if tags[n].dtype == 3 else "<I" for n in (273, 279)]
    if sizes[1] == "<H":  # a count of 16 bits, widened in place
        data[tags[279].offset + 2 : tags[279].offset + 4] = struct.pack("<H", 4)
        count_at = tags[279].offset + 8
    if sizes[0] == "<H":
        data[tags[273].offset + 2 : tags[273].offset + 4] = struct.pack("<H", 4)
        offset_at = tags[273].offset + 8
    data[offset_at : offset_at + 4] = struct.pack("<I", len(data))
    data[count_at : count_at + 4] = struct.pack("<I", len(bomb))
    with pytest.raises(ImageError, match="more than its part"):
        open_image(bytes(data) + bomb)


def test_damaged_wide_pictures_are_one_sentence() -> None:
    rng = np.random.default_rng(0)
    whole = tiff((RGB.astype(np.uint16) * 257), photometric="rgb", compression="zlib")
    sentences = []
    for _ in range(60):
        data = bytearray(whole[: rng.integers(20, len(whole))] if rng.random() < 0.3 else whole)
        for at in rng.integers(4, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(256)
        try:
            open_image(bytes(data))
        except ImageError as error:
            sentences.append(str(error))
    assert len(sentences) > 20
    assert not any("\n" in sentence for sentence in sentences)
