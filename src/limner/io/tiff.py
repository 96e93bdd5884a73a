"""TIFFs that Pillow can't read or write as they are: more than 8 bits, several bands, floats.

Read by tifffile, and by OpenCV where tifffile would need another package to unpack them; written
with Pillow's own table of tags, so that profile, EXIF and record lie where Pillow puts them too.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from limner.errors import ImageError

if TYPE_CHECKING:
    import tifffile

Samples = npt.NDArray[Any]

_UNPACKED = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _CMYK = 0, 1, 2, 5
_UNSPECIFIED, _PREMULTIPLIED, _STRAIGHT = 0, 1, 2
_KINDS = {1: "u", 2: "i", 3: "f"}
_STRIP = 1 << 20
MOST_BANDS = 16


@dataclass(frozen=True)
class Bands:
    """The values of a TIFF, as they lie in it."""

    samples: Samples
    """(H, W, C): 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha."""
    premultiplied: bool
    profile: bytes | None
    orientation: int
    pages: int
    dropped: int
    """Bands beyond those, which weren't read."""


def read(data: bytes, name: str, check_size: Callable[[tuple[int, int]], None]) -> Bands | None:
    """A TIFF's values; None where Pillow reads all of them.

    Args:
        check_size: raises where (width, height) is more than is to be decoded.

    Raises:
        ImageError: packed in a way, or of a kind, that isn't read here.
    """
    import logging

    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it says is raised too
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        kind = str(getattr(page.photometric, "name", page.photometric))
        packing = int(page.compression)
        if packing not in _UNPACKED:
            raise ImageError(
                f"{name} is a TIFF packed as {getattr(page.compression, 'name', packing)}, which "
                "limner doesn't unpack: save it with LZW or zip compression, or as PNG."
            )
        photometric, count = int(page.photometric), page.samplesperpixel
        extras = [int(sample) for sample in page.extrasamples]
        if _is_pillows(page, photometric, count, extras):
            return None
        if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
            raise ImageError(
                f"{name} is a TIFF of {page.bitspersample}-bit {kind} with {count} bands, which "
                "limner doesn't read: convert it to RGB, or save it as PNG."
            )
        check_size((page.imagewidth, page.imagelength))
        tag = page.tags.get(274)
        samples, premultiplied = _chosen(_unpacked(page, data, name), photometric, extras)
        return Bands(
            samples,
            premultiplied,
            page.iccprofile or None,
            int(tag.value) if tag else 1,
            len(file.pages),
            count - samples.shape[2],
        )


def _is_pillows(page: tifffile.TiffPage, photometric: int, count: int, extras: list[int]) -> bool:
    if page.bitspersample > 8 or page.sampleformat not in (1, 4):
        return False
    if photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO):
        return count == 1 or (count == 2 and extras == [_STRAIGHT] and page.planarconfig == 1)
    if photometric == _RGB:
        return count == 3 or (count == 4 and extras == [_STRAIGHT])
    return not extras


def _unpacked(page: tifffile.TiffPage, data: bytes, name: str) -> Samples:
    """(H, W, bands)."""
    if page.samplesperpixel > MOST_BANDS:
        raise ImageError(
            f"{name} has {page.samplesperpixel} bands; at most {MOST_BANDS} are read: save three "
            "of them as a picture."
        )
    _check_strips(page, data)
    try:
        values = page.asarray()
    except (ValueError, ImportError) as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        values = _by_opencv(page, data, name)
    if values.ndim == 2:
        values = values[..., None]
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3 or values.shape[2] != page.samplesperpixel:
        raise ImageError(
            f"{name} is a TIFF of {values.ndim} dimensions: save one picture of it by itself."
        )
    return values


def _check_strips(page: tifffile.TiffPage, data: bytes) -> None:
    """No zipped strip may hold more than its part of the picture: tifffile unpacks it all."""
    if int(page.compression) not in (8, 32946):
        return
    rows, width = page.rowsperstrip or page.imagelength, page.imagewidth
    if page.is_tiled:
        rows, width = page.tilelength, page.tilewidth
    most = rows * width * page.samplesperpixel * page.dtype.itemsize if page.dtype else 0
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        unpacked = zlib.decompressobj().decompress(data[offset : offset + count], most + 1)
        if len(unpacked) > most:
            raise ValueError("a strip holds more than its part of the picture")


def _by_opencv(page: tifffile.TiffPage, data: bytes, name: str) -> Samples:
    import cv2

    # Through getattr: OpenCV has no types for it.
    log = getattr(getattr(cv2, "utils"), "logging")  # noqa: B009
    level = log.setLogLevel(log.LOG_LEVEL_SILENT)  # gives the one before
    try:
        lying = _lying(page, data)
        values = cv2.imdecode(np.frombuffer(lying, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    finally:
        log.setLogLevel(level)
    bands = 0 if values is None else 1 if values.ndim == 2 else values.shape[2]
    if values is None or values.dtype != page.dtype or bands != page.samplesperpixel:
        packing = getattr(page.compression, "name", page.compression)
        raise ImageError(
            f"{name} is a TIFF of {page.samplesperpixel} bands of {page.dtype}, packed as "
            f"{packing}, which limner doesn't unpack: save it uncompressed or zipped, or as PNG."
        )
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(bands)
    values = values if order is None else values[..., order]
    return np.moveaxis(values, -1, 0) if page.planarconfig == 2 and bands > 1 else values


def _lying(page: tifffile.TiffPage, data: bytes) -> bytes:
    """The file without its orientation, by which OpenCV would turn the picture, but not in all."""
    tag = page.tags.get(274)
    if tag is None or tag.value == 1:
        return data
    upright = bytearray(data)
    upright[tag.valueoffset : tag.valueoffset + 2] = struct.pack(f"{page.parent.byteorder}H", 1)
    return bytes(upright)


def _chosen(values: Samples, photometric: int, extras: list[int]) -> tuple[Samples, bool]:
    """Grey or RGB and, if the first band after them is one, the alpha."""
    if photometric == _WHITE_IS_ZERO and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    colours = 3 if photometric == _RGB or values.shape[2] > 2 else 1
    if values.shape[2] < colours:
        colours = 1
    is_alpha = values.shape[2] == colours + 1 and extras in ([_PREMULTIPLIED], [_STRAIGHT])
    samples = np.ascontiguousarray(values[..., : colours + is_alpha])
    return samples.astype(samples.dtype.newbyteorder("=")), is_alpha and extras[0] == _PREMULTIPLIED


def size_of(data: bytes) -> tuple[tuple[int, int], int]:
    """(width, height) as it lies, and its orientation."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        tag = page.tags.get(274)
        return (page.imagewidth, page.imagelength), int(tag.value) if tag else 1


def packet(data: bytes) -> bytes:
    """The XMP packet of a TIFF that Pillow can't open; empty where there is none."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages.first.tags.get(700)
        return bytes(tag.value) if tag else b""


def write(
    samples: Samples,
    *,
    is_cmyk: bool = False,
    premultiplied: bool = False,
    profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> bytes:
    """A zipped TIFF of (H, W, C) values, C as in ``Bands``.

    Raises:
        OverflowError: more than the 4 GB that a TIFF can hold.
    """
    height, width, count = samples.shape
    little = samples.astype(samples.dtype.newbyteorder("<"), copy=False)
    rows = max(1, _STRIP // max(width * count * samples.itemsize, 1))
    strips = [zlib.compress(little[y : y + rows].tobytes(), 6) for y in range(0, height, rows)]
    sizes = [len(strip) for strip in strips]
    if sum(sizes) > 0xFFFF0000:
        raise OverflowError("a TIFF holds 4 GB at most")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if exif:
        own = Image.Exif()
        own.load(exif)
        for tag, value in own.items():
            tags[tag] = own.get_ifd(tag) if tag in (0x8769, 0x8825) else value
    kind = next(number for number, letter in _KINDS.items() if letter == samples.dtype.kind)
    for tag, value in {
        256: width,
        257: height,
        258: (samples.itemsize * 8,) * count,
        259: 8,
        262: _CMYK if is_cmyk else _RGB if count > 2 else _BLACK_IS_ZERO,
        # Pillow adds what comes before
        273: tuple(int(offset) for offset in np.cumsum([0, *sizes[:-1]])),
        277: count,
        278: rows,
        279: tuple(sizes),
        284: 1,
        339: (kind,) * count,
    }.items():
        tags[tag] = value
    if count in (2, 4) and not is_cmyk:
        tags[338] = _PREMULTIPLIED if premultiplied else _STRAIGHT
    for tag, content in ((700, xmp), (34675, profile)):
        if content:
            tags.tagtype[tag] = 7 if tag == 34675 else 1
            tags[tag] = content
    tags.tagtype[273] = tags.tagtype[279] = 4
    return b"".join((struct.pack("<2sHI", b"II", 42, 8), tags.tobytes(8), *strips))
