"""Looks for what was hidden: blocks of pixels, names, paths and digests, in any file.

``Hidden.of(path, box)`` knows a picture and the box of it that nobody may see any more;
``traces(file)`` says what of it a file still shows. Pictures inside other files (zips, databases,
event files) are found by their signatures.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 8
"""Of a block, in pixels."""
_TEXTURE = 6.0
"""Least standard deviation of a block's grey values: with less it is a wall or the sky."""
_NEAR = 3.0
"""Mean difference of a block that a good JPEG makes of another."""
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class Hidden:
    """A picture (H, W, 3) uint8, and the box x0, y0, x1, y1 of it that is hidden."""

    pixels: np.ndarray
    box: tuple[int, int, int, int]
    needles: tuple[bytes, ...]

    @classmethod
    def of(cls, path: Path, box: tuple[int, int, int, int]) -> Hidden:
        """Of a file that still lies there."""
        from limner.io.images import digest

        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        texts = (path.stem, str(path.absolute()), hashlib.sha256(path.read_bytes()).hexdigest())
        texts = (*texts, digest(picture))
        forms = {form.encode() for text in texts for form in (text, json.dumps(text)[1:-1])}
        return cls(np.asarray(picture), box, tuple(sorted(forms)))

    def traces(self, file: Path) -> list[str]:
        """What a file still shows, in words; empty: nothing."""
        return traces([self], file)

    def texts_in(self, data: bytes) -> Iterator[str]:
        for needle in self.needles:
            if needle in data:
                yield f"the text {needle.decode()}"
        if any(row in data for row in self.rows):
            yield "a row of hidden pixels, as bytes"

    def shows(self, picture: np.ndarray, hashes: np.ndarray) -> bool:
        """Whether any textured block is in an (H, W, 3) picture: exactly, wherever it lies, or
        nearly, at its own place. ``hashes`` are ``block_hashes(picture)``."""
        if np.isin(self.hashes, hashes).any():
            return True
        if picture.shape != self.pixels.shape:
            return False
        y, x = self.places
        apart = np.abs(picture.astype(float) - self.pixels).mean(2)
        return bool((_means(apart)[y, x] < _NEAR).any())

    @cached_property
    def hashes(self) -> np.ndarray:
        return block_hashes(self.pixels)[self.places]

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper left corners of the textured blocks inside the box."""
        grey = self.pixels.mean(2)
        deviation = np.sqrt(np.maximum(_means(grey**2) - _means(grey) ** 2, 0))
        x0, y0, x1, y1 = self.box
        inside = np.zeros(deviation.shape, bool)
        inside[y0 : y1 - SIDE + 1, x0 : x1 - SIDE + 1] = True
        y, x = np.nonzero(inside & (deviation >= _TEXTURE))
        assert len(y), "nothing hidden has a texture: the search would find nothing"
        return y, x

    @cached_property
    def rows(self) -> tuple[bytes, ...]:
        """A row of pixels as raw RGB, of some of the blocks."""
        y, x = self.places
        some = range(0, len(y), max(1, len(y) // 50))
        return tuple(self.pixels[y[k], x[k] : x[k] + SIDE].tobytes() for k in some)


def pictures_in(data: bytes) -> Iterator[np.ndarray]:
    """Every picture that is a file or lies whole inside one, as (H, W, 3)."""
    for signature in _SIGNATURES:
        start = data.find(signature)
        while start >= 0:
            with contextlib.suppress(Exception):  # most of what looks like a signature is none
                opened = Image.open(io.BytesIO(data[start:]))
                yield np.asarray(opened.convert("RGB"))
                if opened.has_transparency_data:  # colour below alpha 0 counts
                    yield np.asarray(opened.convert("RGBA"))[..., :3].copy()
            start = data.find(signature, start + 1)
    if data[:4] == b"RIFF":
        with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as opened:
            yield np.asarray(opened.convert("RGB"))


def traces(hidden: Iterable[Hidden], *places: Path) -> list[str]:
    """What the files of these folders show of any picture: ``file: what``."""
    found = []
    hidden = list(hidden)
    for place in places:
        files = [p for p in sorted(place.rglob("*")) if p.is_file()] if place.is_dir() else [place]
        for file in files:
            found += [f"{file}: {what}" for what in _traces_in(hidden, file.read_bytes())]
    return list(dict.fromkeys(found))


def _traces_in(hidden: list[Hidden], data: bytes) -> Iterator[str]:
    for each in hidden:
        yield from each.texts_in(data)
    for picture in pictures_in(data):
        if min(picture.shape[:2]) < SIDE:
            continue
        hashes = block_hashes(picture)
        if any(each.shows(picture, hashes) for each in hidden):
            yield f"a block of a hidden part, in a picture of {picture.shape[:2]}"
    if data.startswith(b"PK"):
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as it:
            for name in it.namelist():
                yield from _traces_in(hidden, it.read(name))


def _means(values: np.ndarray) -> np.ndarray:
    """The mean of each block, by its upper left corner."""
    sums = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    blocks = sums[SIDE:, SIDE:] - sums[:-SIDE, SIDE:] - sums[SIDE:, :-SIDE] + sums[:-SIDE, :-SIDE]
    return np.asarray(blocks / SIDE**2)


def block_hashes(pixels: np.ndarray) -> np.ndarray:
    """A number for each block's content, by its upper left corner."""
    weights = np.random.default_rng(0).integers(1, 2**62, (SIDE, SIDE, 3), dtype=np.int64)
    height, width = pixels.shape[0] - SIDE + 1, pixels.shape[1] - SIDE + 1
    total = np.zeros((height, width), np.int64)
    values = pixels.astype(np.int64)
    for dy in range(SIDE):
        for dx in range(SIDE):
            total += (values[dy : dy + height, dx : dx + width] * weights[dy, dx]).sum(2)
    return total
