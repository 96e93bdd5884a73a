"""Files out: whole or not at all, and a picture carries the record of how it was made.

The record is JSON. It lies in the picture's XMP packet, as ``limner:record``, where exiftool and
other readers of metadata find it; in PNG also as plain text, in an iTXt chunk named "limner". A
JPEG's packet ends at 64 kB: a longer record continues in further segments (ExtendedXMP, of the XMP
specification's part 3).
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin

from limner.errors import FileError, ImageError, OutputError
from limner.home import temporary_name
from limner.io.decode import decoder_of, decoding, identify
from limner.io.formats import FORMATS, fit
from limner.io.images import read_picture
from limner.io.raster import Raster, Samples
from limner.untrusted.json_toml import parse_json
from limner.untrusted.plain_text import visible_page

_HOW: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True, "exact": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
"""What Pillow is told. All but JPEG keep every value, so that what an edit left alone stays so;
WebP changes colours under alpha 0 unless it is told to be exact."""


def save_image(
    image: Image.Image | Raster,
    path: str | os.PathLike[str],
    *,
    record: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a picture in the format that its suffix says: png, jpg, webp or tiff.

    Args:
        image: a ``Raster`` is written with its depth, profile, transparency and EXIF, as far as the
            format holds them: ``formats.fit`` says what it doesn't.
        record: how it was made, as JSON values; read back by ``read_record``.

    Raises:
        OutputError: the place is taken or can't be written, or the format can't hold the picture.
    """
    path = Path(path)
    kind = _format_of(path)
    if isinstance(image, Raster):
        raster, _ = fit(image, kind)
    elif kind == "JPEG" and image.mode not in ("RGB", "L", "CMYK"):
        raise OutputError(
            f"{path} would be a JPEG, which holds no {image.mode} picture"
            + (" (no transparency)" if image.has_transparency_data else "")
            + ": save it as .png."
        )
    else:
        raster = Raster(image)
    _check_free(path, overwrite)  # before the work of encoding
    packets = _packets(kind, path, record)
    # Pillow writes neither EXIF into a packed TIFF nor colours multiplied by their alpha.
    by_us = raster.premultiplied or (kind == "TIFF" and raster.exif and raster.mode != "LAB")
    if isinstance(raster.pixels, Image.Image) and not by_us:
        data = _encoded(raster.pixels, kind, packets, raster)
    elif kind == "PNG":
        data = _png_16(raster.window((0, 0, *raster.size)), packets, raster)
    else:
        data = _tiff(raster.window((0, 0, *raster.size)), packets, raster)
    write_atomic(path, data, overwrite=overwrite)
    return path


def check_place(path: Path, overwrite: bool) -> None:
    """Whether a picture could be saved here: known before it is made.

    Raises:
        OutputError: as ``save_image``, of the place and its suffix.
    """
    _format_of(path)
    _check_free(path, overwrite)


def _format_of(path: Path) -> str:
    if (kind := FORMATS.get(path.suffix.lower())) is None:
        raise OutputError(
            f"{path} ends in {path.suffix or 'no suffix'}: pictures are saved as "
            f"{', '.join(FORMATS)}."
        )
    return kind


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record inside a picture that ``save_image`` wrote; None when it carries none.

    Raises:
        ImageError: no such file, no image, or a record that is damaged.
    """
    return record_in(read_picture(Path(path)), str(path))


def record_in(data: bytes, path: str) -> dict[str, Any] | None:
    """The same of a file's bytes; ``path`` is what a complaint names.

    Raises:
        ImageError: as ``read_record``.
    """
    kind = identify(data, path)
    with decoding(path, kind):
        text, packet, continued = _metadata(data, kind, path)
    try:
        text = text or _record_in(packet) or _record_in(_joined_extension(packet, continued))
        record = None if text is None else parse_json(text, "its JSON", ours=True)
    except (ElementTree.ParseError, ValueError, FileError) as error:
        raise ImageError(f"The record in {path} is damaged ({error}).") from None
    if record is not None and not isinstance(record, dict):
        raise ImageError(f"The record in {path} is damaged (it is no JSON object).")
    return record


def _metadata(
    data: bytes, kind: str, name: str
) -> tuple[str | None, bytes, list[tuple[str, bytes]]]:
    """A record as text, the XMP packet, and the segments that may continue that."""
    try:
        file = decoder_of(kind, name)(io.BytesIO(data))  # the header only: no pixel is decoded
    except SyntaxError:
        if kind != "TIFF":  # Pillow has no mode for some
            raise
        from limner.io import tiff

        return None, tiff.packet(data), []
    text = file.info.get("limner") if kind == "PNG" else None
    continued = file.applist if isinstance(file, JpegImagePlugin.JpegImageFile) else []
    return text, file.info.get("xmp", b""), continued


def write_atomic(
    path: str | os.PathLike[str], data: bytes | str, *, overwrite: bool = False
) -> Path:
    """Write a file so that nobody ever sees half of it; its folder is made if need be.

    The bytes go to a temporary file beside it, reach the disk, and take the name in one step. When
    anything fails, what was there before is untouched and the temporary file is gone.

    Raises:
        OutputError: the place is taken or can't be written.
    """
    path = Path(path)
    if isinstance(data, str) and path.suffix == ".html":
        data = visible_page(data)
    _check_free(path, overwrite)
    target = Path(os.path.realpath(path))  # a link keeps pointing, its target is replaced
    temporary = target.parent / temporary_name()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                file.write(data.encode("utf-8") if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path} can't be written: {_reason(error, target)}.") from error
    return path


def _check_free(path: Path, overwrite: bool) -> None:
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder: name a file in it.")
        if not overwrite and os.path.lexists(path):
            raise OutputError(f"{path} exists: pass --overwrite or another --out.")
    except OSError as error:
        raise OutputError(f"{path} can't be written: {_reason(error, path)}.") from error


def _reason(error: OSError, target: Path) -> str:
    folder = target.parent
    reasons = {
        errno.EACCES: f"no permission to write in {folder}; choose another --out",
        errno.EPERM: f"no permission to write in {folder}; choose another --out",
        errno.EROFS: f"{folder} is read-only; choose another --out",
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "your quota on this disk is used up",
        errno.ENOTDIR: "a part of its path is a file, not a folder",
        errno.EEXIST: "a part of its path is a file, not a folder",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return reasons.get(error.errno or 0) or error.strerror or str(error)


@dataclass(frozen=True)
class _Packets:
    """A record in the forms that a format takes; all empty without one."""

    text: str = ""
    packet: bytes = b""
    extension: bytes = b""


def _packets(kind: str, path: Path, record: Mapping[str, Any] | None) -> _Packets:
    if record is None:
        return _Packets()
    try:  # ASCII, because XML and PNG each bar some characters that JSON strings may hold
        text = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise OutputError(f"The record of {path} is not made of JSON values: {error}.") from None
    packet, extension = _packet(text), b""
    if kind == "JPEG" and len(packet) > _MOST_IN_A_SEGMENT:
        packet, extension = _split_packet(text)
    return _Packets(text, packet, extension)


def _text_chunks(packets: _Packets) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    if packets.text:
        chunks.add_itxt("limner", packets.text)
        chunks.add_itxt("XML:com.adobe.xmp", packets.packet.decode("ascii"))
    return chunks


def _encoded(image: Image.Image, kind: str, packets: _Packets, raster: Raster) -> bytes:
    settings = dict(_HOW[kind])
    if packets.packet and kind == "PNG":
        settings["pnginfo"] = _text_chunks(packets)
    elif packets.packet and kind == "TIFF":
        settings["tiffinfo"] = {_TIFF_XMP: packets.packet}
    elif packets.packet:
        settings["xmp"] = packets.packet
    if raster.profile:
        settings["icc_profile"] = raster.profile
    if raster.exif and kind != "TIFF":
        settings["exif"] = raster.exif
    buffer = io.BytesIO()
    try:
        image.save(buffer, format=kind, **settings)
    except (OSError, ValueError) as error:
        width, height = image.size
        raise OutputError(
            f"A {image.mode} picture of {width}x{height} pixels can't be saved as {kind} "
            f"({error}): try .png."
        ) from error
    data = buffer.getvalue()
    return _with_extension(data, packets.extension) if packets.extension else data


def _png_16(values: Samples, packets: _Packets, raster: Raster) -> bytes:
    """(H, W, C) uint16 as PNG. Greys with alpha become RGB with alpha: OpenCV writes no others."""
    import cv2

    if values.shape[2] == 2:
        values = values[..., [0, 0, 0, 1]]
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[values.shape[2]]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(values[..., order]))
    if not done:
        raise OutputError("A picture of 16 bits can't be saved as PNG: try .tif.")
    chunks = []
    if raster.profile:
        chunks.append((b"iCCP", b"ICC\0\0" + zlib.compress(raster.profile)))
    if raster.exif:
        chunks.append((b"eXIf", raster.exif.removeprefix(b"Exif\0\0")))
    chunks += [(name, content) for name, content, *_ in _text_chunks(packets).chunks]
    data = encoded.tobytes()
    return b"".join((data[:_PNG_HEAD], *(_chunk(*chunk) for chunk in chunks), data[_PNG_HEAD:]))


_PNG_HEAD = 33
"""Bytes of a PNG's signature and its first chunk."""


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + name + content + check


def _tiff(values: Samples, packets: _Packets, raster: Raster) -> bytes:
    from limner.io import tiff

    try:
        return tiff.write(
            values,
            is_cmyk=raster.mode == "CMYK",
            premultiplied=raster.premultiplied,
            profile=raster.profile,
            exif=raster.exif,
            xmp=packets.packet,
        )
    except OverflowError as error:
        raise OutputError(f"The picture can't be saved as TIFF ({error}): try .png.") from None


# XMP ------------------------------------------------------------------------------------------

_NAMESPACE = "https://limner.invalid/xmp/1.0/"  # a name, not an address: nothing is fetched from it
_NOTE = "http://ns.adobe.com/xmp/note/"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_TIFF_XMP = 700
_MOST_IN_A_SEGMENT = 65_000
"""Of the 65,533 bytes of a JPEG segment, after the headers."""


def _packet(record: str, note: str = "") -> bytes:
    inside = f"<limner:record>{escape(record)}</limner:record>" if record else ""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:limner="{_NAMESPACE}"{note}>{inside}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode("ascii")


def _split_packet(record: str) -> tuple[bytes, bytes]:
    """A packet that points at its extension, and the extension's JPEG segments."""
    whole = _packet(record)
    guid = hashlib.md5(whole, usedforsecurity=False).hexdigest().upper()
    segments = []
    for offset in range(0, len(whole), _MOST_IN_A_SEGMENT):
        part = whole[offset : offset + _MOST_IN_A_SEGMENT]
        where = len(whole).to_bytes(4, "big") + offset.to_bytes(4, "big")
        body = _EXTENSION + guid.encode("ascii") + where + part
        segments.append(b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body)
    note = f' xmlns:xmpNote="{_NOTE}" xmpNote:HasExtendedXMP="{guid}"'
    return _packet("", note), b"".join(segments)


def _with_extension(jpeg: bytes, segments: bytes) -> bytes:
    """Put segments behind the file's own APP0 and APP1 ones."""
    at = 2
    while jpeg[at : at + 2] in (b"\xff\xe0", b"\xff\xe1"):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return jpeg[:at] + segments + jpeg[at:]


def _joined_extension(packet: bytes, segments: list[tuple[str, bytes]]) -> bytes:
    """The extension that the packet points at; empty when there is none."""
    head = len(_EXTENSION)
    parts = [
        (int.from_bytes(body[head + 36 : head + 40], "big"), body[head + 40 :])
        for name, body in segments
        if name == "APP1" and body.startswith(_EXTENSION) and body[head : head + 32] in packet
    ]
    return b"".join(part for _, part in sorted(parts))


def _record_in(packet: bytes | str) -> str | None:
    """``limner:record`` as an element or, as some programs rewrite it, as an attribute."""
    packet = packet.encode() if isinstance(packet, str) else packet.rstrip(b"\0 ")
    if _NAMESPACE.encode("ascii") not in packet:
        return None
    if b"<!" in packet:
        raise ValueError("its XMP declares entities")  # which could be made to fill the memory
    name = f"{{{_NAMESPACE}}}record"
    for element in ElementTree.fromstring(packet).iter():
        if element.tag == name:
            return element.text
        if name in element.attrib:
            return element.attrib[name]
    return None


def png(image: Image.Image) -> bytes:
    """A PNG's bytes; quick rather than small: a run must not wait for its record."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
