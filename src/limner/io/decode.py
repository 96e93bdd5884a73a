"""What a file's bytes are, which of Pillow's classes reads them, and without Pillow's warnings.

Shared by whatever opens image files. Pillow is asked class by class, because ``Image.open`` would
try formats that run other programs (EPS), would apply ``MAX_IMAGE_PIXELS``, a global, and would
warn.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from limner.errors import ImageError, LimnerError, MissingExtra

Decoder = Callable[[io.BytesIO], ImageFile.ImageFile]

_MAGIC: tuple[tuple[str, bytes], ...] = (
    ("JPEG", b"\xff\xd8\xff"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF8"),
    ("BMP", b"BM"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("TIFF", b"II+\0"),
    ("TIFF", b"MM\0+"),
)
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_DECODERS: dict[str, Decoder] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_NOT_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"),
    (b"%PDF", "a PDF: export its page as PNG"),
    (b"<svg", "an SVG drawing: export it as PNG"),
    (b"<!doctype html", "a web page: download the picture itself"),
    (b"<html", "a web page: download the picture itself"),
    (b"8BPS", "a Photoshop file: export it as PNG"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
)


def identify(data: bytes, name: str) -> str:
    """The format that the bytes begin like, whatever the file's name says.

    Args:
        name: what the file is called in the error's sentence.

    Raises:
        ImageError: empty, or no format that limner reads.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes): copy or download it again.")
    for kind, magic in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = [data[8:12], *(data[i : i + 4] for i in range(16, end, 4))]
        if brands[0] in (b"avif", b"avis") or (brands[0] == b"mif1" and b"avif" in brands):
            return "AVIF"
        if _HEIF_BRANDS.intersection(brands):
            return "HEIF"
    start = data[:256].lstrip().lower()
    for magic, what in _NOT_IMAGES:
        if start.startswith(magic.lower()) or data.startswith(magic):
            raise ImageError(f"{name} is no image but {what}.")
    looks = "text" if b"\0" not in data[:1024] and data[:1024].isascii() else "something else"
    raise ImageError(
        f"{name} is no image that limner reads: expected JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC or "
        f"AVIF, got {looks}; open it in an image program and save it as PNG."
    )


def decoder_of(kind: str, name: str) -> Decoder:
    """Pillow's class for a format, by the name that ``identify`` gave.

    Raises:
        MissingExtra: HEIC, and pillow-heif is not installed.
    """
    if kind != "HEIF":
        return _DECODERS[kind]
    try:
        import pillow_heif
    except ImportError:
        raise MissingExtra(
            f"{name} is a HEIC picture, which needs an extra package: pip install 'limner[heif]'."
        ) from None
    decoder: Decoder = pillow_heif.HeifImageFile
    return decoder


def bit_depth(data: bytes, kind: str, file: ImageFile.ImageFile) -> int:
    """Bits of each value in a file of which Pillow may give 8."""
    if kind == "PNG":
        return data[24]
    if kind == "HEIF":
        return int(file.info.get("bit_depth", 8))
    if kind == "AVIF" and (at := data[:4096].find(b"av1C")) > 0:
        return (8, 8, 10, 12)[data[at + 6] >> 5 & 3]  # high_bitdepth, twelve_bit
    return 8


def png_16(data: bytes) -> npt.NDArray[np.uint16]:
    """(H, W, C) values of a PNG of 16 bits, which Pillow would cut to 8; C as in ``Raster``.

    Raises:
        ValueError: OpenCV can't decode it.
    """
    import cv2

    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise ValueError("its 16-bit values can't be decoded")
    if values.ndim == 2:
        return np.asarray(values[..., None], np.uint16)
    order = [2, 1, 0, 3][: values.shape[2]]
    if data[25] in (0, 4):  # grey: OpenCV gives it in three equal bands
        order = [0, 3] if values.shape[2] == 4 else [0]
    return np.asarray(values[..., order], np.uint16)


@contextmanager
def decoding(name: str, kind: str) -> Iterator[None]:
    """Whatever a decoder throws at bytes it can't read becomes one ``ImageError``."""
    try:
        with _pillow_is_quiet():
            yield
    except (LimnerError, MemoryError):  # memory that ran out says nothing of the file
        raise
    except Image.DecompressionBombError:
        raise ImageError(
            f"{name} has more pixels than Pillow decodes from a {kind} file "
            f"({2 * (Image.MAX_IMAGE_PIXELS or 0):,}): make it smaller."
        ) from None
    # Decoders raise OSError, SyntaxError, struct.error, KeyError, zlib.error, ... for damage.
    except Exception as error:
        why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ImageError(
            f"{name} begins like a {kind} picture but is damaged or cut off ({why}): "
            "copy, download or export it again."
        ) from error


_quiet_lock = threading.Lock()
_quiet_stack = ExitStack()
_quiet_users = 0


@contextmanager
def _pillow_is_quiet() -> Iterator[None]:
    """Drop warnings raised inside Pillow; those of other modules pass.

    The filters of ``warnings`` belong to the process, so threads that decode at the same time share
    one change: the first to enter makes it and the last to leave takes it back.
    """
    global _quiet_users
    with _quiet_lock:
        if _quiet_users == 0:
            _quiet_stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.|pillow_heif")
        _quiet_users += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_users -= 1
            if _quiet_users == 0:
                _quiet_stack.close()
