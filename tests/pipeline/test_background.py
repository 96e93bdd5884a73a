"""What can stand behind a subject without a model."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from limner.errors import OptionError
from limner.pipeline.background import SMOOTH_SIGMA, Backdrop, Blur, Colour, Picture

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def subject() -> np.ndarray:
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    inside: np.ndarray = (columns - 40) ** 2 + (rows - 30) ** 2 < 15**2
    return inside


@pytest.fixture
def scene() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((WIDTH, HEIGHT))


@pytest.mark.parametrize("radius", [0.4, 3, 8, 20, 500])
def test_a_blurred_background_has_no_glow_of_its_subject(
    subject: np.ndarray, radius: float
) -> None:
    """A red subject on grey: the grey around it stays grey, however far it is blurred."""
    pixels = np.where(subject[..., None], (255, 0, 0), (90, 90, 90)).astype(np.uint8)
    made = np.asarray(Blur(radius).render(Image.fromarray(pixels), subject))
    assert made.shape == (HEIGHT, WIDTH, 3)
    assert (made[~subject] == 90).all()


@pytest.mark.parametrize("radius", [SMOOTH_SIGMA / 2, SMOOTH_SIGMA * 1.5, SMOOTH_SIGMA * 5])
def test_a_wide_blur_is_a_gaussian_too(
    scene: Image.Image, subject: np.ndarray, radius: float
) -> None:
    """The short cut through a smaller picture, against the definition at full size."""
    weight = (~subject).astype(np.float32)
    blurred = cv2.GaussianBlur(np.asarray(scene) * weight[..., None], (0, 0), radius)
    total = cv2.GaussianBlur(weight, (0, 0), radius)[..., None]
    expected = (blurred / np.maximum(total, 1e-6))[~subject]
    made = np.asarray(Blur(radius).render(scene, subject), dtype=np.float32)[~subject]
    assert np.abs(made - expected).max() <= 5.5
    assert np.abs(made - expected).mean() < 2


def test_a_larger_radius_leaves_less_detail(scene: Image.Image, subject: np.ndarray) -> None:
    spread = [
        np.asarray(Blur(radius).render(scene, subject))[~subject].std() for radius in (1, 4, 16, 64)
    ]
    assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize("radius", [0, -3, 500.5, float("nan")])
def test_a_radius_out_of_range_is_refused(radius: float) -> None:
    with pytest.raises(OptionError, match="radius"):
        Blur(radius)


@pytest.mark.parametrize(
    ("name", "rgb"),
    [
        ("white", (255, 255, 255)),
        ("#1a2b3c", (0x1A, 0x2B, 0x3C)),
        ("RebeccaPurple", (102, 51, 153)),
        ("#abc", (0xAA, 0xBB, 0xCC)),
    ],
)
def test_a_colour(
    scene: Image.Image, subject: np.ndarray, name: str, rgb: tuple[int, int, int]
) -> None:
    made = Colour(name).render(scene, subject)
    assert made.size == scene.size
    assert made.getcolors() == [(WIDTH * HEIGHT, rgb)]


@pytest.mark.parametrize("name", ["", "whiteish", "#12", "1,2,3", "#ff000080"])
def test_what_is_no_colour_is_refused(name: str) -> None:
    """Also one that is partly transparent: nothing lies behind a background."""
    with pytest.raises(OptionError, match="#rrggbb"):
        Colour(name)


@pytest.mark.parametrize(
    "size_wh", [(96, 64), (300, 20), (20, 300), (1, 1)], ids=["same", "wide", "tall", "one pixel"]
)
def test_a_picture_covers_the_image_undistorted(
    scene: Image.Image, subject: np.ndarray, size_wh: tuple[int, int]
) -> None:
    picture = Image.linear_gradient("L").resize(size_wh).convert("RGB")
    made = Picture(picture, "digest").render(scene, subject)
    assert made.size == scene.size
    assert made.mode == "RGB"
    if size_wh == scene.size:
        assert made.tobytes() == picture.tobytes()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Blur(3.5), {"blur": 3.5}),
        (lambda: Colour("white"), {"colour": "white"}),
        (lambda: Picture(Image.new("RGB", (2, 2)), "d1"), {"picture": "d1"}),
    ],
    ids=["blur", "colour", "picture"],
)
def test_each_says_what_it_is(make: Callable[[], Backdrop], expected: dict[str, object]) -> None:
    assert make().to_dict() == expected
