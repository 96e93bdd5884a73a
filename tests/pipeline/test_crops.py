"""The crop of an edit: what it holds, how large it is, and at which size it is repainted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import PromptError
from limner.pipeline.crops import crop_around, working_size


@st.composite
def boxed_masks(draw: st.DrawFn) -> np.ndarray:
    width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@given(boxed_masks(), st.floats(0, 3), st.sampled_from([1, 8, 64]), st.integers(0, 70))
def test_crop_holds_the_mask_inside_the_image(
    mask: np.ndarray, context: float, grid: int, minimum: int
) -> None:
    height, width = mask.shape
    x0, y0, x1, y1 = crop_around(
        mask, context=context, grid=grid, minimum=minimum, size_wh=(width, height)
    )
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    for length, side in ((x1 - x0, width), (y1 - y0, height)):
        assert length >= min(minimum, side // grid * grid)
        assert length % grid == 0 or length == side


def crop_of(*box: int, size_wh: tuple[int, int] = (1000, 800), **how: object) -> tuple[int, ...]:
    mask = np.zeros(size_wh[::-1], bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return crop_around(mask, **{"context": 0.5, "grid": 8} | how)  # type: ignore[arg-type]


CROPS = {
    "grown by half its longer side": ((400, 300, 480, 340), {}, (360, 260, 520, 380)),
    "moved inside, not cut": ((0, 0, 80, 80), {}, (0, 0, 160, 160)),
    "at least the minimum": ((400, 300, 420, 320), {"minimum": 512}, (154, 54, 666, 566)),
    "minimum, moved inside": ((980, 780, 990, 790), {"minimum": 512}, (488, 288, 1000, 800)),
    "the whole image": ((0, 0, 1000, 800), {}, (0, 0, 1000, 800)),
    "no context, no grid": ((3, 5, 10, 9), {"context": 0.0, "grid": 1}, (3, 5, 10, 9)),
}


@pytest.mark.parametrize(("box", "how", "expected"), CROPS.values(), ids=CROPS.keys())
def test_crops(box: tuple[int, ...], how: dict[str, object], expected: tuple[int, ...]) -> None:
    assert crop_of(*box, **how) == expected


def test_a_crop_stays_on_the_grid_when_the_image_is_not() -> None:
    x0, y0, x1, y1 = crop_of(100, 100, 300, 300, size_wh=(427, 1000), minimum=512)
    assert (x1 - x0, y1 - y0) == (424, 512)


def test_crop_refusals() -> None:
    with pytest.raises(PromptError, match="empty"):
        crop_around(np.zeros((4, 4), bool), context=0, grid=8)
    with pytest.raises(PromptError, match="4x3 pixels and the image 3x4"):
        crop_around(np.ones((3, 4), bool), context=0, grid=8, size_wh=(3, 4))


SIZES = {
    "small crop enlarged to native": ((400, 400), 8, 512, (512, 512)),
    "large crop reduced": ((2000, 2000), 8, 512, (512, 512)),
    "area kept near native": ((800, 400), 8, 512, (728, 360)),
    "no side beyond twice native": ((4000, 200), 8, 512, (1024, 48)),
    "never less than the grid": ((4000, 10), 64, 512, (1024, 64)),
    "no native size: as it is": ((160, 120), 8, None, (160, 120)),
    "no native size: down to the grid": ((165, 127), 8, None, (160, 120)),
    "no native size: smaller than the grid": ((5, 127), 8, None, (8, 120)),
}


@pytest.mark.parametrize(("crop", "grid", "native", "expected"), SIZES.values(), ids=SIZES.keys())
def test_working_size(
    crop: tuple[int, int], grid: int, native: int | None, expected: tuple[int, int]
) -> None:
    assert working_size(crop, grid, native) == expected


@given(
    st.integers(32, 3000), st.integers(32, 3000), st.sampled_from([8, 16, 64]),
    st.sampled_from([512, 1024]),
)  # fmt: skip
def test_working_size_keeps_the_aspect_ratio(w: int, h: int, grid: int, native: int) -> None:
    out_w, out_h = working_size((w, h), grid, native)
    assert out_w % grid == out_h % grid == 0
    scale = min(native / (w * h) ** 0.5, 2 * native / max(w, h))
    for side, out in ((w, out_w), (h, out_h)):
        assert out == grid or abs(out - side * scale) <= grid / 2 + 1e-6
