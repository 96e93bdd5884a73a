"""What `fill` keeps, continues and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from limner.models.classical.fill import METHODS, fill

QUICK = ("patches", "telea", "navier-stokes")
"""cv2.xphoto's methods take seconds; they are tried once, on a small picture."""


def disc(shape: tuple[int, int], centre_yx: tuple[int, int], radius: int) -> np.ndarray:
    y, x = np.indices(shape)
    return np.asarray(np.hypot(y - centre_yx[0], x - centre_yx[1]) <= radius)


def stripes(side: int, period: int) -> np.ndarray:
    """Diagonal stripes with a little noise: a texture that a blur cannot continue."""
    y, x = np.indices((side, side))
    wave = 128 + 90 * np.sign(np.sin(2 * np.pi * (x + y) / period))
    noise = np.random.default_rng(0).normal(0, 4, (side, side, 3))
    return np.clip(wave[..., None] + noise, 0, 255).astype(np.uint8)


def bricks(side: int) -> np.ndarray:
    y, x = np.indices((side, side))
    mortar = (y % 12 < 2) | ((x + 10 * (y // 12 % 2)) % 20 < 2)
    return np.where(mortar[..., None], np.uint8([200, 195, 190]), np.uint8([150, 70, 50]))


def error(image: np.ndarray, filled: np.ndarray, hole: np.ndarray) -> float:
    return float(np.abs(image[hole].astype(float) - filled[hole]).mean())


@pytest.mark.parametrize("method", QUICK)
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.98])
def test_outside_a_random_mask_is_exactly_the_input(method: str, share: float) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (60, 75, 3), dtype=np.uint8)
    mask = rng.random((60, 75)) < share
    before = image.copy()
    filled = fill(image, mask, method=method)
    assert np.array_equal(filled[~mask], image[~mask])
    assert np.array_equal(image, before)
    assert filled.dtype == np.uint8
    assert filled.shape == image.shape


@pytest.mark.parametrize("method", METHODS)
def test_every_method_repaints_a_flat_wall(method: str) -> None:
    image = np.full((48, 48, 3), (90, 120, 60), np.uint8)
    hole = disc((48, 48), (24, 24), 6)
    covered = np.where(hole[..., None], np.uint8(255), image)
    filled = fill(covered, hole, method=method)
    assert np.array_equal(filled[~hole], covered[~hole])
    assert error(image, filled, hole) < 6


@pytest.mark.parametrize(
    ("name", "image"), [("stripes", stripes(160, 16)), ("bricks", bricks(160))]
)
def test_a_texture_is_continued(name: str, image: np.ndarray) -> None:
    hole = disc((160, 160), (84, 76), 30)
    covered = np.where(hole[..., None], np.uint8(0), image)
    ours = error(image, fill(covered, hole), hole)
    smeared = error(image, fill(covered, hole, method="telea"), hole)
    assert ours < 0.35 * smeared


def test_what_the_hole_held_does_not_matter() -> None:
    image = stripes(80, 10)
    hole = disc((80, 80), (40, 40), 14)
    black, white = (np.where(hole[..., None], np.uint8(v), image) for v in (0, 255))
    assert np.array_equal(fill(black, hole), fill(white, hole))


def test_the_same_seed_gives_the_same_picture() -> None:
    image = np.random.default_rng(2).integers(0, 256, (50, 50, 3), dtype=np.uint8)
    hole = disc((50, 50), (24, 24), 8)
    assert np.array_equal(fill(image, hole, seed=5), fill(image, hole, seed=5))
    assert not np.array_equal(fill(image, hole, seed=5), fill(image, hole, seed=6))


@pytest.mark.parametrize("method", QUICK)
def test_an_empty_mask_gives_a_copy(method: str) -> None:
    image = stripes(30, 6)
    filled = fill(image, np.zeros((30, 30), bool), method=method)
    assert np.array_equal(filled, image)
    assert filled is not image


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (40, 40)])
def test_a_full_mask_is_refused(method: str, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="nothing is left to copy from"):
        fill(np.zeros((*size, 3), np.uint8), np.ones(size, bool), method=method)


@pytest.mark.parametrize("corner", [(0, 0), (0, 79), (79, 40), (40, 0)])
def test_a_hole_at_the_border(corner: tuple[int, int]) -> None:
    image = stripes(80, 10)
    hole = disc((80, 80), corner, 18)
    covered = np.where(hole[..., None], np.uint8(0), image)
    assert error(image, fill(covered, hole), hole) < 45


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 30), (3, 3), (7, 5)])
@pytest.mark.parametrize("method", QUICK)
def test_all_but_one_pixel_of_a_tiny_image(size: tuple[int, int], method: str) -> None:
    image = np.full((*size, 3), 255, np.uint8)
    image[0, 0] = (10, 20, 30)
    mask = np.ones(size, bool)
    mask[0, 0] = False
    filled = fill(image, mask, method=method)
    assert np.array_equal(filled[0, 0], image[0, 0])
    if method == "patches":
        assert np.array_equal(filled, np.broadcast_to(image[0, 0], filled.shape))


def test_a_one_pixel_image_comes_back() -> None:
    image = np.full((1, 1, 3), 9, np.uint8)
    assert np.array_equal(fill(image, np.zeros((1, 1), bool)), image)


@pytest.mark.parametrize("width", [20, 280], ids=["a crop is enough", "filled at a smaller size"])
def test_a_large_photograph(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limner.models.classical.patchmatch.MOST_PIXELS", 100_000)
    image = np.tile(stripes(100, 10), (6, 8, 1))
    hole = np.zeros(image.shape[:2], bool)
    hole[200 : 200 + width, 300 : 300 + width] = True
    filled = fill(np.where(hole[..., None], np.uint8(0), image), hole)
    assert np.array_equal(filled[~hole], image[~hole])
    assert filled[hole].min() < 80
    assert filled[hole].max() > 170
    assert abs(float(filled[hole].mean()) - float(image[hole].mean())) < 20


def test_many_specks_are_filled_in_one_window() -> None:
    image = np.tile(np.uint8([60, 90, 120]), (640, 640, 1))
    specks = np.zeros((640, 640), bool)
    specks[20::40, 20::40] = True
    covered = np.where(specks[..., None], np.uint8(255), image)
    assert np.array_equal(fill(covered, specks), image)


@pytest.mark.parametrize(
    ("image", "mask", "method", "says"),
    [
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), bool), "magic", "patches"),
        (np.zeros((4, 4), np.uint8), np.zeros((4, 4), bool), "telea", "RGB"),
        (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), bool), "telea", "uint8"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), "telea", "bool"),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), bool), "telea", r"\(4, 5\)"),
    ],
)
def test_wrong_input_says_what_was_expected(
    image: np.ndarray, mask: np.ndarray, method: str, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        fill(image, mask, method=method)


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
@pytest.mark.parametrize("shape", [(1, 97), (97, 1), (1, 2)])
def test_a_picture_one_pixel_thick_is_filled_alike_each_time(
    method: str, shape: tuple[int, int]
) -> None:
    """OpenCV reads what lies beside such a picture in memory: each result was another one."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    mask = np.zeros(shape, bool)
    mask.reshape(-1)[: max(1, max(shape) // 3)] = True
    results = set()
    for k in range(40):
        beside = [np.full(1000 + k * 977, k * 37 % 255, np.uint8), rng.random((8, 101)) * k]
        del beside
        results.add(fill(image, mask, method=method).tobytes())
    assert len(results) == 1
