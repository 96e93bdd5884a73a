"""Image files in, and the pixels of an edit: open, crop, paste back.

An *image* in limner is a ``PIL.Image.Image`` of mode RGB, 8 bits, sRGB, turned upright as its EXIF
says, with nothing attached (no profile, no EXIF). It is a view: what the file itself holds is a
:class:`limner.raster.Raster`, into which edits are put back. :func:`open_image` is the only door,
and it changes no global state of Pillow's.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.decoding import decoding, identify
from limner.errors import FileError, FileMissing, ImageError, PromptError
from limner.prompts import BoolMask
from limner.raster import IntBox as IntBox
from limner.raster import Raster
from limner.reading import raster_of, read, upright_wh
from limner.regular_files import read_bytes

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


MAX_PIXELS = 100_000_000
"""Larger images are refused from their header, before anything is decoded."""
MOST_BYTES = 2_000_000_000
"""Of a picture's file: 64 bits for each of those pixels, and twice that for what else it holds."""


@dataclass(frozen=True)
class Opened:
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


def open_image(source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS) -> Opened:
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
    return Opened(image, hashlib.sha256(data).hexdigest(), tuple(notes), kind, path, raster)


def upright_size(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of the image that ``open_image`` would give; no pixel is decoded.

    Raises:
        ImageError, MissingExtra: as ``open_image``.
    """
    data, name = read_picture(Path(path)), str(path)
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
        found = sorted(
            path
            for path in (folder.rglob("*") if recursive else entries)
            if path.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and path.is_file()
        )
    except OSError as error:
        named = error.filename or folder
        raise ImageError(f"{named} can't be read: {error.strerror or error}.") from None
    if not found:
        below = " or below it" if recursive else ""
        raise ImageError(f"There is no image in {folder}{below} ({', '.join(SUFFIXES)}).")
    return found


def digest(image: Image.Image) -> str:
    """sha256 of an image's size and RGB bytes, in hexadecimal.

    Raises:
        ImageError: the mode is not RGB.
    """
    if image.mode != "RGB":
        raise ImageError(f"An image here is of mode RGB, got {image.mode}: use open_image.")
    return hashlib.sha256(
        f"{image.width}x{image.height} RGB ".encode() + image.tobytes()
    ).hexdigest()


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


# The crop of an edit --------------------------------------------------------------------------


def crop_around(
    mask: BoolMask,
    *,
    context: float,
    grid: int,
    minimum: int | None = None,
    size_wh: tuple[int, int] | None = None,
) -> IntBox:
    """The part of the image that an edit of ``mask`` works on.

    The mask's bounding box, grown on every side by ``context`` times its longer side. It is moved
    to lie inside the image before it is made smaller, and its sides are multiples of ``grid`` where
    image and mask allow that, so that the model can see it unscaled.

    Args:
        mask: (H, W) bool over the whole image.
        minimum: least length of a side in pixels, where the image is that large.
        size_wh: the image's size, checked against the mask's when given.

    Raises:
        PromptError: the mask is empty, or of another size than the image.
    """
    height, width = mask.shape
    if size_wh not in (None, (width, height)):
        raise PromptError(
            f"The mask is {width}x{height} pixels and the image {size_wh[0]}x{size_wh[1]}: "
            "a mask covers the whole image, pixel for pixel."
        )
    if not mask.any():
        raise PromptError("The mask is empty: there is nothing to crop around.")
    spans = [np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1)]
    (x0, x1), (y0, y1) = [(int(span[0]), int(span[-1]) + 1) for span in spans]
    return crop_around_box(
        (x0, y0, x1, y1), (width, height), context=context, grid=grid, minimum=minimum
    )


def crop_around_box(
    box: IntBox, size_wh: tuple[int, int], *, context: float, grid: int, minimum: int | None = None
) -> IntBox:
    """``crop_around`` for a mask whose bounding box is known."""
    x0, y0, x1, y1 = box
    width, height = size_wh
    margin = context * max(x1 - x0, y1 - y0)
    left, right = _span(x0, x1, margin, grid, minimum or 0, width)
    top, bottom = _span(y0, y1, margin, grid, minimum or 0, height)
    return left, top, right, bottom


def _span(
    low: int, high: int, margin: float, grid: int, minimum: int, side: int
) -> tuple[int, int]:
    """One axis of ``crop_around``: ``[low, high)`` grown, within ``[0, side)``."""
    wanted = max(high - low + 2 * margin, minimum)
    length = math.ceil(wanted / grid) * grid
    if length > side:
        largest = side // grid * grid
        length = largest if largest >= high - low and largest > 0 else side
    start = math.floor((low + high - length) / 2)
    start = min(max(start, 0), side - length)
    return start, start + length


def working_size(crop_wh: tuple[int, int], grid: int, native_size: int | None) -> tuple[int, int]:
    """The size at which a model sees a crop: multiples of ``grid``, its aspect ratio kept.

    With a ``native_size`` the area comes near ``native_size ** 2``, smaller crops enlarged too (a
    diffusion model paints a 400 px crop better at its own 512), and no side exceeds twice the
    native one. Without, the crop is never enlarged, unless a side is shorter than ``grid``.
    """
    if native_size is None:
        width, height = (max(grid, side // grid * grid) for side in crop_wh)
        return width, height
    scale = min(native_size / math.sqrt(math.prod(crop_wh)), 2 * native_size / max(crop_wh))
    width, height = (max(grid, round(side * scale / grid) * grid) for side in crop_wh)
    return width, height


def composite(
    original: Image.Image, painted: Image.Image, alpha: npt.NDArray[np.floating], box: IntBox
) -> Image.Image:
    """Paste a painted crop back: ``original + alpha * (painted - original)``, rounded to nearest.

    Where ``alpha`` is 0 the original's bytes stay, exactly; where it is 1 the painted ones come.

    Args:
        original: RGB.
        painted: RGB, what the model made of the crop; resized (Lanczos) when not of its size.
        alpha: (H, W) in 0–1 over the whole original, 0 outside ``box``.

    Raises:
        ImageError: images that are not RGB, or an alpha or box that doesn't fit the original.
    """
    x0, y0, x1, y1 = box
    width, height = original.size
    if original.mode != "RGB" or painted.mode != "RGB":
        raise ImageError(f"Expected two RGB images, got {original.mode} and {painted.mode}.")
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ImageError(f"The box {x0},{y0},{x1},{y1} leaves the image of {width}x{height}.")
    if alpha.shape != (height, width):
        raise ImageError(f"Expected an alpha of shape {(height, width)}, got {alpha.shape}.")
    inside = np.asarray(alpha[y0:y1, x0:x1], dtype=np.float32)[..., None]
    if not (inside.min() >= 0 and inside.max() <= 1):
        raise ImageError("Expected an alpha between 0 and 1.")
    if np.count_nonzero(inside) != np.count_nonzero(alpha):
        raise ImageError(f"The alpha is not 0 everywhere outside the box {x0},{y0},{x1},{y1}.")
    if painted.size != (x1 - x0, y1 - y0):
        painted = painted.resize((x1 - x0, y1 - y0), Image.Resampling.LANCZOS)
    pixels = np.array(original)
    before = pixels[y0:y1, x0:x1].astype(np.float32)
    mixed = before + inside * (np.asarray(painted, dtype=np.float32) - before)
    pixels[y0:y1, x0:x1] = np.floor(mixed + 0.5).astype(np.uint8)
    return Image.fromarray(pixels)
