"""Muon (arXiv 2502.16982) in float32, all matrices of one shape at once.

``torch.optim.Muon`` orthogonalises in bfloat16, one matrix after the other. A CPU without bfloat16
units takes 1.3 s for mini-sam's 53 matrices like that, longer than the rest of the step; this takes
a thirtieth, and is no slower where there are such units.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

MOMENTUM = 0.95
A, B, C = 3.4445, -4.7750, 2.0315
"""The quintic of Keller Jordan's post on Muon: its singular values end between 0.7 and 1.2."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose matrices are made orthogonal, for the 2-d weights of hidden layers.

    The step of a (rows, columns) matrix is scaled by ``0.2 * sqrt(max(rows, columns))``, so that a
    learning rate and a weight decay mean what they mean to AdamW.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        weight_decay: float,
        ns_steps: int = 4,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "ns_steps": ns_steps})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # torch's also takes a closure, of no use here
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for shape, weights in by_shape.items():
                updates = orthogonal(
                    torch.stack(list(map(self._towards, weights))), group["ns_steps"]
                )
                size = 0.2 * max(shape) ** 0.5 * group["lr"]
                for weight, update in zip(weights, updates, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=size)

    def _towards(self, weight: torch.nn.Parameter) -> torch.Tensor:
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: torch.Tensor = state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(momentum, MOMENTUM)


def orthogonal(matrices: torch.Tensor, steps: int) -> torch.Tensor:
    """(N, rows, columns) -> nearly orthogonal ones of the same directions: Newton–Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x.mT if tall else x
