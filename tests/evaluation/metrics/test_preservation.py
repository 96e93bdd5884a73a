"""Outside the mask: exact where nothing changed, by hand where something did; seams worse first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.errors import ImageError, PromptError
from limner.evaluation import edit_scores, psnr_outside, ssim_outside
from limner.evaluation.metrics.preservation import BEST_PSNR, inside_restored, seam_added
from limner.ops import masks
from limner.ops.composite import composite
from limner.rle import BoolMask


def slope(side: int = 64) -> Image.Image:
    """A picture that grows brighter to the right, evenly: no border of its own anywhere."""
    row = np.linspace(60, 180, side).astype(np.uint8)
    return Image.fromarray(np.repeat(np.tile(row, (side, 1))[..., None], 3, axis=2))


def disc(side: int = 64, radius: int = 16) -> BoolMask:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return np.asarray(x**2 + y**2 <= radius**2)


def pasted(feather: int) -> Image.Image:
    """The slope with a lighter disc laid on it, its border ``feather`` pixels wide."""
    before, mask = slope(), disc()
    lighter = Image.fromarray(np.asarray(before) + np.uint8(40))
    return composite(before, lighter, masks.feather(mask, feather), (0, 0, 64, 64))


def test_an_untouched_picture_is_perfect() -> None:
    scores = edit_scores(slope(), slope(), disc())
    assert scores.to_dict() == {
        "outside_changed_pixels": 0,
        "psnr_outside": BEST_PSNR,
        "ssim_outside": 1.0,
        "seam": scores.seam,
        "seam_added": 0.0,
        "lpips_outside": None,
        "clip_t": None,
    }
    assert scores.seam < 0.005


def test_painting_inside_the_mask_only_is_perfect_outside() -> None:
    scores = edit_scores(slope(), pasted(0), disc())
    assert (scores.outside_changed_pixels, scores.psnr_outside) == (0, BEST_PSNR)
    assert scores.ssim_outside == 1.0


def test_a_hard_seam_scores_worse_than_a_feathered_one_and_that_worse_than_none() -> None:
    seams = [seam_added(slope(), picture, disc()) for picture in (slope(), pasted(8), pasted(0))]
    assert seams[0] == 0
    assert 0 < 3 * seams[1] < seams[2]
    assert seams[2] == pytest.approx(40 / 255, abs=0.03)


def test_a_mask_that_hugs_a_thing_adds_no_seam() -> None:
    """The thing's own border is there in the picture before."""
    thing = pasted(0)
    scores = edit_scores(thing, thing, disc())
    assert scores.seam > 0.1
    assert scores.seam_added == 0


def test_psnr_by_hand() -> None:
    """One of 4096 - 800 outside pixels is off by 10 in one channel."""
    before, mask = slope(), disc()
    pixels = np.array(before)
    pixels[0, 0, 1] += 10
    after = Image.fromarray(pixels)
    outside = int((~mask).sum())
    expected = 10 * math.log10(255**2 / (100 / (3 * outside)))
    assert psnr_outside(before, after, mask) == pytest.approx(expected)
    scores = edit_scores(before, after, mask)
    assert scores.outside_changed_pixels == 1
    assert scores.ssim_outside < 1


def test_ssim_is_scikit_images_where_the_mask_is_empty() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    before = slope()
    noise = rng.integers(0, 20, (64, 64, 3), dtype=np.uint8)
    after = Image.fromarray(np.asarray(before) + noise)
    found = ssim_outside(before, after, np.zeros((64, 64), dtype=bool))
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, indices = structural_similarity(
        np.asarray(before), np.asarray(after), channel_axis=2, data_range=255, full=True, **settings
    )
    assert found == pytest.approx(indices.mean())


def test_nothing_outside_a_whole_mask_can_change() -> None:
    whole = np.ones((64, 64), dtype=bool)
    scores = edit_scores(slope(), pasted(0), whole)
    assert (scores.psnr_outside, scores.ssim_outside, scores.seam) == (BEST_PSNR, 1.0, 0.0)


@given(st.integers(0, 63), st.integers(0, 63), st.integers(1, 75))
def test_no_change_outside_goes_unseen(x: int, y: int, by: int) -> None:
    before, mask = slope(), disc()
    pixels = np.array(before)
    pixels[y, x] += np.uint8(by)
    after = Image.fromarray(pixels)
    unseen = psnr_outside(before, after, mask) == BEST_PSNR
    assert unseen == bool(mask[y, x])
    assert (
        np.array_equal(np.asarray(inside_restored(before, after, mask)), np.asarray(before))
        == unseen
    )


def test_bad_input_is_refused() -> None:
    with pytest.raises(ImageError, match="64x64 pixels and the one after 32x32"):
        edit_scores(slope(), slope(32), disc())
    with pytest.raises(PromptError, match="mask is 32x32 pixels and the image 64x64"):
        edit_scores(slope(), slope(), disc(32))
    tiny = Image.new("RGB", (8, 30))
    with pytest.raises(ImageError, match="window of 11x11"):
        ssim_outside(tiny, tiny, np.zeros((30, 8), dtype=bool))
