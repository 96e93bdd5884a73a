"""The minis' optimiser: torch's Muon, in float32 and all matrices of a shape at once."""

from __future__ import annotations

import pytest
import torch

from minis.muon import Muon, orthogonal

SHAPES = ((12, 12), (12, 12), (24, 12), (12, 36))


def test_it_goes_where_torchs_own_goes() -> None:
    """Within what torch's bfloat16 rounds away: weights of a run can be taken up by either."""
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
    rate, decay = 1e-2, 0.02
    mine = Muon(ours, lr=rate, weight_decay=decay)
    torchs = torch.optim.Muon(
        theirs, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw", ns_steps=4
    )
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn(a.shape)
            b.grad = a.grad.clone()
        mine.step()
        torchs.step()
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() < 0.05 * rate
    assert mine.state_dict()["state"].keys() == torchs.state_dict()["state"].keys()


@pytest.mark.parametrize("shape", [(3, 8, 20), (3, 20, 8)])
def test_the_directions_of_a_matrix_become_equally_long(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    lengths = torch.linalg.svdvals(orthogonal(torch.randn(shape), 5))
    assert (lengths > 0.6).all()
    assert (lengths < 1.3).all()


def test_a_matrix_of_zeros_stays_one() -> None:
    """A layer without a gradient must not become a layer of nan."""
    assert (orthogonal(torch.zeros(1, 4, 4), 4) == 0).all()
