"""What was painted, laid over what was there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from limner.errors import ImageError
from limner.ops.composite import composite

RED, BLACK = (255, 0, 0), (0, 0, 0)


@given(st.integers(0, 2**32 - 1))
def test_composite_is_exact_where_alpha_is_zero_or_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
    painted = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    alpha = np.zeros((12, 15), np.float32)
    alpha[3:9, 4:13] = rng.choice([0, 1, 0.25, 0.5, 0.9], (6, 9))
    out = composite(Image.fromarray(before), Image.fromarray(painted), alpha, (4, 3, 13, 9))
    out = np.asarray(out)
    np.testing.assert_array_equal(out[alpha == 0], before[alpha == 0])
    full = before.astype(float)
    full[3:9, 4:13] = painted
    np.testing.assert_array_equal(out[alpha == 1], full[alpha == 1])
    exact = before + alpha[..., None].astype(float) * (full - before)
    assert np.abs(out - exact).max() <= 0.5 + 1e-4


def test_composite_resizes_what_was_painted_at_another_size() -> None:
    original = Image.new("RGB", (20, 20))
    painted = Image.new("RGB", (64, 64), RED)
    out = composite(original, painted, np.ones((20, 20)), (0, 0, 20, 20))
    assert out.getpixel((10, 10)) == RED
    assert original.getpixel((10, 10)) == BLACK


def refused(change: Callable[[dict[str, object]], object]) -> None:
    how: dict[str, object] = {
        "original": Image.new("RGB", (20, 10)),
        "painted": Image.new("RGB", (5, 5)),
        "alpha": np.zeros((10, 20), np.float32),
        "box": (0, 0, 5, 5),
    }
    change(how)
    composite(**how)  # type: ignore[arg-type]


REFUSED = {
    "grey": (lambda h: h.update(original=Image.new("L", (20, 10))), "RGB images, got L"),
    "box outside": (lambda h: h.update(box=(0, 0, 5, 11)), "leaves the image"),
    "alpha of another shape": (lambda h: h.update(alpha=np.zeros((20, 10))), "shape"),
    "alpha beyond 1": (lambda h: h["alpha"].__setitem__((1, 1), 1.5), "between 0 and 1"),
    "alpha NaN": (lambda h: h["alpha"].__setitem__((1, 1), np.nan), "between 0 and 1"),
    "alpha outside the box": (lambda h: h["alpha"].__setitem__((8, 8), 1), "outside the box"),
}


@pytest.mark.parametrize(("change", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_composite_refusals(change: Callable[[dict[str, object]], object], sentence: str) -> None:
    with pytest.raises(ImageError, match=sentence):
        refused(change)
