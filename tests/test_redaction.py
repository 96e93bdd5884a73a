"""What `redact` leaves, and what it must not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from limner.redaction import STYLES, redact


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


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_nothing_from_outside_bleeds_in(noise: np.ndarray, style: str) -> None:
    mask = disc((90, 130), (40, 60), 30)
    other = noise.copy()
    other[~mask] = 255 - other[~mask]
    assert np.array_equal(
        redact(noise, mask, style=style)[mask], redact(other, mask, style=style)[mask]
    )


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_an_even_part_stays_even_to_its_edge(style: str) -> None:
    mask = disc((200, 300), (90, 150), 80)
    image = np.where(mask[..., None], np.uint8(90), np.uint8(255)).repeat(3, axis=2)
    assert set(redact(image, mask, style=style)[mask].ravel()) == {90}


@pytest.mark.parametrize("radius", [10, 40, 160])
def test_blur_hides_four_cycles_of_any_size(radius: int) -> None:
    side = 2 * radius + 40
    x = np.indices((side, side))[1]
    wave = 127.5 + 127.5 * np.cos(2 * np.pi * 4 * x / (2 * radius + 1))
    image = np.rint(wave).astype(np.uint8)[..., None].repeat(3, axis=2)
    mask = disc((side, side), (side // 2, side // 2), radius)
    middle = disc((side, side), (side // 2, side // 2), radius // 4)
    hidden = redact(image, mask, style="blur")
    assert np.ptp(image[middle]) > 200
    assert np.ptp(hidden[middle].astype(int)) <= 16


def test_pixelate_leaves_few_blocks(noise: np.ndarray) -> None:
    mask = np.zeros((90, 130), bool)
    mask[10:80, 20:120] = True
    hidden = redact(noise, mask, style="pixelate")
    assert len(np.unique(hidden[mask], axis=0)) <= 8 * 8
    fewer = redact(noise, mask, style="pixelate", amount=0.5)
    assert len(np.unique(fewer[mask], axis=0)) <= 4


def test_each_part_is_hidden_on_its_own_scale(noise: np.ndarray) -> None:
    small, large = disc((90, 130), (20, 15), 8), disc((90, 130), (45, 85), 40)
    both = redact(noise, small | large, style="blur")
    alone = redact(noise, small, style="blur")
    assert np.array_equal(both[small], alone[small])


def test_slivers_of_one_thing_are_hidden_together(noise: np.ndarray) -> None:
    striped = np.zeros((90, 130), bool)
    striped[10:80, 10:120:4] = True
    hidden = redact(noise, striped, style="blur")
    smooth = cv2.boxFilter(noise, cv2.CV_32F, (15, 15))
    assert hidden[striped].astype(float).std() < 0.5 * smooth.std() + 5


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
def test_tiny_images_and_whole_masks(style: str, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    assert redact(image, np.ones(size, bool), style=style).shape == image.shape
    assert np.array_equal(redact(image, np.zeros(size, bool), style=style), image)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"style": "smudge"}, "blur, pixelate, solid"),
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
