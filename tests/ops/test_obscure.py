"""What `redact` leaves, and what it must not."""

from __future__ import annotations

import numpy as np
import pytest

from limner.ops.obscure import STYLES, redact


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)


def disc(shape: tuple[int, int], centre_yx: tuple[int, int], radius: int) -> np.ndarray:
    y, x = np.indices(shape)
    return np.asarray(np.hypot(y - centre_yx[0], x - centre_yx[1]) <= radius)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(4))
def test_outside_is_exactly_the_input(noise: np.ndarray, style: str, seed: int) -> None:
    speckle = np.random.default_rng(seed).random(noise.shape[:2]) < (0.02, 0.3, 0.8, 0.999)[seed]
    before = noise.copy()
    hidden = redact(noise, speckle, style=style)
    assert np.array_equal(hidden[~speckle], noise[~speckle])
    assert np.array_equal(noise, before)
    assert hidden.dtype == np.uint8
    assert hidden.shape == noise.shape


def test_solid_is_the_colour(noise: np.ndarray) -> None:
    mask = disc((90, 130), (40, 60), 20)
    hidden = redact(noise, mask, style="solid", colour=(1, 200, 3))
    assert np.array_equal(hidden[mask], np.tile(np.uint8([1, 200, 3]), (mask.sum(), 1)))


def test_solid_is_the_mean_of_a_ring_around_each_part(noise: np.ndarray) -> None:
    """Two parts, one on blue and one on green: each takes its own surroundings' colour, and the
    other part's pixels, which are hidden too, count for neither."""
    image = noise.copy()
    image[:, :65], image[:, 65:] = (0, 0, 200), (0, 200, 0)
    left, right = disc((90, 130), (45, 30), 12), disc((90, 130), (45, 100), 12)
    image[left | right] = noise[left | right]
    hidden = redact(image, left | right)
    assert np.array_equal(hidden[left], np.tile(np.uint8([0, 0, 200]), (left.sum(), 1)))
    assert np.array_equal(hidden[right], np.tile(np.uint8([0, 200, 0]), (right.sum(), 1)))


@pytest.mark.parametrize("style", STYLES)
def test_colours_are_those_around_it(style: str) -> None:
    """It is to look like a blur or mosaic of this picture: an even wall gives its own colour."""
    image = np.full((120, 160, 3), (200, 150, 90), np.uint8)
    mask = disc((120, 160), (60, 80), 30)
    image[mask] = (0, 0, 0)
    assert np.array_equal(redact(image, mask, style=style)[mask], image[~mask][: mask.sum()])


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_a_larger_amount_looks_coarser(noise: np.ndarray, style: str) -> None:
    mask = np.zeros((90, 130), bool)
    mask[20:70, 20:110] = True
    steps = [
        float(np.abs(np.diff(redact(noise, mask, style=style, amount=amount)[21:69, 21:109]
                             .astype(int), axis=1)).mean())
        for amount in (0.02, 0.1, 0.4)
    ]  # fmt: skip
    assert steps[0] > 1.5 * steps[1] > 1.5 * 1.5 * steps[2]


def test_pixelate_leaves_few_blocks(noise: np.ndarray) -> None:
    mask = np.zeros((90, 130), bool)
    mask[10:80, 20:120] = True
    hidden = redact(noise, mask, style="pixelate")
    assert len(np.unique(hidden[mask], axis=0)) <= 8 * 8
    fewer = redact(noise, mask, style="pixelate", amount=0.5)
    assert len(np.unique(fewer[mask], axis=0)) <= 4


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_tiny_images_and_whole_masks(style: str, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    assert redact(image, np.ones(size, bool), style=style).shape == image.shape
    assert np.array_equal(redact(image, np.zeros(size, bool), style=style), image)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"style": "smudge"}, "solid, blur, pixelate"),
        ({"amount": 0.0}, "share"),
        ({"amount": 2.0}, "share"),
        ({"colour": (0, 0, 300)}, "0..255"),
        ({"mask": np.zeros((3, 3), bool)}, "bool"),
        ({"image": np.zeros((4, 4), np.uint8)}, "RGB"),
    ],
)
def test_wrong_input_says_what_was_expected(bad: dict[str, object], says: str) -> None:
    good = {"image": np.zeros((4, 4, 3), np.uint8), "mask": np.zeros((4, 4), bool)}
    arguments = good | {"style": "blur"} | bad
    with pytest.raises(ValueError, match=says):
        redact(arguments.pop("image"), arguments.pop("mask"), **arguments)
