"""Image files in, and the pixels of an edit: open, crop, paste back.

An *image* in limner is a ``PIL.Image.Image`` of mode RGB, 8 bits, sRGB, turned upright as its EXIF
says, with nothing attached (no profile, no EXIF). :func:`open_image` is the only door, and it
changes no global state of Pillow's. What becomes RGB how:

================== ===========================================================================
transparent pixels laid on white
embedded profile   converted to sRGB; a broken one is ignored, and a note says so
16 and 32 bits,    whole numbers all within 0–255 are taken as they are; anything else is stretched
floats (one band)  so that the least value is 0 and the greatest 255 (NaN and infinity: 0)
several frames     the first one (HEIC: the main picture)
================== ===========================================================================
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile

from limner.decoding import decoder_of, decoding, identify
from limner.errors import FileError, FileMissing, ImageError, PromptError
from limner.prompts import BoolMask, RgbArray
from limner.regular_files import read_bytes

IntBox = tuple[int, int, int, int]
"""(x0, y0, x1, y1) whole pixels, right and bottom excluded."""

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
    notes = []
    if path is not None and (claimed := _FORMAT_OF_SUFFIX.get(path.suffix.lower(), kind)) != kind:
        notes.append(f"{path.name} is named like a {claimed} file and holds a {kind} picture.")
    with decoding(name, kind):
        file = decoder_of(kind, name)(io.BytesIO(data))
        _check_size(file.size, max_pixels, name)
        frames = getattr(file, "n_frames", 1)
        if frames > 1:
            which = "main" if kind == "HEIF" else "first"
            notes.append(f"{name} holds {frames} pictures; the {which} one was used.")
        file.load()
        image = to_rgb(_upright(file, notes), notes)
    return Opened(image, hashlib.sha256(data).hexdigest(), tuple(notes), kind, path)


def upright_size(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of the image that ``open_image`` would give; no pixel is decoded.

    Raises:
        ImageError, MissingExtra: as ``open_image``.
    """
    data, name = read_picture(Path(path)), str(path)
    kind = identify(data, name)
    with decoding(name, kind):
        file = decoder_of(kind, name)(io.BytesIO(data))
        _check_size(file.size, max_pixels, name)
        width, height = file.size
        try:
            turned = file.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
        except Exception:  # as in _upright
            turned = False
    # TIFF's reader gives the upright size before it has turned anything.
    return (height, width) if turned and kind != "TIFF" else (width, height)


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


def _check_size(size_wh: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size_wh
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width}x{height} pixels: there is nothing to see in it.")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height} = {width * height:,} pixels and the limit is "
            f"{max_pixels:,}: make it smaller, or raise max_pixels if you trust the file."
        )


# Upright, RGB, sRGB ---------------------------------------------------------------------------

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_SIDEWAYS = (5, 6, 7, 8)
"""Orientations whose upright width is the height in the file."""


def _upright(file: ImageFile.ImageFile, notes: list[str]) -> Image.Image:
    """A loaded image, turned. TIFF's loader has turned it and removed the tag already."""
    try:
        orientation = file.getexif().get(_ORIENTATION, 1)
    except Exception:  # EXIF is a foreign binary format inside: whatever is wrong, the pixels stand
        notes.append("Its EXIF block is broken and was ignored, so it may lie on its side.")
        return file
    turn = _TURNS.get(orientation)
    return file if turn is None else file.transpose(turn)


def to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """An image of any mode as RGB, without its metadata; what a person should know goes to notes.

    Transparent parts are laid on white, wide numbers stretched to 8 bits, profiles made sRGB.
    """
    alpha = None
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        colour = _stretched(image, notes)
    elif image.mode in ("LA", "La"):
        colour, alpha = image.convert("LA").split()
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        colour, alpha = rgba.convert("RGB"), rgba.getchannel("A")
    elif image.mode in ("L", "RGB", "CMYK", "LAB"):
        colour = image
    else:
        colour = image.convert("L" if image.mode == "1" else "RGB")
    colour = _to_srgb(colour, profile, notes)
    if alpha is not None and alpha.getextrema()[0] != 255:
        notes.append("Its transparent parts were laid on white.")
        colour = Image.composite(colour, Image.new("RGB", colour.size, "white"), alpha)
    plain = colour.copy()
    plain.info = {}
    return plain


def _stretched(image: Image.Image, notes: list[str]) -> Image.Image:
    """One wide band to 8 bits, by the rule in the module's docstring."""
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if image.mode == "F" or low < 0 or high > 255:
        notes.append(f"Its values, {low:g} to {high:g}, were stretched to 0–255.")
        values = (values - low) * (255 / (high - low) if high > low else 0.0)
    values = np.where(np.isfinite(values), values, 0.0)
    return Image.fromarray(np.rint(values).astype(np.uint8))


def _to_srgb(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """``L``, ``RGB``, ``CMYK`` or ``LAB`` to RGB through the embedded profile, if it is sound."""
    spaces = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK", "LAB": "Lab "}
    profile: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
    if profile is None and not icc:
        return image.convert("RGB")
    try:
        if profile is None:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc or b""))
            if profile.profile.xcolor_space != spaces[image.mode]:
                raise ValueError(f"made for {profile.profile.xcolor_space.strip()}")
        # A profile may read well and lack the tables that a transform is made of.
        srgb = ImageCms.createProfile("sRGB")
        to_srgb = ImageCms.buildTransform(profile, srgb, image.mode, "RGB")
    except (OSError, ValueError, ImageCms.PyCMSError):
        notes.append("Its colour profile is broken and was ignored: colours are read as sRGB.")
        return image.convert("RGB")
    if image.mode in _LATTICES and _changes_nothing(to_srgb, _LATTICES[image.mode]):
        return image.convert("RGB")
    return to_srgb.apply(image)


_STEPS = np.arange(0, 256, 15, dtype=np.uint8)
_LATTICES = {
    "L": _STEPS.reshape(1, -1),
    "RGB": np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), axis=-1).reshape(1, -1, 3),
}
"""By mode: colours spread over all that there are, as an image of one row."""


def _changes_nothing(transform: ImageCms.ImageCmsTransform, colours: RgbArray) -> bool:
    """Whether it moves no colour by more than 2 of 255: sRGB under one of its many names.

    Such an image keeps its bytes, so that what limner leaves alone stays exactly as it was.
    """
    before = Image.fromarray(colours)
    after = np.asarray(transform.apply(before), np.int16)
    return bool(np.abs(after - np.asarray(before.convert("RGB"), np.int16)).max() <= 2)


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
