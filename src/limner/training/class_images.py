"""x_pr: pictures of the class that the frozen model makes itself, before it is taught.

They are kept by all that decides them (the base, the prompt, the side, the sampler), so that a
killed run goes on where it stopped and another run of the same class needs none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from limner.errors import ImageError, OptionError
from limner.io import images
from limner.io.save import save_image
from limner.protocols import OnStep
from limner.training import generate, tensor_cache
from limner.training.base_model import Base
from limner.training.instance_images import square_around

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ClassImages:
    """What pictures of a class are made of, besides the base and their seeds."""

    prompt: str
    side: int
    steps: int
    guidance: float


def class_folder(base: Base, pictures: ClassImages) -> Path:
    """Where the pictures of a class lie: ``00000.png``, made with seed 0, and on."""
    decides = [base.digest, pictures.prompt, pictures.side, pictures.steps, pictures.guidance]
    return tensor_cache.folder() / "class-images" / tensor_cache.key_of("class images", *decides)


def make(
    base: Base,
    pictures: ClassImages,
    count: int,
    batch: int,
    on_step: OnStep | None = None,
) -> list[Image]:
    """The first ``count`` pictures of the class; those that are not there yet are made.

    Raises:
        OutputError: they can't be kept.
        OutOfMemory: with what to lower.
    """
    folder = class_folder(base, pictures)
    paths = [folder / f"{k:05}.png" for k in range(count)]
    missing = [k for k, path in enumerate(paths) if not is_picture(path)]
    done = count - len(missing)
    for start in range(0, len(missing), batch):
        if on_step:
            on_step(done + start, count)
        seeds = missing[start : start + batch]
        words = [pictures.prompt] * len(seeds)
        painted = generate.paint(
            base.pipe, words, seeds, pictures.side, pictures.guidance, steps=pictures.steps
        )
        for k, picture in zip(seeds, painted, strict=True):
            record = {"base": base.ref.to_dict(), "seed": k, **asdict(pictures)}
            save_image(picture, paths[k], record=record, overwrite=True)
    if on_step:
        on_step(count, count)
    return [images.open_image(path).image for path in paths]


def read(folder: Path, side: int, count: int, *, exactly: bool = False) -> list[Image]:
    """At most ``count`` pictures of somebody's own, as squares from their middles.

    Args:
        exactly: so many were asked for.

    Raises:
        ImageError: no picture there, or one that can't be read.
        OptionError: fewer than were asked for.
    """
    paths = images.find_images(folder)
    if exactly and len(paths) < count:
        raise OptionError(
            f"{folder} has {len(paths)} pictures of the class, and num_class_images {count} were "
            "asked for: add some, leave num_class_images out to take what is there, or leave "
            "class_images out to have them made."
        )
    squares = []
    for path in paths[:count]:
        image = images.open_image(path).image
        squares.append(image.crop(square_around(image.size, None)).resize((side, side)))
    return squares


def is_picture(path: Path) -> bool:
    """Whether a picture is there, and whole."""
    try:
        images.open_image(path)
    except ImageError:
        return False
    return True
