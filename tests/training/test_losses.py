"""The two terms of DreamBooth against numbers worked out by hand, and what must hold for any."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limner.errors import ModelError
from limner.training import losses
from limner.training.losses import EPSILON, PREDICTIONS, SAMPLE, V


def picture(*values: float) -> torch.Tensor:
    """(1, 1, 1, n)."""
    return torch.tensor(values).reshape(1, 1, 1, -1)


X, EPS = picture(1.0, -2.0), picture(0.5, 3.0)
ALPHA, SIGMA = torch.tensor([0.8]), torch.tensor([0.6])
"""SNR = .64 / .36 = 16/9."""


def test_noise_is_added_as_in_the_paper() -> None:
    """z = .8 · (1, −2) + .6 · (.5, 3) = (1.1, .2)."""
    assert losses.noised(X, EPS, ALPHA, SIGMA).flatten().tolist() == pytest.approx([1.1, 0.2])


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        pytest.param(EPSILON, [0.5, 3.0], id="epsilon"),
        pytest.param(V, [0.8 * 0.5 - 0.6 * 1.0, 0.8 * 3.0 + 0.6 * 2.0], id="v"),
        pytest.param(SAMPLE, [1.0, -2.0], id="x"),
    ],
)
def test_what_should_have_been_answered(prediction: str, expected: list[float]) -> None:
    found = losses.target(prediction, X, EPS, ALPHA, SIGMA)
    assert found.flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        pytest.param(EPSILON, 5 / (16 / 9) if 5 < 16 / 9 else 1.0, id="epsilon, not capped"),
        pytest.param(V, (16 / 9) / (25 / 9), id="v"),
        pytest.param(SAMPLE, 16 / 9, id="x"),
    ],
)
def test_min_snr_below_gamma(prediction: str, expected: float) -> None:
    found = losses.min_snr_weight(prediction, torch.tensor([16 / 9]), 5.0)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        pytest.param(EPSILON, 5 / 20, id="epsilon"),
        pytest.param(V, 5 / 21, id="v"),
        pytest.param(SAMPLE, 5.0, id="x"),
    ],
)
def test_min_snr_above_gamma(prediction: str, expected: float) -> None:
    found = losses.min_snr_weight(prediction, torch.tensor([20.0]), 5.0)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize(("prediction", "expected"), [(EPSILON, 1.0), (V, 0.0), (SAMPLE, 0.0)])
def test_pure_noise_has_a_weight_that_is_a_number(prediction: str, expected: float) -> None:
    """A schedule that ends in an SNR of 0 (the minis') must not make the loss NaN."""
    assert losses.min_snr_weight(prediction, torch.zeros(1), 5.0).item() == expected


def test_both_terms_by_hand() -> None:
    """Errors (1, 2) and (0, 1): means of squares 2.5 and .5; the weights .5 and 2 make 1.125.

    Equation (2) with λ = 1/4 and a prior of 3: 1.125 + .75.
    """
    answer = torch.cat([X + picture(1, 2), X + picture(0, 1)])
    instance = losses.reconstruction(answer, torch.cat([X, X]), torch.tensor([0.5, 2.0]))
    assert instance.item() == pytest.approx((0.5 * 2.5 + 2 * 0.5) / 2)
    both = losses.with_prior(instance, torch.tensor(3.0), 0.25)
    assert both.item() == pytest.approx(1.875)


def test_only_the_seen_part_counts() -> None:
    """Errors 1 and 2, the second seen: 4, not the mean of 1 and 4; nothing seen counts nothing."""
    answer = X + picture(1, 2)
    assert losses.reconstruction(answer, X, coverage=picture(0, 1)).item() == pytest.approx(4)
    assert losses.reconstruction(answer, X, coverage=picture(0, 0)).item() == 0


def test_half_precision_is_summed_in_float32() -> None:
    """A million errors of 1 are a mean of 1; bfloat16 stops counting at 256."""
    zeros = torch.zeros(1, 4, 512, 512, dtype=torch.bfloat16)
    found = losses.reconstruction(zeros + 1, zeros)
    assert (found.dtype, found.item()) == (torch.float32, 1.0)


def test_an_unknown_prediction_is_refused() -> None:
    one = torch.ones(1)
    for call in (
        lambda: losses.target("flow", X, EPS, ALPHA, SIGMA),
        lambda: losses.x_hat("flow", X, EPS, ALPHA, SIGMA),
        lambda: losses.min_snr_weight("flow", one, 5.0),
    ):
        with pytest.raises(ModelError, match="epsilon, v_prediction, sample"):
            call()


angles = st.floats(0.05, math.pi / 2 - 0.05)
seeds = st.integers(0, 2**31)


def drawn(seed: int, angle: float) -> tuple[torch.Tensor, ...]:
    """x, ε, an answer, α, σ of one picture, in double precision."""
    made = torch.Generator().manual_seed(seed)
    x, eps, answer = torch.randn((3, 1, 2, 3, 3), generator=made, dtype=torch.float64)
    alpha, sigma = (torch.tensor([f(angle)], dtype=torch.float64) for f in (math.cos, math.sin))
    return x, eps, answer, alpha, sigma


@pytest.mark.parametrize("prediction", PREDICTIONS)
@given(seed=seeds, angle=angles)
def test_the_right_answer_is_the_picture_itself(prediction: str, seed: int, angle: float) -> None:
    """``x_hat`` undoes ``noised`` when the network answers ``target``."""
    x, eps, _, alpha, sigma = drawn(seed, angle)
    z = losses.noised(x, eps, alpha, sigma)
    right = losses.target(prediction, x, eps, alpha, sigma)
    assert torch.allclose(losses.x_hat(prediction, right, z, alpha, sigma), x)


@pytest.mark.parametrize(("prediction", "more"), [(EPSILON, 0), (V, 1), (SAMPLE, None)])
@given(seed=seeds, angle=angles)
def test_every_kind_is_equation_1_with_its_own_weight(
    prediction: str, more: int | None, seed: int, angle: float
) -> None:
    """The square error of ε̂ is SNR times that of x̂, of v̂ SNR + 1 times."""
    x, eps, answer, alpha, sigma = drawn(seed, angle)
    z = losses.noised(x, eps, alpha, sigma)
    snr = (alpha / sigma) ** 2
    of_answer = (answer - losses.target(prediction, x, eps, alpha, sigma)).pow(2).mean()
    of_x = (losses.x_hat(prediction, answer, z, alpha, sigma) - x).pow(2).mean()
    w_t = 1.0 if more is None else float(snr) + more
    assert float(of_answer) == pytest.approx(w_t * float(of_x), rel=1e-9)
    # hence min-SNR's weight makes w_t = min(SNR, γ) for all three
    weight = float(losses.min_snr_weight(prediction, snr, 5.0))
    assert weight * w_t == pytest.approx(min(float(snr), 5.0), rel=1e-9)


@given(seed=seeds, lam=st.floats(0, 100))
def test_the_prior_term_is_linear_in_lambda(seed: int, lam: float) -> None:
    instance, prior = torch.rand(2, generator=torch.Generator().manual_seed(seed))
    assert losses.with_prior(instance, prior, 0) == instance
    more = float(losses.with_prior(instance, prior, lam) - instance)
    assert more == pytest.approx(lam * float(prior), rel=1e-3, abs=1e-5)
