"""What of a photograph's EXIF can be carried over to an edit of it.

Where, when and with what it was taken, by whom, and what it is called. Left out are the orientation
(the picture is upright by then), thumbnails, which show the original, and the maker's own note,
which can hold more of them.
"""

from __future__ import annotations

import contextlib

from PIL import Image

_IMAGE = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432)
"""ImageDescription, Make, Model, resolutions, Software, DateTime, Artist, HostComputer, Copyright.
A TIFF has its tables of pixels among these tags, hence a list of what is carried."""
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_MAKER_NOTE, _INTEROP, _WIDTH, _HEIGHT = 0x927C, 0xA005, 0xA002, 0xA003


def portable_exif(file: Image.Image) -> bytes | None:
    """An EXIF block for an edit of this picture; None when it has none that can be read."""
    # A foreign binary format inside the file: whatever is wrong in it, the pixels stand.
    with contextlib.suppress(Exception):
        own, copy = file.getexif(), Image.Exif()
        for tag in _IMAGE:
            if tag in own:
                copy[tag] = own[tag]
        taken = {
            tag: value
            for tag, value in own.get_ifd(_EXIF_IFD).items()
            if tag not in (_MAKER_NOTE, _INTEROP, _WIDTH, _HEIGHT)
        }
        for ifd, tags in ((_EXIF_IFD, taken), (_GPS_IFD, own.get_ifd(_GPS_IFD))):
            if tags:
                copy.get_ifd(ifd).update(tags)
                copy[ifd] = copy.get_ifd(ifd)
        if len(copy):
            return copy.tobytes()
    return None
