"""Which pixels a mask picture means: by where its contrast is, said, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from limner.errors import PromptError
from limner.io.images import open_image
from limner.io.mask_pictures import mask_of
from limner.io.save import save_image

Array = npt.NDArray[np.uint8]
THING = np.zeros((60, 80), bool)
THING[20:40, 30:60] = True
LOW = np.zeros((60, 80), bool)
LOW[30:, 20:60] = True  # touches the frame below, as a portrait does


def rgba(colours: Array, alpha: npt.ArrayLike) -> Image.Image:
    wide = np.broadcast_to(np.asarray(alpha, np.uint8), colours.shape[:2])
    return Image.fromarray(np.dstack([colours, wide]))


def photograph() -> Array:
    return np.random.default_rng(0).integers(40, 200, (60, 80, 3), dtype=np.uint8)


def drawing(mask: npt.NDArray[np.bool_]) -> Array:
    return np.repeat((mask * 255).astype(np.uint8)[..., None], 3, axis=2)


NEARLY = np.random.default_rng(1).choice(np.array([250, 255], np.uint8), (60, 80))
MEANT: dict[str, tuple[Image.Image, npt.NDArray[np.bool_], str]] = {
    "black and white": (Image.fromarray(drawing(THING)), THING, ""),
    "of 16 bits": (Image.fromarray(THING.astype(np.uint16) * 65535), THING, ""),
    "opaque": (rgba(drawing(THING), 255), THING, ""),
    "nearly opaque": (rgba(drawing(THING), NEARLY), THING, "nearly the same"),
    "faint": (rgba(drawing(THING), 90), THING, "nearly the same"),
    "a cut-out": (rgba(photograph(), THING * 255), THING, "opaque part"),
    "a portrait cut out": (rgba(photograph(), LOW * 255), LOW, "opaque part"),
    "white on transparency": (rgba(drawing(THING), THING * 255), THING, "opaque part"),
    "black on transparency": (rgba(drawing(THING) * 0, THING * 255), THING, "opaque part"),
    "an erased hole": (rgba(photograph(), ~THING * 255), THING, "transparent part"),
    "a hole at the frame": (rgba(photograph(), ~LOW * 255), LOW, "transparent part"),
    "a hole in white": (rgba(drawing(~THING & False) + 255, ~THING * 255), THING, "transparent"),
}


@pytest.mark.parametrize(("picture", "mask", "sentence"), MEANT.values(), ids=MEANT.keys())
def test_what_is_meant(
    tmp_path: Path, picture: Image.Image, mask: npt.NDArray[np.bool_], sentence: str
) -> None:
    """A drawing at alpha 250 hid the whole picture, and an erased hole was read inverted."""
    picture.save(tmp_path / "mask.png")
    found, note = mask_of(open_image(tmp_path / "mask.png"))
    assert np.array_equal(found, mask)
    assert (sentence in note) if note else not sentence


HALF = np.arange(80)[None].repeat(60, axis=0) < 40
AMBIGUOUS: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "half of the frame": (lambda: rgba(photograph(), HALF * 255), "50% of its frame"),
    "a drawing with a hole": (lambda: rgba(drawing(THING), ~LOW * 255), "black and white"),
    "nothing bright": (lambda: Image.fromarray(drawing(THING) // 255), "brightest pixel"),
    "nothing bright, faint": (lambda: rgba(drawing(THING) // 255, 90), "brightest pixel"),
}


@pytest.mark.parametrize(("picture", "why"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_can_be_meant_both_ways_is_refused(
    tmp_path: Path, picture: Callable[[], Image.Image], why: str
) -> None:
    picture().save(tmp_path / "mask.png")
    with pytest.raises(PromptError, match=why) as refusal:
        mask_of(open_image(tmp_path / "mask.png"))
    assert "save" in str(refusal.value).lower()


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_limners_own_cut_out_means_what_is_opaque_however_much_of_the_frame_it_covers(
    tmp_path: Path, suffix: str
) -> None:
    large = ~THING
    path = save_image(
        rgba(photograph(), large * 255), tmp_path / f"cut.{suffix}", record={"verb": "cutout"}
    )
    found, note = mask_of(open_image(path))
    assert np.array_equal(found, large)
    assert note
    assert "opaque part" in note
