"""DreamBooth's two terms (Ruiz et al. 2022, arXiv:2208.12242), as functions of tensors.

Symbols are the paper's: ``x`` is a picture (here its latents), ``eps`` ~ N(0, I), ``t`` a time,
``z_t = α_t x + σ_t ε``, ``c`` the words. Its equation (1), the reconstruction of the subject::

    E [ w_t ‖ x̂_θ(α_t x + σ_t ε, c) − x ‖² ]

and (2), which adds the class-specific prior preservation on pictures ``x_pr`` that the frozen model
made of ``c_pr``::

    E [ w_t ‖ x̂_θ(α_t x + σ_t ε, c) − x ‖²  +  λ w_t' ‖ x̂_θ(α_t' x_pr + σ_t' ε', c_pr) − x_pr ‖² ]

A network that answers with ε̂ or v̂ is measured on what it answers, which is (1) with another w_t:
with ``SNR = α²/σ²``, the square error of ε is SNR times that of x, and the one of v is SNR + 1
times it (Salimans and Ho 2022, arXiv:2202.00512, section 4). Min-SNR weighting (Hang et al. 2023,
arXiv:2303.09556) takes w_t = min(SNR, γ) instead.

Here pictures are (N, C, H, W) float tensors; ``alpha``, ``sigma``, ``snr`` and weights are (N,).
"""

from __future__ import annotations

import torch

from limner.errors import ModelError

EPSILON, V, SAMPLE = "epsilon", "v_prediction", "sample"
PREDICTIONS = (EPSILON, V, SAMPLE)
"""What a network answers, by diffusers' names: ε̂, v̂ or x̂."""


def noised(
    x: torch.Tensor, eps: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """z_t = α_t x + σ_t ε."""
    return _wide(alpha) * x + _wide(sigma) * eps


def target(
    prediction: str,
    x: torch.Tensor,
    eps: torch.Tensor,
    alpha: torch.Tensor,
    sigma: torch.Tensor,
) -> torch.Tensor:
    """What a network of this kind should have answered: ε, v = α_t ε − σ_t x, or x.

    Raises:
        ModelError: no such kind.
    """
    if prediction == EPSILON:
        return eps
    if prediction == V:
        return _wide(alpha) * eps - _wide(sigma) * x
    if prediction == SAMPLE:
        return x
    raise _unknown(prediction)


def x_hat(
    prediction: str,
    answer: torch.Tensor,
    z: torch.Tensor,
    alpha: torch.Tensor,
    sigma: torch.Tensor,
) -> torch.Tensor:
    """x̂_θ, the picture that an answer stands for: (z − σ_t ε̂) / α_t, α_t z − σ_t v̂, or x̂ itself.

    Raises:
        ModelError: no such kind.
    """
    if prediction == EPSILON:
        return (z - _wide(sigma) * answer) / _wide(alpha)
    if prediction == V:
        return _wide(alpha) * z - _wide(sigma) * answer
    if prediction == SAMPLE:
        return answer
    raise _unknown(prediction)


def min_snr_weight(prediction: str, snr: torch.Tensor, gamma: float) -> torch.Tensor:
    """What the square error of an answer is multiplied with, so that w_t = min(SNR, γ) in (1).

    Args:
        gamma: γ > 0; the paper takes 5.

    Returns:
        (N,): min(SNR, γ) / SNR for ε, / (SNR + 1) for v, / 1 for x. Of pure noise (SNR 0) the
        first is 1, its limit, and the others 0.

    Raises:
        ModelError: no such kind.
    """
    capped = snr.clamp(max=gamma)
    if prediction == EPSILON:
        return torch.where(snr > 0, capped / snr.clamp(min=torch.finfo(snr.dtype).tiny), 1.0)
    if prediction == V:
        return capped / (snr + 1)
    if prediction == SAMPLE:
        return capped
    raise _unknown(prediction)


def reconstruction(
    answer: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None = None,
    coverage: torch.Tensor | None = None,
) -> torch.Tensor:
    """Equation (1) over a batch: the mean of w_t times each picture's mean square error.

    Args:
        weight: (N,) w_t; None: 1.
        seen: (N, 1, H, W) from 0 to 1, the part of each picture that counts; None: all of it.

    Returns:
        A scalar, in float32 whatever came in.
    """
    square = (answer.float() - target.float()).pow(2)
    if coverage is None:
        per_picture = square.mean(dim=(1, 2, 3))
    else:
        weights = coverage.float().expand_as(square)
        total = weights.sum(dim=(1, 2, 3)).clamp(min=1e-8)
        per_picture = (weights * square).sum(dim=(1, 2, 3)) / total
    return (per_picture if weight is None else weight * per_picture).mean()


def with_prior(instance: torch.Tensor, prior: torch.Tensor, lam: float) -> torch.Tensor:
    """Equation (2): the reconstruction of the subject, and λ times that of the class.

    Args:
        instance, prior: what ``reconstruction`` gave for x and for x_pr.
        lam: λ ≥ 0; the paper takes 1.
    """
    return instance + lam * prior


def _wide(numbers: torch.Tensor) -> torch.Tensor:
    return numbers[:, None, None, None]


def _unknown(prediction: str) -> ModelError:
    return ModelError(
        f"A network that predicts {prediction!r} can't be taught: known are "
        f"{', '.join(PREDICTIONS)} (prediction_type of the scheduler)."
    )
