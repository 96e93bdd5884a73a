"""Pictures of one thing: the mask is what changed, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from minis.crops import crop, recoloured
from minis.drawings import TEST_STYLE, drawing, trained_nouns
from minis.scores import samples


@pytest.mark.parametrize("side", [64, 96])
def test_the_mask_is_where_the_thing_was_put(side: int) -> None:
    """Within the mask the picture differs from the one before; far from it (a shadow and a blur
    reach a little) it is the same to the camera's noise."""
    looked = 0
    for k, noun in enumerate(trained_nouns()[::8]):
        made = crop(np.random.default_rng(k), drawing(noun, TEST_STYLE), side)
        assert made.image.shape == made.without.shape == (side, side, 3)
        assert made.mask.shape == (side, side)
        assert 0.05 < made.mask.mean() < 0.95
        changed = np.abs(made.image.astype(int) - made.without).max(axis=2)
        assert np.median(changed[made.mask]) > 8, noun
        outside = ~box_around(made.mask, side // 6)
        if outside.sum() > 50:
            assert np.median(changed[outside]) <= 8, noun
        looked += 1
    assert looked == 16


def box_around(mask: np.ndarray, pixels: int) -> np.ndarray:
    ys, xs = np.nonzero(mask)
    box = np.zeros_like(mask)
    box[
        max(0, ys.min() - pixels) : ys.max() + pixels + 1,
        max(0, xs.min() - pixels) : xs.max() + pixels + 1,
    ] = True
    return box


def test_a_picture_is_the_same_again_and_another_with_another_number() -> None:
    apple = drawing("apple", TEST_STYLE)
    first, again = (samples.shown_alone(apple, 3, 64) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, samples.shown_alone(apple, 4, 64).image)


def test_recolouring_keeps_size_and_changes_hue() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    for k in range(8):
        made = recoloured(np.random.default_rng(k), red)
        assert made.shape == red.shape
        assert made.dtype == np.uint8
        assert not np.array_equal(made, red)
