"""The photographs that teach a subject: what is left out, cut off and enlarged, and saying so.

Everything becomes an upright RGB square of the side that the model is taught at. A photograph that
can't be read, or that is there twice, is left out; one that is blurred or small is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.errors import ImageError
from limner.io import images
from limner.ops import masks
from limner.ops.masks import IntBox
from limner.rle import BoolMask

FEWEST, USUAL = 2, "3 to 6"
"""The paper takes 3 to 5; of one alone a model learns the picture, not the subject."""
METADATA = "metadata.jsonl"

BAR_TONES, BAR_EVEN = 12, 2
"""A padding bar is one colour within so many of 256 tones, which leaves room for JPEG's noise. The
half of it away from the photograph is so even that no real wall is."""
BAR_PART = 0.01
"""Thinner than this part of the side it is the photograph's own edge."""
BAR_END, BAR_BLUR = 0.25, 16
"""Where a bar ends it ends along its whole length at once; a plain wall behind the subject doesn't.
At most this part of a line after it may still have its colour; JPEG blurs the border by its blocks
of up to 16 pixels."""
SAME_RMS = 0.02
"""Two thumbnails (16 x 16, 0..1) that differ by less are one photograph."""
BLURRED = 40.0
"""Variance of the Laplacian of 512 x 512 grey pixels (0..255) below which a photograph is called
blurred. The 20 of google/dreambooth that were looked at have 108 to 5,213."""

Outline = Callable[[Image.Image], "BoolMask"]
"""The pixels (H, W) of the subject in an upright photograph; none of them: it wasn't found."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """One square."""

    name: str
    """Of the file it was."""
    image: Image.Image
    """RGB, ``side`` x ``side``."""
    notes: tuple[str, ...]
    """What was done to it, and what is doubtful, in words."""
    subject: BoolMask | None = None
    """(side, side): where the subject is; None: nobody looked, or it wasn't found."""

    @property
    def digest(self) -> str:
        return images.digest(self.image)


@dataclass(frozen=True)
class Photographs:
    """What a subject is taught from."""

    usable: tuple[Photograph, ...]
    left_out: tuple[str, ...]
    """A sentence for each file that is not used."""

    @property
    def notes(self) -> tuple[str, ...]:
        """All that a person should know, in the order of the files."""
        done = [f"{photo.name}: {', '.join(photo.notes)}." for photo in self.usable if photo.notes]
        return (*self.left_out, *done)


def read(folder: Path, side: int, outline: Outline | None = None) -> Photographs:
    """The usable photographs of a folder as squares.

    Args:
        side: pixels.
        outline: finds the subject; the square is laid around it. None: the middle.

    Raises:
        ImageError: no such folder, or fewer than two different photographs in it.
    """
    usable: list[Photograph] = []
    seen: list[npt.NDArray[np.float32]] = []
    left_out = _no_pictures(folder)
    files = _files(folder)
    for path in files:
        try:
            opened = images.open_image(path)
        except ImageError as error:
            left_out.append(f"{path.name} is left out: {error}")
            continue
        thumbnail = _thumbnail(opened.image)
        twin = next(
            (k for k, earlier in enumerate(seen) if _rms(earlier, thumbnail) < SAME_RMS), None
        )
        if twin is not None:
            left_out.append(f"{path.name} is left out: it is {usable[twin].name} again.")
            continue
        seen.append(thumbnail)
        usable.append(_prepared(path.name, opened, side, outline))
    if len(usable) < FEWEST:
        why = f" {' '.join(left_out)}" if left_out else ""
        raise ImageError(
            f"{folder} has {len(usable) or 'no'} usable photograph{'' if usable else 's'} of the "
            f"subject, and {USUAL} different ones are needed: add some.{why}"
        )
    return Photographs(tuple(usable), tuple(left_out))


def _files(folder: Path) -> list[Path]:
    try:
        return images.find_images(folder)
    except ImageError as error:
        if folder.is_dir():
            raise ImageError(f"{error} {USUAL} photographs of the subject are needed.") from error
        raise


def _no_pictures(folder: Path) -> list[str]:
    """A sentence for each file that is no picture by its name, but captions."""
    if not folder.is_dir():
        return []
    pictures = {path.stem for path in folder.iterdir() if path.suffix.lower() in images.SUFFIXES}
    others = (
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.suffix.lower() not in images.SUFFIXES
        and not path.name.startswith(".")
        and path.name != METADATA
        and not (path.suffix == ".txt" and path.stem in pictures)
    )
    return [f"{path.name} is left out: it is no picture." for path in others]


def _prepared(
    name: str, opened: images.OpenedImage, side: int, outline: Outline | None
) -> Photograph:
    image, notes = opened.image, list(opened.notes)
    bars = padding_bars(image)
    if any(bars):
        left, top, right, bottom = bars
        image = image.crop((left, top, image.width - right, image.height - bottom))
        parts = ("left", "top", "right", "bottom")
        cut = [f"{n} px {where}" for n, where in zip(bars, parts, strict=True) if n]
        notes.append(f"padding cut off ({', '.join(cut)})")
    mask = outline(image) if outline else None
    box = masks.box_of(mask) if mask is not None else None
    if outline and box is None:
        notes.append("the subject was not found, so the middle is used")
    corner = square_around(image.size, box)
    width = corner[2] - corner[0]
    if image.width != image.height or box:
        notes.append(f"a square of {width} px was cut out of {image.width}x{image.height}")
    if width < side:
        notes.append(f"enlarged {side / width:.1f} times, so it is soft")
    if sharpness(image) < BLURRED:
        notes.append("it looks blurred")
    square = image.crop(corner).resize((side, side), Image.Resampling.LANCZOS)
    subject = None
    if mask is not None and box is not None:
        drawn = Image.fromarray(mask).convert("L").crop(corner)
        subject = np.asarray(drawn.resize((side, side), Image.Resampling.BOX)) > 127
    return Photograph(name, square, tuple(notes), subject)


def square_around(size_wh: tuple[int, int], box: IntBox | None, space: float = 0.25) -> IntBox:
    """The square to cut out: around ``box`` with some space, as far as the picture goes.

    Args:
        space: of the box's longer side, added to it.

    Returns:
        (x0, y0, x1, y1); without a box the largest square in the middle.
    """
    width, height = size_wh
    side = min(width, height)
    centre_x, centre_y = width / 2, height / 2
    if box:
        x0, y0, x1, y1 = box
        side = min(side, max(1, round(max(x1 - x0, y1 - y0) * (1 + space))))
        centre_x, centre_y = (x0 + x1) / 2, (y0 + y1) / 2
    left = min(max(0, round(centre_x - side / 2)), width - side)
    top = min(max(0, round(centre_y - side / 2)), height - side)
    return left, top, left + side, top + side


def padding_bars(image: Image.Image) -> tuple[int, int, int, int]:
    """Pixels of one-coloured padding (left, top, right, bottom) that some programs add.

    A bar is even, reaches from side to side, and ends along its whole length at once.
    """
    pixels = np.asarray(image, dtype=np.int16)
    rows = pixels, pixels[::-1]
    columns = pixels.swapaxes(0, 1), pixels[:, ::-1].swapaxes(0, 1)
    top, bottom = (_bar(lines) for lines in rows)
    left, right = (_bar(lines) for lines in columns)
    if left + right >= image.width or top + bottom >= image.height:  # one colour all over
        return 0, 0, 0, 0
    return left, top, right, bottom


def _bar(lines: npt.NDArray[np.int16]) -> int:
    """Lines of padding from the first on. Lines are (n, length, 3)."""
    colour = np.median(lines[0], axis=0)
    count = 0
    for line in lines:
        if _part_of(line, colour) < 0.995:
            after = range(count, min(count + BAR_BLUR, len(lines)))
            end = next((k for k in after if _part_of(lines[k], colour) <= BAR_END), 0)
            outer = lines[: max(1, count // 2)]
            even = bool((np.abs(outer - colour) <= BAR_EVEN).all())
            return end if even and count >= max(2, BAR_PART * len(lines)) else 0
        count += 1
    return count


def _part_of(line: npt.NDArray[np.int16], colour: npt.NDArray[np.float64]) -> float:
    near = np.abs(line - colour).max(axis=1) <= BAR_TONES
    return float(near.mean())


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian of its grey picture at 512 x 512; more is sharper."""
    grey = cv2.resize(np.asarray(image.convert("L")), (512, 512), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _thumbnail(image: Image.Image) -> npt.NDArray[np.float32]:
    small = image.resize((16, 16), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def _rms(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((first - second) ** 2)))
