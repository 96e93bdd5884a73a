"""A picture as its file holds it, and edits put into it without touching the rest.

Models see an 8-bit sRGB view (``Raster.view``); what they paint comes back as ``Layer``s, which
``put_layers`` turns into the file's own colour space, depth and transparency. A value that no layer
covers is never computed anew: it stays the file's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from limner.errors import ImageError
from limner.io import colour
from limner.ops.masks import IntBox
from limner.rle import BoolMask

Samples = npt.NDArray[Any]
"""(H, W, C): 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha."""

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_STRIPE = 1 << 21
"""Pixels that are computed at once, so that a large picture needs no second one in floats."""


@dataclass(frozen=True, eq=False)
class Raster:
    """All values of a picture, upright."""

    pixels: Image.Image | Samples
    """8 bits: Pillow's L, LA, RGB, RGBA, CMYK or LAB. Everything else, such as uint16: an array."""
    profile: bytes | None = None
    """The ICC profile that its file carries."""
    is_srgb: bool = True
    """Whether its numbers mean sRGB as they are (a grey one: sRGB's greys)."""
    levels: tuple[float, float] = (0.0, 255.0)
    """What black and white are, among its values."""
    premultiplied: bool = False
    """Whether its colours are multiplied by its alpha, as some TIFFs have it."""
    exif: bytes | None = None
    """What may be carried on of its EXIF; see ``limner.io.metadata``."""
    lost: tuple[str, ...] = ()
    """What its file holds and this doesn't, in a few words each."""

    @property
    def mode(self) -> str:
        pixels = self.pixels
        return pixels.mode if isinstance(pixels, Image.Image) else _MODES[pixels.shape[2]]

    @property
    def colour_mode(self) -> str:
        """``mode`` without its alpha."""
        return self.mode.removesuffix("A") if self.has_alpha else self.mode

    @property
    def has_alpha(self) -> bool:
        return self.mode in ("LA", "RGBA")

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8) if isinstance(self.pixels, Image.Image) else self.pixels.dtype

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        if isinstance(self.pixels, Image.Image):
            return self.pixels.size
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def is_plain(self) -> bool:
        """Whether it is its own view: opaque RGB of 8 bits that means sRGB."""
        return isinstance(self.pixels, Image.Image) and self.mode == "RGB" and self.is_srgb

    def window(self, box: IntBox) -> Samples:
        """(h, w, C) values of a part."""
        x0, y0, x1, y1 = box
        if isinstance(self.pixels, Image.Image):
            part = np.asarray(self.pixels.crop(box))
            return part[..., None] if part.ndim == 2 else part
        return self.pixels[y0:y1, x0:x1]

    def view(self) -> Image.Image:
        """8-bit sRGB, laid on white: what models and people see."""
        if self.is_plain:
            assert isinstance(self.pixels, Image.Image)
            return self.pixels
        opaque, alpha = self._in_srgb()
        if alpha is None or alpha.getextrema()[0] == 255:
            return opaque
        return Image.composite(opaque, Image.new("RGB", opaque.size, "white"), alpha)

    def rgba(self) -> Image.Image:
        """8-bit sRGB with its transparency."""
        opaque, alpha = self._in_srgb()
        opaque = opaque.copy()
        opaque.putalpha(alpha or Image.new("L", opaque.size, 255))
        return opaque

    def straight(self) -> Raster:
        """The same with colours that aren't multiplied by their alpha."""
        return replace(self.with_pixels(self._straight()), premultiplied=False)

    def in_8_bits(self) -> Raster:
        """The same with 8 bits a value, straight alpha, in its own colour space."""
        if isinstance(self.pixels, Image.Image):
            return self.straight() if self.premultiplied else self
        values = _in_8_bits(self._straight(), self.levels)
        image = Image.frombytes(self.mode, self.size, values.tobytes())
        return replace(self, pixels=image, levels=(0.0, 255.0), premultiplied=False)

    def _in_srgb(self) -> tuple[Image.Image, Image.Image | None]:
        image = self.in_8_bits().pixels
        assert isinstance(image, Image.Image)
        *bands, alpha = image.split() if self.has_alpha else (image, None)
        opaque = image
        if self.has_alpha:
            opaque = bands[0] if len(bands) == 1 else Image.merge("RGB", bands)
        if self.is_srgb:
            return opaque.convert("RGB"), alpha
        return colour.to_srgb(opaque, self.profile, [])[0], alpha

    def _straight(self) -> Samples:
        values = self.window((0, 0, *self.size))
        if not self.premultiplied:
            return values
        values = values.copy()
        black, white = self.levels
        for y0, y1 in _stripes(*self.size):
            part = values[y0:y1].astype(np.float64)
            alpha = part[..., -1:]
            part[..., :-1] = np.divide(
                (part[..., :-1] - black) * (white - black), alpha - black,
                out=np.zeros_like(part[..., :-1]), where=alpha > black,
            ) + black  # fmt: skip
            values[y0:y1] = _typed(np.minimum(part, white), values.dtype)
        return values

    def natively(self, rgb: Image.Image) -> Samples:
        """(h, w, colours) float64: an sRGB picture in this one's colour space and depth."""
        own = colour.from_srgb(rgb, self.colour_mode, self.profile, self.is_srgb)
        values = np.asarray(own, np.float64)
        black, white = self.levels
        values = black + values * ((white - black) / 255)
        return values[..., None] if values.ndim == 2 else values

    def with_pixels(self, values: Samples) -> Raster:
        """The same of other values, which may be of another size, with or without alpha."""
        pixels: Image.Image | Samples = values
        if isinstance(self.pixels, Image.Image):
            height, width, count = values.shape
            mode = self.mode if count == len(self.mode) else _MODES[count]
            pixels = Image.frombytes(mode, (width, height), values.tobytes())
        return replace(self, pixels=pixels)

    def framed(self, box: IntBox) -> Raster:
        """The part in a box; where the box reaches beyond the picture all values are black, and
        transparent where there is an alpha."""
        if isinstance(self.pixels, Image.Image):
            return replace(self, pixels=self.pixels.crop(box))
        x0, y0, x1, y1 = box
        width, height = self.size
        left, top = max(x0, 0), max(y0, 0)
        part = self.pixels[top : min(y1, height), left : min(x1, width)]
        black = _typed(np.array(self.levels[0]), self.dtype)
        values = np.full((y1 - y0, x1 - x0, self.pixels.shape[2]), black, self.dtype)
        values[top - y0 : top - y0 + part.shape[0], left - x0 : left - x0 + part.shape[1]] = part
        return replace(self, pixels=values)

    def padded(self, left: int, top: int, right: int, bottom: int) -> Raster:
        """A larger one; the new part continues the border's pixels."""
        whole = self.window((0, 0, *self.size))
        return self.with_pixels(np.pad(whole, ((top, bottom), (left, right), (0, 0)), mode="edge"))


@dataclass(frozen=True, eq=False)
class Layer:
    """What was painted over a part of a picture."""

    xyxy: IntBox
    painted: Image.Image
    """RGB, sRGB, of the box's size."""
    weight: npt.NDArray[Any]
    """(h, w) bool, or float in 0–1: how much of it comes; where 0 the original's values stay."""
    opacity: npt.NDArray[np.uint8] | None = None
    """(h, w): the alpha that it brings where the original has one; None: opaque."""


def put_layers(original: Raster, layers: Sequence[Layer]) -> Raster:
    """The original with layers on it, in its own colour space, depth and kind of alpha."""
    result = replace(original, pixels=original.pixels.copy())
    for layer in layers:
        x0, y0, x1, _ = layer.xyxy
        for top, bottom in _stripes(x1 - x0, layer.painted.height):
            weight = np.asarray(layer.weight[top:bottom], np.float32)[..., None]
            if not weight.any():
                continue
            box = (x0, y0 + top, x1, y0 + bottom)
            before = result.window(box)
            painted = layer.painted.crop((0, top, x1 - x0, bottom))
            opacity = None if layer.opacity is None else layer.opacity[top:bottom]
            mixed = _mixed(original, before, painted, weight, opacity)
            _put(result.pixels, box, np.where(weight > 0, mixed, before))
    return result


def _put(pixels: Image.Image | Samples, box: IntBox, values: Samples) -> None:
    """Write values into a picture that was made for it."""
    x0, y0, x1, y1 = box
    if isinstance(pixels, Image.Image):
        size = (x1 - x0, y1 - y0)
        pixels.paste(Image.frombytes(pixels.mode, size, values.tobytes()), box)
    else:
        pixels[y0:y1, x0:x1] = values


def _mixed(
    original: Raster,
    before: Samples,
    painted: Image.Image,
    weight: npt.NDArray[np.float32],
    opacity: npt.NDArray[np.uint8] | None,
) -> Samples:
    """``before + weight * (painted - before)``; with alpha, of colours multiplied by it."""
    black, white = original.levels
    span = white - black
    if original.has_alpha and opacity is not None:
        painted = _off_white(painted, opacity)
    new = original.natively(painted)
    old = np.nan_to_num(before.astype(np.float64), nan=black, posinf=white, neginf=black)
    if not original.has_alpha:
        return _typed(old + weight * (new - old), before.dtype)
    old_alpha = (old[..., -1:] - black) / span
    new_alpha = np.ones_like(old_alpha) if opacity is None else opacity[..., None] / 255
    old, new = old[..., :-1] - black, (new - black) * new_alpha
    if not original.premultiplied:
        old = old * old_alpha
    mixed, alpha = old + weight * (new - old), old_alpha + weight * (new_alpha - old_alpha)
    if not original.premultiplied:
        mixed = np.divide(mixed, alpha, out=np.zeros_like(mixed), where=alpha > 0)
    return _typed(np.concatenate([mixed + black, alpha * span + black], axis=-1), before.dtype)


def _off_white(painted: Image.Image, opacity: npt.NDArray[np.uint8]) -> Image.Image:
    """The colours that laid on white with this opacity give ``painted``."""
    alpha = opacity[..., None].astype(np.float32) / 255
    seen = np.asarray(painted, np.float32)
    own = np.divide(seen - 255 * (1 - alpha), alpha, out=np.zeros_like(seen), where=alpha > 0)
    return Image.fromarray(np.clip(np.rint(own), 0, 255).astype(np.uint8))


def cut(original: Raster, opacity: npt.NDArray[np.uint8]) -> Raster:
    """The original as opaque as ``opacity`` (H, W) lets it be; of what that hides nothing stays.

    Raises:
        ImageError: a colour space that has no alpha.
    """
    if original.colour_mode not in ("L", "RGB"):
        raise ImageError(f"A picture of mode {original.mode} can't be transparent.")
    black, white = original.levels
    before = original.window((0, 0, *original.size))
    count = before.shape[2] + (not original.has_alpha)
    after: Samples = np.empty((*before.shape[:2], count), before.dtype)
    for y0, y1 in _stripes(*original.size):
        part, share = before[y0:y1], opacity[y0:y1, :, None].astype(np.float64) / 255
        colours = part[..., : count - 1]
        own = part[..., -1:].astype(np.float64) if original.has_alpha else np.float64(white)
        after[y0:y1, :, -1:] = _typed(black + share * (own - black), before.dtype)
        if original.premultiplied:
            colours = _typed(black + share * (colours.astype(np.float64) - black), before.dtype)
        after[y0:y1, :, :-1] = np.where(share > 0, colours, _typed(np.array(black), before.dtype))
    return original.with_pixels(after)


def changed_pixels(before: Raster, after: Raster, where: BoolMask) -> int:
    """Pixels of ``where`` in which any value differs, transparency included.

    Greys count as the RGB that they are, and what has no alpha as opaque.

    Raises:
        ImageError: the sizes differ, or the depths.
    """
    kinds = [(each.size, each.dtype.name) for each in (before, after)]
    if kinds[0] != kinds[1]:
        raise ImageError(
            f"Expected two pictures of one size and depth, got {kinds[0]} and {kinds[1]}."
        )
    if before.premultiplied != after.premultiplied:
        before, after = before.straight(), after.straight()
    if before.pixels is after.pixels:
        return 0
    total = 0
    for y0, y1 in _stripes(*before.size):
        box = _differing_box(before.pixels, after.pixels, (0, y0, before.size[0], y1))
        if box is not None:
            differs = _differ(before.window(box), after.window(box), before.levels[1])
            left, top, right, bottom = box
            total += int(np.count_nonzero(differs & where[top:bottom, left:right]))
    return total


def _differing_box(
    first: Image.Image | Samples, second: Image.Image | Samples, box: IntBox
) -> IntBox | None:
    """The part of the box to look at: Pillow compares two pictures of one mode in no time."""
    if not (isinstance(first, Image.Image) and isinstance(second, Image.Image)):
        return box
    if first.mode != second.mode or first.mode not in ("L", "RGB", "CMYK"):
        return box
    difference = ImageChops.difference(first.crop(box), second.crop(box)).getbbox()
    if difference is None:
        return None
    x0, y0, _, _ = box
    return difference[0] + x0, difference[1] + y0, difference[2] + x0, difference[3] + y0


def _differ(first: Samples, second: Samples, white: float) -> BoolMask:
    if first.shape != second.shape:
        first, second = _widened(first, white), _widened(second, white)
    unequal = first != second
    if first.dtype.kind == "f":
        unequal &= ~(np.isnan(first) & np.isnan(second))
    differs: BoolMask = unequal.any(axis=2)
    return differs


def _widened(values: Samples, white: float) -> Samples:
    """As RGBA."""
    count = values.shape[2]
    colours = values[..., :1] if count < 3 else values[..., :3]
    colours = np.broadcast_to(colours, (*values.shape[:2], 3))
    opaque = np.full((*values.shape[:2], 1), white, values.dtype)
    alpha = values[..., -1:] if count in (2, 4) else opaque
    return np.concatenate([colours, alpha], axis=2)


def _in_8_bits(values: Samples, levels: tuple[float, float]) -> Samples:
    black, white = levels
    scale = 255 / (white - black) if white > black else 0.0
    if values.dtype == np.uint16:  # a table: no float of a large picture
        steps = (np.arange(65536) - black) * scale
        table = np.clip(np.rint(steps), 0, 255).astype(np.uint8)
        return np.asarray(table[values])
    result = np.empty(values.shape, np.uint8)
    for y0, y1 in _stripes(values.shape[1], values.shape[0]):
        part = (values[y0:y1].astype(np.float64) - black) * scale
        part = np.where(np.isfinite(part), part, 0.0)
        result[y0:y1] = np.clip(np.rint(part), 0, 255)
    return result


def _typed(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> Samples:
    """Floats as values of a type: whole numbers rounded to nearest, within its range."""
    if dtype.kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.floor(values + 0.5), info.min, info.max).astype(dtype)


def _stripes(width: int, height: int) -> Iterator[tuple[int, int]]:
    step = max(1, _STRIPE // max(width, 1))
    for y0 in range(0, height, step):
        yield y0, min(y0 + step, height)
