"""Image files in: opened, measured, found in folders, known by their bytes.

An *image* in limner is a ``PIL.Image.Image`` of mode RGB, 8 bits, sRGB, turned upright as its EXIF
says, with nothing attached (no profile, no EXIF). It is a view: what the file itself holds is a
:class:`limner.io.raster.Raster`, into which edits are put back. :func:`open_image` is the only
door, and it changes no global state of Pillow's.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from limner.errors import FileError, FileMissing, ImageError
from limner.io import limits
from limner.io.decode import decoding, identify
from limner.io.raster import Raster
from limner.io.read import raster_of, read, upright_wh
from limner.untrusted.regular_files import read_bytes

_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "HEIF": (".heic", ".heif"),
    "AVIF": (".avif",),
}
_FORMAT_OF_SUFFIX = {suffix: kind for kind, suffixes in _FORMATS.items() for suffix in suffixes}
SUFFIXES = tuple(_FORMAT_OF_SUFFIX)
"""File name endings that ``find_images`` looks for, in lower case."""


MAX_PIXELS, MOST_BYTES = limits.MAX_PIXELS, limits.MOST_BYTES


@dataclass(frozen=True)
class OpenedImage:
    """An image, and what a person should know of how it was read."""

    image: Image.Image
    """RGB, upright."""
    digest: str
    """sha256 of the file's bytes, in hexadecimal."""
    notes: tuple[str, ...]
    """Sentences, for example that a GIF has 12 frames of which the first was used."""
    format: str
    """What the bytes are, whatever the name says: JPEG, PNG, WEBP, TIFF, BMP, GIF, HEIF or AVIF."""
    path: Path | None
    """None when it was opened from bytes."""
    raster: Raster
    """All that the file holds, of which ``image`` is a view."""
    data: bytes = field(default=b"", repr=False)
    """The file's bytes."""


def open_image(
    source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS
) -> OpenedImage:
    """Read an image file, or the bytes of one.

    Args:
        max_pixels: width times height above which the file is refused before it is decoded.

    Raises:
        ImageError: no such file, not an image, damaged, or too large.
        MissingExtra: a HEIC picture, and ``limner[heif]`` is not installed.
    """
    path = None if isinstance(source, bytes) else Path(source)
    data = source if isinstance(source, bytes) else read_picture(Path(source))
    name = "The image" if path is None else str(path)
    kind = identify(data, name)
    notes: list[str] = []
    if path is not None and (claimed := _FORMAT_OF_SUFFIX.get(path.suffix.lower(), kind)) != kind:
        notes.append(f"{path.name} is named like a {claimed} file and holds a {kind} picture.")
    with decoding(name, kind):
        raster = read(data, name, kind, max_pixels, notes)
        image = raster.view()
    return OpenedImage(
        image, hashlib.sha256(data).hexdigest(), tuple(notes), kind, path, raster, data
    )


def upright_size(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of the image that ``open_image`` would give; no pixel is decoded.

    Raises:
        ImageError, MissingExtra: as ``open_image``.
    """
    return _size_of(read_picture(Path(path)), str(path), max_pixels)


def size_and_digest(
    path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS
) -> tuple[tuple[int, int], str]:
    """The size and the digest of ``open_image``, by one look at the file.

    Raises:
        ImageError, MissingExtra: as ``upright_size``.
    """
    data = read_picture(Path(path))
    return _size_of(data, str(path), max_pixels), hashlib.sha256(data).hexdigest()


def _size_of(data: bytes, name: str, max_pixels: int) -> tuple[int, int]:
    kind = identify(data, name)
    with decoding(name, kind):
        return upright_wh(data, name, kind, max_pixels)


def find_images(folder: str | os.PathLike[str], *, recursive: bool = False) -> list[Path]:
    """Image files of a folder by their suffix, sorted; hidden ones are left out.

    Raises:
        ImageError: no such folder, one that can't be read, or no image in it.
    """
    folder = Path(folder)
    try:
        if not folder.is_dir():
            raise ImageError(f"{folder} is no folder: expected a folder of images.")
        entries = list(folder.iterdir())  # rglob would pass over a folder that it can't read
        paths = sorted(
            path
            for path in (folder.rglob("*") if recursive else entries)
            if path.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and path.is_file()
        )
    except OSError as error:
        named = error.filename or folder
        raise ImageError(f"{named} can't be read: {error.strerror or error}.") from None
    if not paths:
        below = " or below it" if recursive else ""
        raise ImageError(f"There is no image in {folder}{below} ({', '.join(SUFFIXES)}).")
    return paths


_digests: ContextVar[dict[int, tuple[weakref.ref[Image.Image], str]] | None] = ContextVar(
    "digests", default=None
)
"""By a picture's id, what is known of pictures that still live; None: nothing is kept."""


@contextmanager
def digests_kept() -> Iterator[None]:
    """Hash each picture once, for as long as this lasts. None may be changed in place meanwhile."""
    if _digests.get() is not None:
        yield
        return
    token = _digests.set({})
    try:
        yield
    finally:
        _digests.reset(token)


_HASHED_AT_ONCE = 1 << 22
"""Pixels."""


def digest(image: Image.Image) -> str:
    """sha256 of an image's size and RGB bytes, in hexadecimal; see ``digests_kept``.

    Raises:
        ImageError: the mode is not RGB.
    """
    if image.mode != "RGB":
        raise ImageError(f"An image here is of mode RGB, got {image.mode}: use open_image.")
    known = _digests.get()
    if known is not None and id(image) in known:
        reference, digest_then = known[id(image)]
        if reference() is image:
            return digest_then
    sha = hashlib.sha256(f"{image.width}x{image.height} RGB ".encode())
    rows = max(1, _HASHED_AT_ONCE // image.width)
    for top in range(0, image.height, rows):  # no copy of the whole
        sha.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    computed = sha.hexdigest()
    if known is not None:
        known[id(image)] = weakref.ref(image), computed
    return computed


def read_picture(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        ImageError: no such file, no regular one, or one that can't be read.
    """
    try:
        return read_bytes(path, limit=MOST_BYTES, what="picture")
    except FileMissing:
        if str(path).startswith(("http:/", "https:/")):
            hint = "limner reads files: download the picture first"
        else:
            hint = "check the name and the folder"
        raise ImageError(f"There is no file {path}: {hint}.") from None
    except FileError as error:
        raise ImageError(str(error)) from None


def to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """An image of any mode as its 8-bit sRGB view."""
    return raster_of(image, notes).view()
