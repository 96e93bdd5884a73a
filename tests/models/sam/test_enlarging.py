"""What a mask costs less must not change a pixel of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limner.models.sam import enlarging
from limner.models.sam.enlarging import Pass, enlarge, enlarged_mask
from limner.ops.masks import MaskCrop

Case = tuple[torch.Tensor, tuple[Pass, ...], float]


def case(rng: np.random.Generator) -> Case:
    """Logits of one object, or of none, anywhere; SAM's two passes or SAM 2's one."""
    side = int(rng.choice([16, 24, 64]))
    height, width = rng.integers(1, 500, 2).tolist()
    (top, bottom), (left, right) = np.sort(rng.integers(0, side + 1, (2, 2))).tolist()
    logits = np.full((side, side), -8, dtype=np.float32)
    logits[top:bottom, left:right] = 8
    logits += rng.normal(0, rng.choice([0, 0.01, 2, 6]), logits.shape)
    passes = [Pass.whole((height, width))]
    if rng.random() < 0.6:
        square = side * int(rng.choice([1, 2, 4]))
        scale = square / max(height, width)
        part = (max(1, round(height * scale)), max(1, round(width * scale)))
        passes.insert(0, Pass((square, square), part))
    return torch.from_numpy(logits), tuple(passes), float(rng.choice([0, 0, 1.3, -2, -7.99]))


def check(logits: torch.Tensor, passes: tuple[Pass, ...], threshold: float) -> bool:
    """The mask and all bits above the threshold are the whole's; whether a part was enough."""
    whole = enlarge(logits, passes)
    mask = MaskCrop.of((whole > threshold).numpy())
    assert enlarged_mask(logits, passes, threshold).equals(mask), (passes, threshold)
    part = enlarging._corner(logits, passes, threshold)
    if part is None:
        return False
    corner = whole[: part.shape[0], : part.shape[1]]
    above = corner > threshold
    assert torch.equal(corner[above], part[above]), (passes, threshold)
    return True


def test_a_mask_is_that_of_all_its_logits_to_the_bit() -> None:
    """Random pictures, among them small ones, which torch enlarges by another kernel."""
    rng = np.random.default_rng(1)
    in_part = [check(*case(rng)) for _ in range(150)]
    assert sum(in_part) > 120


def test_a_side_that_keeps_its_length_is_scaled_all_the_same() -> None:
    """torch doesn't scale a side of which as much goes in as comes out: 203 of 256 rows that become
    203 of 255 would lie up to a pixel off."""
    logits = torch.linspace(-1, 1, 256 * 256).reshape(256, 256).flip(0, 1).contiguous()
    logits[200:] = -1
    assert not check(logits, (Pass.whole((255, 300)),), 0.0)


def test_what_lies_behind_the_last_row_above_the_threshold_counts() -> None:
    """The row after the last one above the threshold takes part in it, and in that the row after
    it does: with one row less this mask differs."""
    logits = torch.full((128, 128), -100.0)
    logits[:60, :60] = 100
    logits[60, :60] = logits[:60, 60] = -1e-3
    assert check(logits, (Pass.whole((512, 512)), Pass.whole((1500, 1500))), 0.0)


def test_only_the_corner_that_holds_the_object_is_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object in the upper left of 12 megapixels costs what its corner costs."""
    sizes = []
    corner = enlarging._corner

    def watched(*given: object) -> torch.Tensor | None:
        part = corner(*given)  # type: ignore[arg-type]  # handed on as it came
        sizes.append(None if part is None else part.numel())
        return part

    monkeypatch.setattr(enlarging, "_corner", watched)
    logits = torch.full((64, 64), -5.0)
    logits[4:10, 6:12] = 5
    passes = (Pass((256, 256), (192, 256)), Pass.whole((3000, 4000)))
    mask = enlarged_mask(logits, passes, 0.0)
    assert mask.size_wh == (4000, 3000)
    assert mask.area > 300 * 300
    (size,) = sizes
    assert size is not None
    assert size < 3000 * 4000 / 15
