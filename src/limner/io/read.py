"""From a file's bytes to its values, upright: whatever depth, space and transparency they have.

What an 8-bit sRGB view (``Raster.view``) shows of them:

================== ===========================================================================
transparent pixels laid on white
embedded profile   converted to sRGB; a broken one is ignored, and a note says so
16 bits            65,535 is white; where no value needs more than 8, 10, 12 or 14 bits the greatest
                   number of so many bits, and a note says so
other whole        all within 0–255 are taken as they are; anything else is stretched so that the
numbers, floats    least value is 0 and the greatest 255 (NaN: 0); RGB floats within 0–1 as they are
several frames     the first one (HEIC: the main picture)
several bands      the first three, as RGB; a note says so
================== ===========================================================================
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from limner.errors import ImageError
from limner.io import colour
from limner.io.decode import bit_depth, decoder_of, png_16
from limner.io.metadata import portable_exif
from limner.io.raster import Raster


def read(data: bytes, name: str, kind: str, max_pixels: int, notes: list[str]) -> Raster:
    """The values of a picture.

    Args:
        kind: its format, as ``decode.identify`` gives it.
        notes: gets what a person should know of how it was read.

    Raises:
        ImageError: more pixels than ``max_pixels``, or a kind of TIFF that isn't read here.
        Exception: whatever a decoder raises for damage; see ``decode.decoding``.
    """
    if kind == "TIFF" and (raster := _read_tiff(data, name, max_pixels, notes)) is not None:
        return raster
    return _read_picture(data, name, kind, max_pixels, notes)


def upright_wh(data: bytes, name: str, kind: str, max_pixels: int) -> tuple[int, int]:
    """(width, height) of what ``read`` would give; no pixel is decoded. Raises as it does."""
    if kind == "TIFF":
        from limner.io import tiff

        (width, height), orientation = tiff.size_of(data)
    else:
        file = decoder_of(kind, name)(io.BytesIO(data))
        width, height = file.size
        orientation = _orientation(file, [])
    _check_size((width, height), max_pixels, name)
    return (height, width) if orientation in _SIDEWAYS else (width, height)


def _read_picture(data: bytes, name: str, kind: str, max_pixels: int, notes: list[str]) -> Raster:
    file = decoder_of(kind, name)(io.BytesIO(data))
    _check_size(file.size, max_pixels, name)
    frames = getattr(file, "n_frames", 1)
    if frames > 1:
        which = "main" if kind == "HEIF" else "first"
        notes.append(f"{name} holds {frames} pictures; the {which} one was used.")
    file.load()  # what is damaged is noticed here
    exif, profile = portable_exif(file), file.info.get("icc_profile")
    if kind == "PNG" and bit_depth(data, kind, file) == 16:
        orientation = _orientation(file, notes)
        del file
        samples = _turned(png_16(data), orientation)
        return replace(_deep(samples, profile, notes), exif=exif)
    raster = replace(raster_of(_upright(file, notes), notes), exif=exif)
    bits = bit_depth(data, kind, file)
    if bits > 8 and isinstance(raster.pixels, Image.Image):
        notes.append(f"Its {bits} bits a value were read as 8.")
        raster = replace(raster, lost=(*raster.lost, f"its {bits} bits became 8"))
    return raster


def _read_tiff(data: bytes, name: str, max_pixels: int, notes: list[str]) -> Raster | None:
    """A TIFF that Pillow would cut down or can't read; None for all others."""
    from limner.io import tiff

    bands = tiff.read(data, name, lambda size_wh: _check_size(size_wh, max_pixels, name))
    if bands is None:
        return None
    if bands.pages > 1:
        notes.append(f"{name} holds {bands.pages} pictures; the first one was used.")
    lost: tuple[str, ...] = ()
    if bands.dropped:
        which = "band was" if bands.dropped == 1 else f"{bands.dropped} bands were"
        notes.append(f"Its last {which} not read, and results don't hold them.")
        lost = (f"{bands.dropped} of its bands were left out",)
    samples = _turned(bands.samples, bands.orientation)
    raster = _deep(samples, bands.profile, notes, premultiplied=bands.premultiplied, lost=lost)
    with contextlib.suppress(Exception):  # Pillow knows no such picture, or its EXIF is broken
        return replace(raster, exif=portable_exif(decoder_of("TIFF", name)(io.BytesIO(data))))
    return raster


def _check_size(size_wh: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size_wh
    if width < 1 or height < 1:
        raise ImageError(f"{name} is {width}x{height} pixels: there is nothing to see in it.")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height} = {width * height:,} pixels and the limit is "
            f"{max_pixels:,}: make it smaller, or raise max_pixels if you trust the file."
        )


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


def _orientation(file: Image.Image, notes: list[str]) -> int:
    """TIFF's loader has turned the picture and removed the tag already."""
    try:
        return int(file.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is a foreign binary format inside: whatever is wrong, the pixels stand
        notes.append("Its EXIF block is broken and was ignored, so it may lie on its side.")
        return 1


def _upright(file: ImageFile.ImageFile, notes: list[str]) -> Image.Image:
    """A loaded image, turned."""
    turn = _TURNS.get(_orientation(file, notes))
    return file if turn is None else file.transpose(turn)


def _turned(samples: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """(H, W, C), turned as ``_TURNS`` does."""
    if orientation in _SIDEWAYS:
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def raster_of(image: Image.Image, notes: list[str]) -> Raster:
    """A picture of any of Pillow's modes as its values; what a person should know goes to notes."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        return _deep(values.astype(values.dtype.newbyteorder("="))[..., None], profile, notes)
    if image.mode in ("LA", "La"):
        pixels = image.convert("LA")
    elif image.has_transparency_data:
        pixels = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
    elif image.mode in ("L", "RGB", "CMYK", "LAB"):
        pixels = image
    else:
        pixels = image.convert("L" if image.mode == "1" else "RGB")
    pixels = pixels.copy()
    pixels.info = {}
    return _in_its_space(Raster(pixels), profile, notes)


def _in_its_space(raster: Raster, profile: bytes | None, notes: list[str]) -> Raster:
    """With its profile, if it is sound; one that can't be written into makes it sRGB, aloud."""
    probe = Image.new(raster.colour_mode, (1, 1))
    _, profile, is_srgb = colour.to_srgb(probe, profile, notes)
    if raster.has_alpha and _least_alpha(raster) < raster.levels[1]:
        notes.append("Models see its transparent parts on white.")
    own = replace(raster, profile=profile, is_srgb=is_srgb)
    if is_srgb or colour.can_return(profile, raster.colour_mode):
        return own
    notes.append("Its colour profile only reads colours: results are in sRGB.")
    rgb = own.rgba() if raster.has_alpha else own.view()
    return Raster(rgb, lost=("its colours became sRGB",))


def _least_alpha(raster: Raster) -> float:
    if isinstance(raster.pixels, Image.Image):
        return float(np.asarray(raster.pixels.getchannel("A")).min())
    return float(raster.pixels[..., -1].min())


def _deep(
    samples: npt.NDArray[Any],
    profile: bytes | None,
    notes: list[str],
    *,
    premultiplied: bool = False,
    lost: tuple[str, ...] = (),
) -> Raster:
    """(H, W, C) values of any type, by the rules in the module's docstring."""
    if samples.dtype == np.uint8:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
        size = (samples.shape[1], samples.shape[0])
        pixels = Image.frombytes(mode, size, samples.tobytes())
        raster = Raster(pixels, premultiplied=premultiplied, lost=lost)
        return _in_its_space(raster, profile, notes)
    has_alpha = samples.shape[2] in (2, 4)
    if has_alpha and samples.dtype != np.uint16:
        notes.append(f"The transparency of {samples.dtype} values isn't read.")
        samples, premultiplied = np.ascontiguousarray(samples[..., :-1]), False
        has_alpha, lost = False, (*lost, "its transparency was left out")
    levels = _levels(samples, has_alpha, notes)
    raster = Raster(samples, levels=levels, premultiplied=premultiplied, lost=lost)
    return _in_its_space(raster, profile, notes)


def _levels(samples: npt.NDArray[Any], has_alpha: bool, notes: list[str]) -> tuple[float, float]:
    """What is black and what is white."""
    if samples.dtype == np.uint16:
        if has_alpha:  # its white is what is opaque
            return 0.0, 65535.0
        top = int(samples.max())
        bits = next(bits for bits in (8, 10, 12, 14, 16) if top < 1 << bits)
        if bits < 16:
            notes.append(
                f"Its 16-bit values reach {top:,}: they are read as {bits} bits, "
                f"{(1 << bits) - 1:,} is white."
            )
        return 0.0, float((1 << bits) - 1)
    finite = samples[np.isfinite(samples)] if samples.dtype.kind == "f" else samples.reshape(-1)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if samples.dtype.kind == "f" and samples.shape[2] == 3 and low >= 0 and high <= 1:
        return 0.0, 1.0
    if samples.dtype.kind in "iu" and low >= 0 and high <= 255:
        return 0.0, 255.0
    notes.append(f"Its values, {low:g} to {high:g}, were stretched to 0–255.")
    return low, high if high > low else low + 1
