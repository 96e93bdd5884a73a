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
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from PIL import Image, JpegImagePlugin, PngImagePlugin

from limner.decoding import decoder_of, decoding, identify
from limner.documents import parse_json
from limner.errors import FileError, ImageError, OutputError
from limner.images import read_picture
from limner.plain_text import visible_page

_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_HOW: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},
}
"""What Pillow is told. All but JPEG keep every pixel, so that what an edit left alone stays so."""


def save_image(
    image: Image.Image,
    path: str | os.PathLike[str],
    *,
    record: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a picture in the format that its suffix says: png, jpg, webp or tiff.

    Args:
        record: how it was made, as JSON values; read back by ``read_record``.

    Raises:
        OutputError: the place is taken or can't be written, or the format can't hold the picture.
    """
    path = Path(path)
    if (kind := _FORMATS.get(path.suffix.lower())) is None:
        raise OutputError(
            f"{path} ends in {path.suffix or 'no suffix'}: pictures are saved as "
            f"{', '.join(_FORMATS)}."
        )
    if kind == "JPEG" and image.mode not in ("RGB", "L", "CMYK"):
        raise OutputError(
            f"{path} would be a JPEG, which holds no {image.mode} picture"
            + (" (no transparency)" if image.has_transparency_data else "")
            + ": save it as .png."
        )
    _check_free(path, overwrite)  # before the work of encoding
    write_atomic(path, _encoded(image, kind, path, record), overwrite=overwrite)
    return path


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The record inside a picture that ``save_image`` wrote; None when it carries none.

    Raises:
        ImageError: no such file, no image, or a record that is damaged.
    """
    data = read_picture(Path(path))
    kind = identify(data, str(path))
    with decoding(str(path), kind):
        file = decoder_of(kind, str(path))(io.BytesIO(data))  # the header only: no pixel is decoded
        text = file.info.get("limner") if kind == "PNG" else None
        packet = file.info.get("xmp", b"")
        continued = file.applist if isinstance(file, JpegImagePlugin.JpegImageFile) else []
    try:
        text = text or _record_in(packet) or _record_in(_joined_extension(packet, continued))
        record = None if text is None else parse_json(text, "its JSON", ours=True)
    except (ElementTree.ParseError, ValueError, FileError) as error:
        raise ImageError(f"The record in {path} is damaged ({error}).") from None
    if record is not None and not isinstance(record, dict):
        raise ImageError(f"The record in {path} is damaged (it is no JSON object).")
    return record


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
    temporary = target.parent / f".limner-{secrets.token_hex(6)}.tmp"
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


def _encoded(image: Image.Image, kind: str, path: Path, record: Mapping[str, Any] | None) -> bytes:
    how = dict(_HOW[kind])
    packet = extension = b""
    if record is not None:
        try:  # ASCII, because XML and PNG each bar some characters that JSON strings may hold
            text = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise OutputError(
                f"The record of {path} is not made of JSON values: {error}."
            ) from None
        packet = _packet(text)
        if kind == "JPEG" and len(packet) > _MOST_IN_A_SEGMENT:
            packet, extension = _split_packet(text)
        if kind == "PNG":
            chunks = PngImagePlugin.PngInfo()
            chunks.add_itxt("limner", text)
            chunks.add_itxt("XML:com.adobe.xmp", packet.decode("ascii"))
            how["pnginfo"] = chunks
        elif kind == "TIFF":
            how["tiffinfo"] = {_TIFF_XMP: packet}
        else:
            how["xmp"] = packet
    buffer = io.BytesIO()
    try:
        image.save(buffer, format=kind, **how)
    except (OSError, ValueError) as error:
        width, height = image.size
        raise OutputError(
            f"A {image.mode} picture of {width}x{height} pixels can't be saved as {kind} "
            f"({error}): try .png."
        ) from error
    return _with_extension(buffer.getvalue(), extension) if extension else buffer.getvalue()


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
